"""A run between two epochs, so that a long one goes on where it was, bit for bit. Needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.utils.finite import check_finite

History = list[dict[str, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """All that the rest of a run's training depends on.

    What is not here follows from the spec: random streams are keyed by seed and epoch; schedules and early stopping
    follow the history.
    """

    history: History
    """The rows of its stage so far."""
    kept_epoch: int
    seconds: float
    tensors: dict[str, np.ndarray]
    """Weights, the optimizer's memory, and the best weights, without the axis P."""
    environment: dict[str, Any] = field(default_factory=dict)
    """What trained it: elsewhere the rest would have other bits."""
    stage: int = 0
    """Which stage of a transfer it is in."""
    earlier: History = field(default_factory=list)
    """The rows of the stages before."""
    earlier_seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """How many epochs the run was trained."""
        return len(self.earlier) + len(self.history)

    def to_bytes(self) -> bytes:
        """As a safetensors file, with all but the tensors in its header."""
        from safetensors.numpy import save

        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "tensors"}
        return save(self.tensors, metadata={"checkpoint": json.dumps(said)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """What `to_bytes` made; InputError where that is damaged, or a weight is nan or infinite."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(content)
            size = int.from_bytes(content[:8], "little")
            said = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["checkpoint"])
            made = cls(tensors=tensors, **said)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"no checkpoint ({error})") from None
        weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("now.", "best."))}
        check_finite(weights, "no checkpoint")
        return made
