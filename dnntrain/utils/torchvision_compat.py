"""Imports torchvision even if its compiled operators do not load. The only module here that needs torch."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from dnntrain.utils.torch_start import complete_torch

_library: Any = None  # torch drops the operators when their library is garbage-collected


def import_torchvision() -> ModuleType:
    """Import torchvision with its datasets, models, and transforms.

    With a CPU-only torch, a torchvision built for CUDA raises "operator torchvision::nms does not exist". Only
    detection models need that operator; declaring it without code lets everything else work.

    Raises:
        ImportError: torchvision is not installed.
    """
    complete_torch()
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    _declare_operators()
    return importlib.import_module("torchvision")


def _declare_operators() -> None:
    global _library
    _library = importlib.import_module("torch.library").Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
