"""Metrics of regressions. Outputs and targets are standardized; errors are shown in the target's own unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dnntrain.metrics.base import PERCENT, ExampleMean, RowMean, TargetInfo, squared_errors

NEARLY_ZERO = 1e-6
"""Targets this small, compared with their mean and deviation, are 0 for `mape`: standardizing in float32 rounds."""


class R2(RowMean):
    """The share of the target's variance that is explained, 1 - MSE / variance; nan where the targets are all equal."""

    name, tasks, label = "r2", ("regression",), "R²"
    higher_is_better, bounds, delta = True, (-math.inf, 1.0), "0.01"
    needs = "targets that differ"

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        return squared_errors(outputs, targets)

    def from_mean(self, mean: np.ndarray, info: TargetInfo) -> np.ndarray:
        r2: np.ndarray = 1 - mean / (info.variance or np.nan)
        return r2


class RootMeanSquaredError(RowMean):
    """The root of the mean squared error, in the target's own unit."""

    name, tasks, label = "rmse", ("regression",), "RMSE"
    higher_is_better, bounds, unit = False, (0.0, math.inf), "units of the target"
    judges = ("regression",)

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        return squared_errors(outputs, targets)

    def from_mean(self, mean: np.ndarray, info: TargetInfo) -> np.ndarray:
        rmse: np.ndarray = np.sqrt(mean) * info.deviation
        return rmse


class MeanAbsoluteError(ExampleMean):
    """The mean absolute error, in the target's own unit."""

    name, tasks, label = "mae", ("regression",), "MAE"
    higher_is_better, bounds, unit = False, (0.0, math.inf), "units of the target"

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        errors: np.ndarray = np.abs(outputs[:, 0].astype(float) - targets) * info.deviation
        return errors


class MeanAbsolutePercentageError(ExampleMean):
    """The mean of the absolute error as a share of the target's size.

    nan if a target is 0, or the targets' mean is not known.
    """

    name, tasks, label = "mape", ("regression",), "MAPE"
    higher_is_better, bounds, unit = False, (0.0, math.inf), PERCENT
    needs = "targets other than 0"

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        sizes = np.abs(info.mean + info.deviation * targets.astype(float))
        is_zero = sizes <= NEARLY_ZERO * max(abs(info.mean), info.deviation)
        errors = np.abs(outputs[:, 0].astype(float) - targets) * info.deviation
        shares: np.ndarray = np.divide(errors, sizes, out=np.full_like(sizes, np.nan), where=~is_zero)
        return shares
