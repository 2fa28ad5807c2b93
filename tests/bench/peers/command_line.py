"""How long commands take from their start to their end: the median of some starts, as a shell would start them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.peers.contenders import OURS
from tests.bench.peers.machine import median

STARTS = 5
NOTHING = """\
name: nothing
base: {data: fashion-mini, train_size: 100, val: 100, hidden: 10, epochs: 1}
factors: {dropout: {dropout: 0.1}}
seeds: 2
"""
"""A study that does next to nothing: 2 arms, 2 seeds, an epoch of 100 images."""


def command_seconds(starts: int, say: Callable[[str], None]) -> dict[str, float]:
    """The median seconds of each command."""
    with tempfile.TemporaryDirectory() as folder:
        preset, out = Path(folder, "nothing.yaml"), Path(folder, "runs")
        preset.write_text(NOTHING, encoding="utf-8")

        def fresh() -> str:
            return tempfile.mkdtemp(dir=folder)

        seconds_of("ablate", str(preset), "--out", str(out))  # the first start also compiles Python's files
        commands: dict[str, Callable[[], list[str]]] = {
            "help": lambda: ["--help"],
            "report": lambda: ["report", str(out / "nothing")],
            "study of nothing": lambda: ["ablate", str(preset), "--out", fresh()],
            "train": lambda: ["train", "--out", fresh()],
        }
        found: dict[str, list[float]] = {name: [] for name in commands}
        for start in range(starts):
            say(f"dnntrain: {', '.join(commands)}: start {start + 1} of {starts}")
            for name, arguments in commands.items():
                found[name].append(seconds_of(*arguments()))
    return {name: median(seconds) for name, seconds in found.items()}


def seconds_of(*arguments: str) -> float:
    """Seconds of one command."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | OURS
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dnntrain", *arguments], env=environment, check=True, capture_output=True)
    return time.perf_counter() - started
