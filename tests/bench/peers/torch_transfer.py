"""Transfer in a plain loop: layers of a trained network, frozen at first, the topmost of which trains again later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from peer import Task
from torch import nn


def reuse(task: Task, model: nn.Sequential) -> None:
    """Load and freeze all layers but the last one. dnntrain's kernels are (member, in, out), torch's (out, in)."""
    *reused, _ = dense_layers(model)
    with np.load(Path(task.folder, "base.npz")) as base:
        for number, layer in enumerate(reused, start=1):
            layer.weight.data = torch.from_numpy(base[f"hidden{number}.kernel"].T.copy())
            layer.bias.data = torch.from_numpy(base[f"hidden{number}.bias"].reshape(-1))
            layer.requires_grad_(False)


def unfreeze_top(model: nn.Sequential) -> None:
    """Let the topmost reused layer train again."""
    dense_layers(model)[-2].requires_grad_(True)


def dense_layers(model: nn.Sequential) -> list[nn.Linear]:
    """The dense layers, from below."""
    return [layer for layer in model if isinstance(layer, nn.Linear)]
