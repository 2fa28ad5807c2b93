"""The command line as its users run it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dnntrain.executors.environment import WORKER_ENVIRONMENT

QUICK = ("--hidden", "16", "--epochs", "2", "--train-size", "500", "--val", "500")
"""Flags of a run that takes a moment."""


def environment(**more: str) -> dict[str, str]:
    """A plain environment without a terminal's width or colors, or the settings of a worker."""
    dropped = {"COLUMNS", "FORCE_COLOR", "PYTHONPATH", *WORKER_ENVIRONMENT}
    return {key: value for key, value in os.environ.items() if key not in dropped} | more


def dnntrain(*words: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `dnntrain WORDS…` to its end."""
    command = [sys.executable, "-m", "dnntrain", *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=120, check=False
    )


def succeeds(*words: object, cwd: Path | None = None, **env: str) -> str:
    """What the command prints on stdout; it has to end well."""
    done = dnntrain(*words, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def error_of(*words: object, code: int = 2, cwd: Path | None = None, **env: str) -> str:
    """The error that the command ends with: short, on stderr, no traceback."""
    done = dnntrain(*words, cwd=cwd, **env)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.strip().splitlines()
    assert len(done.stderr.strip().splitlines()) <= 8
    assert "error:" in done.stderr, last
    return done.stderr
