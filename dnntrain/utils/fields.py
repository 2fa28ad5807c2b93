"""Declares hyperparameters: default, help, unit, and bounds, from which flags, preset keys, and cards follow."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo


def hyperparameter(
    default: Any,
    help: str,
    *,
    per_member: bool = False,
    unit: str = "",
    literal: bool = False,
    essential: bool = False,
    short: str = "",
    **bounds: Any,
) -> Any:
    """A hyperparameter, from which a preset key and a command-line option follow.

    Args:
        default: Its value unless one is given.
        help: What it is, in a short first sentence that `--help` shows; `--help-all` shows the rest too.
        per_member: Whether the members of one population may differ in it: see `techniques.base.stack`.
        unit: The unit of its value.
        literal: Whether words like none and off are values of it, and do not switch it off.
        essential: Whether `--help` describes its option. The others are only named there.
        short: The letter of its option, 'e' for `-e`.
        bounds: gt, ge, lt, le.
    """
    noted: dict[str, Any] = {
        "per_member": per_member,
        "unit": unit,
        "literal": literal,
        "essential": essential,
        "short": short,
    }
    return Field(default, description=help, json_schema_extra=noted, **bounds)


def field_extra(field: FieldInfo, key: str) -> Any:
    """An attribute that `hyperparameter` stored in a field, such as 'unit'."""
    return field.json_schema_extra.get(key) if isinstance(field.json_schema_extra, dict) else None


def format_value(value: Any) -> str:
    """A value as people write it: 1.0 → '1', True → 'on', None → 'off'."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def shortest_decimal(value: float) -> float:
    """A number of 32 bits as people type it: 0.009999999776482582 → 0.01. Other numbers stay as they are."""
    import numpy as np  # the catalogue of techniques does without

    with np.errstate(over="ignore"):
        short = np.float32(value)
    return float(str(short)) if float(short) == value else value


def read_names(value: object) -> list[str]:
    """The names in a list, or in text like `name,ticket`; a name with a comma is quoted: `"Length, cm",ticket`.

    Blanks around a name are dropped, unless it is quoted. Raises ValueError where a name is empty or no text.
    """
    if isinstance(value, str):
        if not value.strip():
            return []
        try:
            [parts] = csv.reader(io.StringIO(value, newline=""), skipinitialspace=True, strict=True)
        except (csv.Error, ValueError):
            raise ValueError(f"'{value}' is not a list of names; write a,b and quote as in \"Length, cm\",b") from None
    else:
        given = value if isinstance(value, list | tuple) else [value]
        wrong = [part for part in given if isinstance(part, bool) or not isinstance(part, str | int | float)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not text; put it in quotes")
        parts = [str(part) for part in given]
    names = [part.strip() for part in parts]
    if "" in names:
        raise ValueError(f"an empty name in {value!r}")
    return names


def write_names(names: Iterable[str]) -> str:
    """The names as text for `read_names`: separated by commas, and quoted if necessary."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def as_names(value: object) -> str | None:
    """Names in text or a list as canonical text; None if there are none."""
    return None if value is None else write_names(read_names(value)) or None


def format_validation_error(error: ValueError) -> str:
    """A pydantic error (or a plain ValueError) as one line: the parameter, its value, and what is allowed."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return str(error)
    problem = problems(include_url=False)[0]
    kind, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    where = ".".join(str(part) for part in problem["loc"])
    message = str(context.get("error") or next((text for key, text in MESSAGES if re.match(key, kind)), problem["msg"]))
    message = message.replace("Input should be", "must be")
    message = message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    quoted = isinstance(given, dict) or (isinstance(given, str) and repr(given) in message)
    said = "" if quoted or given is None else f" {format_value(given)!r}"  # nobody wrote None
    return f"{where}{said}: {message}" if where else message


MESSAGES = (
    ("int_", "must be a whole number"),
    ("float_|decimal_", "must be a number"),
    ("finite_number", "must be a finite number"),
    ("bool_", "must be on or off"),
    ("string_type|string_sub_type|string_unicode", "must be text"),
    ("list_type|tuple_type|set_type|iterable_type", "must be a list"),
    ("dict_type|mapping_type|model_type|model_attributes_type|dataclass_type", "must be keys with values"),
    ("path_type", "must be a path"),
    ("none_required", "must be empty"),
    ("is_instance_of", "is of the wrong kind"),
    ("missing", "is missing"),
    ("extra_forbidden", "unknown"),
)
"""What to say for pydantic's errors, by the beginning of their type. The first that fits counts."""


LONGEST_NUMBER = 40
"""The maximum length of text that `odd_number` checks."""


def odd_number(text: object) -> str | None:
    """What is wrong with a number that programs read differently (`010`, `1:30`, `30_10`); None for other text."""
    word = str(text).strip()
    if len(word) > LONGEST_NUMBER or not isinstance(text, str):
        return None
    if re.fullmatch(r"[+-]?0(x[0-9a-f_]+|o[0-7_]+|b[01_]+)", word, re.I):
        right = str(int(word, 0)) if "_" not in word else "it in decimal digits"
    elif match := re.fullmatch(r"([0-9]+):([0-5]?[0-9])", word):
        right = f"{60 * int(match[1]) + int(match[2])} if minutes and seconds are meant"
    elif re.fullmatch(r"[+-]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?(e[+-]?[0-9]+)?", word, re.I):
        right = word.replace("_", "")
    elif match := re.fullmatch(r"([+-]?)0+([0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?)", word, re.I):
        octal = int(match[2], 8) if re.fullmatch(r"[0-7]+", match[2]) else None
        right = f"{match[1]}{match[2]}" + (f", or {match[1]}{octal} if octal is meant" if octal and octal > 7 else "")
    elif re.fullmatch(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+", word):
        right = word.replace(",", "")
        right += f", or {word.replace(',', '.')} with a decimal point" if word.count(",") == 1 else ""
    elif re.fullmatch(r"[+-]?[0-9]+,[0-9]+", word):
        right = word.replace(",", ".")
    else:
        return None
    return f"'{word}' is not a plain number; write {right}"
