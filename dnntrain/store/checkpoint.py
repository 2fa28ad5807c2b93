"""The state of a run between two epochs, from which its training resumes bit for bit. Needs no torch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.utils.finite import check_finite

History = list[dict[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the rest of a run's training depends on, apart from its spec.

    Random streams are keyed by seed and epoch, and schedules and early stopping follow from the history, so neither is
    saved.
    """

    history: History
    """The rows of the current stage."""
    kept_epoch: int
    """The epoch (from 1) whose weights are the best so far; 0 for none."""
    seconds: float
    tensors: dict[str, np.ndarray]
    """Weights, their average, optimizer state and the best weights, without the member axis P."""
    environment: dict[str, Any] = field(default_factory=dict)
    """What trained it. In another environment the rest could have other bits, so the run starts anew there."""
    stage: int = 0
    """The stage of a transfer, from 0."""
    probes: dict[str, Any] = field(default_factory=dict)
    """What was measured at single steps of the current stage, as `RunProbes` has it; empty in old checkpoints."""
    earlier: History = field(default_factory=list)
    """The rows of earlier stages."""
    earlier_seconds: float = 0.0
    earlier_probes: dict[str, Any] = field(default_factory=dict)
    cpu_seconds: float = math.nan
    """nan in old checkpoints."""
    earlier_cpu_seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs trained so far, over all stages."""
        return len(self.earlier) + len(self.history)

    def to_bytes(self) -> bytes:
        """A safetensors file with everything but the tensors in its header."""
        from safetensors.numpy import save

        state = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "tensors"}
        return save(self.tensors, metadata={"checkpoint": json.dumps(state)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote; InputError if it is damaged, or a weight is nan or infinite."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(content)
            size = int.from_bytes(content[:8], "little")
            state = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["checkpoint"])
            checkpoint = cls(tensors=tensors, **state)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"no checkpoint ({error})") from None
        weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("now.", "average.", "best."))}
        check_finite(weights, "no checkpoint")
        return checkpoint
