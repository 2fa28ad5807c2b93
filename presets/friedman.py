"""Data of preset outliers: a known function of five of ten inputs, with outliers among the training targets."""

import numpy as np


def load(outliers: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """2,000 training and 1,000 test examples of 10 inputs (Friedman 1991, Multivariate Adaptive Regression Splines).

    The noise has deviation 1. A share `outliers` of the training targets is off by another 30 or so, either way.
    """
    rng = np.random.default_rng(0)
    x = rng.random((3000, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y += rng.standard_normal(3000)
    is_outlier = (rng.random(3000) < outliers) & (np.arange(3000) < 2000)
    y[is_outlier] += 30 * rng.standard_normal(is_outlier.sum())
    return x[:2000], y[:2000], x[2000:], y[2000:]
