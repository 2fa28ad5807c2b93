"""How much memory there is for training, and how many examples at once may fill it."""

from __future__ import annotations

import os
from pathlib import Path

from dnntrain.utils import cgroups

EVALUATION_ROWS = 512
"""Examples that are evaluated at once: enough to spread a step's fixed cost, few enough for their activations."""


def available() -> int | None:
    """Bytes that processes may still take on this machine, or in this container; None where nothing says."""
    return min(filter(None, (_of_machine(), cgroups.memory())), default=None)


def _of_machine() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        names = getattr(os, "sysconf_names", {})
        known = {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys()
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if known else None
