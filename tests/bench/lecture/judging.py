"""From the answers to requirements to the verdict on a claim."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.lecture.declaration import Claim, Reading

SUPPORTED, CONTRADICTED, DEPENDS, UNDECIDED, NOT_RUN = VERDICTS = (
    "supported", "contradicted", "depends", "undecided", "not run",
)  # fmt: skip

UNFINISHED = "unfinished"
"""How the reason begins if a study lacks planned runs."""

ANSWERS = {"holds": SUPPORTED, "fails": CONTRADICTED, "inconclusive": UNDECIDED}


@dataclass(frozen=True)
class JudgedReading:
    """What a study says of one reading of a claim."""

    reading: Reading
    verdict: str
    figure: str
    """The estimate with its interval, or why there is none."""
    n: int | None = None
    """The runs of each arm."""
    seeds_to_decide: int | None = None
    """If it is undecided, the seeds that would tell with 80 % power if the truth is as estimated."""
    commands: tuple[str, ...] = ()
    """What makes the study, and what judges it."""
    counted: str = "seeds"
    """What is counted: the rounds of a timing, else seeds."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its readings."""

    claim: Claim
    readings: tuple[JudgedReading, ...]

    @property
    def verdict(self) -> str:
        """What the readings say together.

        Readings that are undecided say nothing, so that the others decide: they agree, or it depends on what
        sets them apart.
        """
        told = {reading.verdict for reading in self.readings} & {SUPPORTED, CONTRADICTED}
        if told:
            return DEPENDS if len(told) > 1 else told.pop()
        return UNDECIDED if any(reading.verdict == UNDECIDED for reading in self.readings) else NOT_RUN


def judge_reading(
    reading: Reading, answers: Sequence[Mapping[str, Any]], commands: tuple[str, ...] = ()
) -> JudgedReading:
    """The verdict on a reading: supported if all of its requirements hold, contradicted if one fails.

    A study that lacks planned runs says nothing yet.

    Args:
        reading: The reading.
        answers: Its requirements with their answers, as `dnntrain report --json` has them.
        commands: What made the study, and what judged it.
    """
    for answer in answers:
        if answer["reason"].startswith(UNFINISHED):
            return JudgedReading(reading, NOT_RUN, answer["reason"].partition(";")[0], commands=commands)
    verdicts = [ANSWERS[answer["answer"]] for answer in answers]
    verdict = next((v for v in (CONTRADICTED, UNDECIDED) if v in verdicts), SUPPORTED)
    [weakest, *_] = sorted((a for a, v in zip(answers, verdicts, strict=True) if v == verdict), key=clearness)
    figure = weakest["reason"].partition(", required")[0].replace(" (95 % interval)", "")
    figure = re.sub(r"; [^;]*: 0 of \d+ runs lost, \d+ of \d+ planned", "", figure)
    if len(answers) > 1:
        figure += f"; {verdicts.count(SUPPORTED)} of {len(answers)} such comparisons hold, and this is the closest"
    seeds = [answer["seeds_to_decide"] for answer in answers if answer["answer"] == "inconclusive"]
    runs = [arm["made"] for arm in weakest["arms"].values()]
    return JudgedReading(
        reading,
        verdict,
        figure,
        weakest["n"] or min(runs, default=None),
        max(seeds) if verdict == UNDECIDED and seeds and None not in seeds else None,
        commands,
        "rounds" if weakest["quantity"] in ("step_time", "test_time") else "seeds",
    )


def clearness(answer: Mapping[str, Any]) -> float:
    """How far the estimate is from its bound, in half widths of its interval; infinite without an interval."""
    low, high = answer["low"], answer["high"]
    if low is None or high is None or high <= low:
        return float("inf")
    return float(2 * abs(answer["estimate"] - answer["bound"]) / (high - low))
