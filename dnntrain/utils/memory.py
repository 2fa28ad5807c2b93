"""How much memory is free for training, and how many examples are evaluated at once."""

from __future__ import annotations

import psutil

from dnntrain.utils import cgroups

EVALUATION_ROWS = 512
"""Examples per evaluation batch: enough to amortize a step's fixed cost, few enough for their activations to fit."""


def available() -> int:
    """Free memory in bytes: that of the machine, or what the container's limit leaves (psutil does not see limits)."""
    machine = int(psutil.virtual_memory().available)
    return min(machine, cgroups.memory() or machine)
