"""The judged claims as a file, from which the page can be written again without the runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.lecture.declaration import Claim, Lecture
from tests.bench.lecture.judging import NOT_RUN, JudgedClaim, JudgedReading
from tests.bench.lecture.table import Times

RECORD = Path(__file__).parents[1] / "results" / "lecture.json"
"""The claims as the shipped page has them."""


@dataclass(frozen=True)
class Record:
    """What the page is made from, besides the declaration."""

    claims: Sequence[JudgedClaim]
    times: Times = field(default_factory=dict)
    """The commands that trained, with their seconds and CPU seconds."""

    def to_json(self) -> str:
        """By claim and reading the verdict, the figure, n, and the seeds that would decide. No path of this machine."""
        claims: dict[str, dict[str, Any]] = {}
        for judged in self.claims:
            claims[judged.claim.id] = {
                each.reading.name: {
                    "verdict": each.verdict,
                    "figure": "" if each.verdict == NOT_RUN else each.figure,
                    "n": each.n,
                    "seeds_to_decide": each.seeds_to_decide,
                    "counted": each.counted,
                }
                for each in judged.readings
            }
        times = {command: [round(seconds) for seconds in spent] for command, spent in self.times.items()}
        return json.dumps({"claims": claims, "times": times}, indent=1, ensure_ascii=False) + "\n"


def read_record(lecture: Lecture, path: Path = RECORD) -> Record:
    """A recorded page's claims; KeyError if the declaration has other claims or readings."""
    content = json.loads(path.read_text(encoding="utf-8"))

    def judged(claim: Claim) -> JudgedClaim:
        found = content["claims"][claim.id]
        return JudgedClaim(claim, tuple(JudgedReading(reading, **found[reading.name]) for reading in claim.readings))

    times = {command: (wall, cpu) for command, (wall, cpu) in content["times"].items()}
    return Record([judged(claim) for claim in lecture.claims], times)
