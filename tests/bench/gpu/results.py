"""What was measured, what was left out, and the time that is left."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GROWTH = 4.5
"""How many times as long a measurement may take as the one before it, which has a fourth of the members or more."""


@dataclass
class Results:
    """The measurements so far, written to a file after each, so that a run which is cut off leaves its figures."""

    file: Path | None = None
    machine: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Each has what, case, how, members, and its figures."""
    left_out: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)
    """Of what misses its target."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each section took."""

    def add(self, what: str, case: str, how: str, members: int, **figures: Any) -> None:
        """Add a measurement."""
        self.rows.append({"what": what, "case": case, "how": how, "members": members} | figures)
        self.write()

    def get(self, what: str, case: str, how: str, members: int, figure: str) -> Any:
        """A figure; None if it was not measured."""
        key = (what, case, how, members)
        found = [row for row in self.rows if (row["what"], row["case"], row["how"], row["members"]) == key]
        return found[-1].get(figure) if found else None

    def hows(self, what: str, case: str) -> list[str]:
        """The ways in which a case was measured, in the order of measurement."""
        return list(dict.fromkeys(row["how"] for row in self.rows if (row["what"], row["case"]) == (what, case)))

    def write(self) -> None:
        """Write everything to the file."""
        if self.file:
            content = {key: value for key, value in vars(self).items() if key != "file"}
            self.file.write_text(json.dumps(content, indent=1) + "\n")


class Clock:
    """The time that is left. Each section ends at a share of it; what a section does not need goes to the next ones."""

    def __init__(self, budget: float, results: Results) -> None:
        self.budget, self.results, self.started = budget, results, time.perf_counter()
        self.deadline, self.last = budget, dict[object, float]()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def left(self) -> float:
        """Seconds until the section's end."""
        return self.deadline - self.elapsed()

    def section(self, name: str, until: float, work: Callable[[], None]) -> None:
        """Run a section, which is to be over when this share of the budget is spent."""
        print(f"{name} …", file=sys.stderr, flush=True)
        self.deadline, before = self.budget * until, self.elapsed()
        self.measure(name, work)
        self.results.seconds[name] = round(self.elapsed() - before, 2)

    def measure(self, name: str, work: Callable[[], None], series: object = None) -> None:
        """Measure, or say that it was left out or failed; one failure costs no other measurement.

        Args:
            name: What is measured.
            work: Measures it.
            series: Measurements of one series have more members each; the last one says what the next may take.
        """
        if self.left() < GROWTH * self.last.get(series, 0.0) or self.left() <= 0:
            self.results.left_out.append(name)
            return
        started = time.perf_counter()
        try:
            work()
        except Exception as error:
            traceback.print_exc()
            self.results.failed.append(f"{name}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        if series is not None:
            self.last[series] = time.perf_counter() - started
        self.results.write()
