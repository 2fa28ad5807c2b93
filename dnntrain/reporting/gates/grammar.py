"""The parts of a requirement's text. What they mean depends on the study, because names may contain any sign.

requirement = ARM[.METRIC] SIGN bound    SIGN is >=, <=, > or <, better than or not worse than
            | ARM.seconds SIGN time      or .step_time, .test_time, .target_epochs, .target_seconds
            | ARM.lost SIGN NUMBER[%]    or == or !=
            | ARM.health SIGN STATE      == or !=
bound       = (ARM[.METRIC] | NUMBER[%]) [(+ | -) MARGIN]
time        = [NUMBER *] ARM[.seconds] | NUMBER     of the same quantity
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.reporting.gates.results import OPERATORS
from dnntrain.utils.fields import odd_number

EXAMPLES = (
    "'elu better than relu', 'elu >= relu - 0.3pp', 'relu.test_acc >= 85%', 'bn.seconds <= 1.2 * base', 'bn.lost <= 0' "
    "or 'bn.health == healthy'"
)

NOT_WORSE = "not worse than"
SIGNS_IN_WORDS = {"better than": (">", "<"), NOT_WORSE: (">=", "<=")}
"""Signs in words, which follow the direction of what is compared: the sign if higher is better, and if lower is."""
SIGN = re.compile(r"(?<=\s)(?:better|not\s+worse)\s+than(?=\s)|>=|<=|==|!=|=>|=<|>|<|=|≥|≤")
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

    def in_direction(self, *, higher_is_better: bool) -> Sentence:
        """The sentence with a sign in place of one in words."""
        higher, lower = SIGNS_IN_WORDS.get(self.sign, (self.sign, self.sign))
        return replace(self, sign=higher if higher_is_better else lower)


def split_at_signs(requirement: str) -> list[Sentence]:
    """The ways to split a requirement at a sign, from the left, real signs first; InputError if there is none."""
    text = requirement.strip()
    found = [
        Sentence(text[: match.start()].strip(), " ".join(match[0].split()), text[match.end() :].strip())
        for match in SIGN.finditer(text)
    ]
    complete = [sentence for sentence in found if sentence.left and sentence.right]
    if not complete:
        raise InputError(f"must be like {EXAMPLES}")
    for sentence in complete:
        if sentence.sign in SIGNS_IN_WORDS and sentence.left.split()[-1] in ("is", "no", "not"):
            raise InputError(f"'{sentence.left} {sentence.sign}': write 'A better than B' or 'A not worse than B'")
    return sorted(complete, key=lambda sentence: sentence.sign not in (*OPERATORS, *SIGNS_IN_WORDS))


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
        given = f"'{sentence.sign}'" if sentence.sign in SIGNS_IN_WORDS else sentence.sign
        raise InputError(f"{quantity} takes {', '.join(allowed)}, not {given}")


def bound_in_words(sign: str, bound: str) -> str:
    """A sign and what stands on its right: 'at least 85 %'."""
    words = {">=": "at least ", "<=": "at most ", ">": "above ", "<": "below ", "==": "", "!=": "not "}
    return f"{words[sign]}{bound}"
