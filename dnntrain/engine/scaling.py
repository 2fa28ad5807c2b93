"""Figures that fill and scale inputs and targets, measured on the training part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dnntrain.metrics import TargetInfo
from dnntrain.utils.lazy import torch

MEASURED = ("input.fill", "input.offset", "input.factor")
"""Recorded with a network's weights, but measured on its training data: the numbers that fill and scale its inputs."""


def flat(values: np.ndarray) -> np.ndarray:
    """(N, *shape) → (N, features), without a copy."""
    return values.reshape(len(values), -1)


def column_means(values: np.ndarray) -> np.ndarray:
    """The mean of the known values in each column of (n, features), float64 (features,); 0 if there are none.

    The mean of equal values is exactly that value, so that filling gaps with it keeps a constant column constant.
    """
    there = ~np.isnan(values)
    rows = there.argmax(axis=0)  # the first that is there
    first = np.where(there.any(axis=0), values[rows, np.arange(values.shape[1])], 0.0).astype(np.float64)
    rest = np.zeros_like(first)
    for chunk in chunks(np.arange(len(values))):
        rest += np.where(there[chunk], values[chunk] - first, 0.0).sum(axis=0)
    means: np.ndarray = first + rest / np.maximum(there.sum(axis=0), 1)
    return means


def fill_missing(values: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """(N, features) with each nan replaced by its column's `fill`."""
    gaps = np.isnan(values)
    return np.where(gaps, fill.astype(values.dtype), values) if gaps.any() else values


def scaled_as_recorded(x: torch.Tensor, weights: Mapping[str, np.ndarray], scale: str) -> torch.Tensor:
    """Fill gaps in inputs and scale them by the figures that a run's weights file holds.

    Args:
        x: Inputs (rows, features) as they are in the data: levels, numbers, or tokens (int32).
        weights: The run's tensors, `input.fill`, `input.offset`, and `input.factor` among them where it has them.
        scale: The run's `scale`.

    Returns:
        float32 (rows, features), or int64 if they are tokens.
    """
    if x.dtype == torch.int32:
        return x.to(torch.int64)
    fill, offset, factor = (
        torch.from_numpy(weights[name]).to(x.device) if name in weights else None for name in MEASURED
    )
    images = x.dtype == torch.uint8
    if fill is not None:
        x = torch.where(x.isnan(), fill.to(x.dtype), x)
    if offset is not None and factor is not None:
        scaled = ((x - offset) * factor).to(torch.float32)
        return torch.nan_to_num(scaled)  # records of engines before 5 have no fill: a gap is the mean, 0
    return x.to(torch.float32) * (1.0 / 255.0 if scale in ("auto", "unit") and images else 1.0)


def standardize_targets(
    train: np.ndarray, test: np.ndarray, fitted: np.ndarray, validation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, TargetInfo]]:
    """Targets in standard deviations of the `fitted` ones from their mean, and what metrics need of each part.

    The fitted ones are the targets of the whole training part; `validation` are rows of `train`.
    """
    mean = float(fitted.mean())
    # the deviation of equal numbers is 0, whatever rounding makes of it
    deviation = float(fitted.std()) if np.ptp(fitted) > 0 else 1.0
    train, test, fitted = ((part - mean) / deviation for part in (train, test, fitted))
    parts = {"train": fitted, "val": train[validation], "test": test}
    variances = {name: float(part.var()) if np.ptp(part) > 0 else 0.0 for name, part in parts.items()}
    info = {name: TargetInfo(0, deviation, variance, mean) for name, variance in variances.items()}
    return train.astype(np.float32), test.astype(np.float32), info


def mean_and_std(values: np.ndarray, indices: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over values[indices], (n, features) → float64 (features,).

    The squares are of deviations from the first row, so that no digits are lost if the mean is large. Sums of pixel
    levels are whole numbers, exact in any order: few rows at a time, which stay in the cache. The deviation of equal
    values is 0.
    """
    first = values[indices[0]].astype(np.float64)
    total, squares = np.zeros_like(first), np.zeros_like(first)
    for chunk in chunks(indices, 128 if values.dtype == np.uint8 else 2048):
        rows = values[chunk].astype(np.float64)
        rows -= first
        total += rows.sum(axis=0)
        squares += np.square(rows, out=rows).sum(axis=0)
    mean = total / len(indices)
    variance = np.maximum(squares / len(indices) - mean**2, 0.0)
    mean = first + mean
    if channels < values.shape[1]:
        # a channel's variance is the mean variance of its inputs plus the variance of their means
        size, start = values.shape[1] // channels, mean.reshape(channels, -1)[:, :1]
        shift = mean.reshape(channels, -1) - start
        mean = np.repeat(start[:, 0] + shift.mean(axis=1), size)
        variance = np.repeat(variance.reshape(channels, -1).mean(axis=1) + shift.var(axis=1), size)
    return mean, np.sqrt(variance)


def min_and_range(values: np.ndarray, indices: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest value and range of each channel over values[indices], (n, features) → float64 (features,)."""
    least = np.min([values[chunk].min(axis=0) for chunk in chunks(indices)], axis=0).astype(np.float64)
    most = np.max([values[chunk].max(axis=0) for chunk in chunks(indices)], axis=0)
    if channels < values.shape[1]:
        size = values.shape[1] // channels
        least = np.repeat(least.reshape(channels, -1).min(axis=1), size)
        most = np.repeat(most.reshape(channels, -1).max(axis=1), size)
    return least, most - least


def chunks(indices: np.ndarray, size: int = 2048) -> list[np.ndarray]:
    """The indices about `size` at a time, so that copies of their rows stay small."""
    return np.array_split(indices, max(1, len(indices) // size))
