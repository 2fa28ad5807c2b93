"""Runs dnntrain as its users do, and notes how long that took."""

from __future__ import annotations

import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REQUIREMENTS_ANSWERED = (0, 1, 3)
"""Exit codes of a report with requirements: all hold, one fails, one is inconclusive."""


class CommandError(Exception):
    """A command failed, with the last line that it printed to stderr."""


def dnntrain(arguments: Sequence[str], codes: Sequence[int] = (0,)) -> str:
    """What a command prints to stdout. Its progress goes to our stderr.

    Raises:
        CommandError: If its exit code is none of `codes`.
    """
    command, last = [sys.executable, "-m", "dnntrain", *arguments], "no message"
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        with subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, encoding="utf-8") as process:
            for line in process.stderr or ():
                print(f"  {line.rstrip()}", file=sys.stderr, flush=True)
                last = line.strip() or last
        if process.returncode not in codes:
            raise CommandError(f"exit code {process.returncode}: {last}")
        output.seek(0)
        return output.read()


@dataclass
class StudyRuns:
    """The folder in which studies are recorded, and the seconds that each took to train."""

    runs: Path
    seconds: dict[str, float] = field(default_factory=dict)
    """By command. What is recorded is not trained again, so the first complete call counts, and interrupted ones."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """The same of all processes together, which other work on the machine hardly changes."""
    complete: set[str] = field(default_factory=set)

    @property
    def journal(self) -> Path:
        """Where the times are kept, for the next call."""
        return self.runs / "lecture-times.json"

    @classmethod
    def at(cls, runs: Path) -> StudyRuns:
        """The studies in a folder, with the times of earlier calls."""
        made = cls(runs)
        if made.journal.exists():
            content = json.loads(made.journal.read_text(encoding="utf-8"))
            made.seconds, made.cpu_seconds = content["seconds"], content["cpu_seconds"]
            made.complete = set(content["complete"])
        return made

    def run(self, command: str) -> None:
        """Make what a command makes, unless it did so before; CommandError if it fails."""
        if command in self.complete:
            return
        start, cpu_start = time.monotonic(), cpu_seconds_of_children()
        try:
            dnntrain([*shlex.split(command), "--out", str(self.runs)])
            self.complete.add(command)
        finally:
            for spent, now, before in (
                (self.seconds, time.monotonic(), start),
                (self.cpu_seconds, cpu_seconds_of_children(), cpu_start),
            ):
                spent[command] = spent.get(command, 0.0) + now - before
            self.runs.mkdir(parents=True, exist_ok=True)
            content = {
                "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "complete": sorted(self.complete)
            }  # fmt: skip
            self.journal.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def cpu_seconds_of_children() -> float:
    """The CPU time of all ended child processes and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
