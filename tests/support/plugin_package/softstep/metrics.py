"""A metric."""

from __future__ import annotations

import numpy as np

from dnntrain.metrics import ExampleMean, MeanLoss, TargetInfo


class Confidence(ExampleMean):
    """The mean probability of the right class."""

    name, tasks, label = "confidence", ("classification",), "mean probability of the right class"
    higher_is_better, bounds, unit, delta = True, (0.0, 1.0), "%", "0.3pp"

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        return np.exp(-MeanLoss().per_example(outputs, targets, info))
