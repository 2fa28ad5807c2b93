"""What benchmarks share: the environment of a worker, for those that time what a worker does, and a look at targets."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dnntrain.executors.environment import WORKER_ENVIRONMENT


def as_worker() -> None:
    """Begin this program again in a worker's environment, which has to be there before torch, unless it is."""
    if any(os.environ.get(key) != value for key, value in WORKER_ENVIRONMENT.items()):
        os.environ.update(WORKER_ENVIRONMENT)
        os.execv(sys.executable, sys.orig_argv)


def check_target(parser: argparse.ArgumentParser, file: Path) -> None:
    """Refuse, before anything is measured, a file that could not be written after."""
    if file.suffix not in (".json", ".svg", ".png"):
        parser.error(f"{file}: its name ends in .json, .svg or .png")
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        parser.error(f"{file}: {file.parent} is no folder that can be written to")
