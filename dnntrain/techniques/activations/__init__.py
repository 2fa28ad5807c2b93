"""Activations: the nonlinearity after each hidden layer and convolution."""

from __future__ import annotations

import importlib

from dnntrain.techniques.activations.base import Activation as Activation
from dnntrain.techniques.activations.base import ActivationLayer as ActivationLayer
from dnntrain.techniques.activations.base import ActivationSpec as ActivationSpec
from dnntrain.techniques.activations.rectified import ReLU as ReLU

for _kind in ("rectified", "exponential", "bounded", "smooth", "maxout"):  # the order of the catalogue
    importlib.import_module(f"{__name__}.{_kind}")
