"""A recorded run's model in this process: the source that an export writes, executed."""

from __future__ import annotations

from typing import Any

from dnntrain.inference.exporters.model_source import model_source
from dnntrain.inference.exporters.plain_model import PlainModel
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.imports import import_module


def torch_module(model: PlainModel) -> torch.nn.Module:
    """The module with its weights, in eval mode. Its parameters can be trained on.

    Args:
        model: The model.
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
    return module.eval()
