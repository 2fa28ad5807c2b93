"""The command line as its users run it: in this process, which has torch loaded, or in one of its own.

A process that loads torch takes seconds, so a test asks for its own only if it is about processes: exit codes and
streams of the real program, what it imports, signals, workers, and bits that must be the same in another process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dnntrain.executors.environment import WORKER_ENVIRONMENT
from tests.support.inline import TERMINAL, run_here

QUICK = ("--hidden", "16", "--epochs", "2", "--train-size", "500", "--val", "500")
"""Flags of a run that takes a moment."""


def environment(**more: str) -> dict[str, str]:
    """A plain environment without a terminal's width or colors, or the settings of a worker."""
    dropped = {*TERMINAL, "PYTHONPATH", *WORKER_ENVIRONMENT}
    return {key: value for key, value in os.environ.items() if key not in dropped} | more


def dnntrain(
    *words: object, cwd: Path | None = None, process: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `dnntrain WORDS…` to its end, in this process unless it is to have its own."""
    texts = [str(word) for word in words]
    if not process:
        return run_here(texts, cwd or Path.cwd(), env)
    return subprocess.run(
        [sys.executable, "-m", "dnntrain", *texts],
        cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def succeeds(*words: object, cwd: Path | None = None, process: bool = False, **env: str) -> str:
    """What the command prints on stdout; it has to end well."""
    done = dnntrain(*words, cwd=cwd, process=process, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def error_of(*words: object, code: int = 2, cwd: Path | None = None, process: bool = False, **env: str) -> str:
    """The error that the command ends with: short, on stderr, no traceback."""
    done = dnntrain(*words, cwd=cwd, process=process, **env)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.strip().splitlines()
    assert len(done.stderr.strip().splitlines()) <= 8
    assert "error:" in done.stderr, last
    return done.stderr
