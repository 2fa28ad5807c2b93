"""torchvision, even where its compiled operators do not load. The only module of this package that needs torch."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

_library: Any = None  # torch forgets the declared operators when their library is collected


def import_torchvision() -> ModuleType:
    """The module torchvision, with its datasets, models and transforms; ImportError where it is not installed.

    A torchvision built for CUDA beside a CPU-only torch stops with "operator torchvision::nms does not exist". Only
    detection models need that operator: declared, without code, it lets everything else work.
    """
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
