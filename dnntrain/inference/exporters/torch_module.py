"""A recorded run's model in this process: the source that an export writes, executed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.inference.exporters.model_source import model_source
from dnntrain.inference.exporters.plain_model import PlainModel
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.imports import import_module
from dnntrain.utils.user_code.reference import pinned

CHECKED_ROWS = 5
"""Examples by which a module is compared with the run's own layers."""
LARGEST_DIFFERENCE = 1e-3
"""Between their outputs, relative to the largest."""


def torch_module(model: PlainModel) -> torch.nn.Module:
    """The module with its weights, in eval mode. Its parameters can be trained on.

    Args:
        model: The model.

    Raises:
        InputError: It computes other outputs than the run's own layers: one of them is not what it says it is in torch.
    """
    for part in model.parts.values():
        for line in part.imports:
            import_module(line.split()[1])  # torchvision may not import by itself
    path = f"model.py of run {model.record.run}"
    namespace: dict[str, Any] = {"__name__": f"run_{model.record.run}", "__file__": path}
    source = model_source(model, code=model.code_folder)
    exec(compile(source, path, "exec"), namespace)
    module: torch.nn.Module = namespace["Model"]()
    module.load_state_dict(model.state_dict())
    check_outputs(module.eval(), model)
    return module


def check_outputs(module: torch.nn.Module, model: PlainModel) -> None:
    """Raise InputError unless a module computes what the run's own layers do."""
    example = model.example(CHECKED_ROWS)
    inputs = example.numpy().astype(np.int32) if model.data.kind == "tokens" else example.numpy()
    with torch.no_grad(), pinned(model.recorded.code):
        expected, computed = model.recorded.forward(inputs)[0], module(example)
    if model.target:
        expected = expected * model.target.deviation + model.target.mean
    difference = float((computed - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
    if not difference < LARGEST_DIFFERENCE:
        raise InputError(
            f"run {model.record.run}: its layers in plain torch compute other outputs (relative difference "
            f"{difference:.2g}); a plug-in's `to_torch` may be wrong, or missing"
        )
