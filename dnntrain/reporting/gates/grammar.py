"""The parts of a requirement's text. What they mean depends on the study, because names may contain any sign.

requirement = ARM[.METRIC] SIGN bound    SIGN is >=, <=, > or <
            | ARM.seconds SIGN time      or .step_time, .test_time, .target_epochs, .target_seconds
            | ARM.lost SIGN NUMBER[%]    or == or !=
            | ARM.health SIGN STATE      == or !=
bound       = (ARM[.METRIC] | NUMBER[%]) [(+ | -) MARGIN]
time        = [NUMBER *] ARM[.seconds] | NUMBER     of the same quantity
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.reporting.gates.results import OPERATORS
from dnntrain.utils.fields import odd_number

EXAMPLES = (
    "'elu >= relu - 0.3pp', 'relu.test_acc >= 85%', 'bn.seconds <= 1.2 * base', 'bn.lost <= 0' or "
    "'bn.health == healthy'"
)

SIGN = re.compile(">=|<=|==|!=|=>|=<|>|<|=|≥|≤")
"""Signs, and what people write instead."""
INEQUALITIES = (">=", "<=", ">", "<")
MARGIN = re.compile(r"(?P<operand>.+)\s(?P<plus>[+-])\s*(?P<margin>\S+(\s*(pp|%))?)")
FACTOR = re.compile(r"(?P<factor>[^\s*]+)\s*\*\s*(?P<operand>.+)")


@dataclass(frozen=True)
class Sentence:
    """A requirement, split at one of its signs."""

    left: str
    sign: str
    right: str


def split_at_signs(requirement: str) -> list[Sentence]:
    """The ways to split a requirement at a sign, from the left, real signs first; InputError if there is none."""
    text = requirement.strip()
    found = [
        Sentence(text[: match.start()].strip(), match[0], text[match.end() :].strip()) for match in SIGN.finditer(text)
    ]
    complete = [sentence for sentence in found if sentence.left and sentence.right]
    if not complete:
        raise InputError(f"must be like {EXAMPLES}")
    return sorted(complete, key=lambda sentence: sentence.sign not in OPERATORS)


def plain_number(text: str) -> float | None:
    """A plain finite number; None for other text.

    Raises:
        InputError: If programs read it differently, as 010, or if it is not finite.
    """
    if trouble := odd_number(text):
        raise InputError(trouble)
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        raise InputError(f"{text} is no finite number")
    return value


def read_bound(text: str, column: str) -> float | None:
    """A value of a metric, such as 0.85 or 85%; None for text that is not a number.

    Args:
        text: What stands on the right.
        column: The metric with its part, such as test_acc.

    Raises:
        InputError: If the metric cannot have this value.
    """
    metric = metric_of(column)
    unit = next((unit for unit in ("pp", "%") if text.endswith(unit)), "")
    value = plain_number(text.removesuffix(unit).strip())
    if value is None:
        return None
    if unit and not metric.is_share:
        raise InputError(f"'{text}': {column} is not a share; write a plain number")
    if unit == "pp":
        raise InputError(f"'{text}': pp is for a difference of two arms; write {value:g}%")
    if unit == "%":
        value /= 100
    elif metric.is_share and 1 < value <= 100:
        raise InputError(f"{column} must be from 0 to 1, not {value:g}; did you mean {value:g}% or {value / 100:g}?")
    if trouble := metric.impossible(value):
        raise InputError(f"{column} {trouble}")
    return value


def check_sign(sentence: Sentence, quantity: str, allowed: tuple[str, ...]) -> None:
    """Raise InputError for a sign that a quantity does not take."""
    if sentence.sign not in allowed:
        raise InputError(f"{quantity} takes {', '.join(allowed)}, not {sentence.sign}")
