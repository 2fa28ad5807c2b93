"""The figures by which runs are judged: what they are called, which way is better, and how they are shown."""

from __future__ import annotations

import math

PARTS = ("train", "val", "test", "mc_test")
"""What a figure is measured on; mc_test is the test part with Monte Carlo dropout."""

MEASURES = {"classification": ("loss", "acc"), "regression": ("loss", "r2", "rmse")}
"""What is measured, by task: the loss that is trained on (cross-entropy, or the mean squared error in standard
deviations of the target), accuracy, R² (the share of the target's variance that is explained), and the root of the mean
squared error in the target's own unit."""

LOWER_IS_BETTER = ("loss", "rmse")

METRICS = tuple(
    f"{part}_{measure}"
    for measures in (MEASURES["classification"], MEASURES["regression"][1:])
    for part in ("val", "test", "train", "mc_test")
    for measure in reversed(measures)
)
"""What a study may be judged by."""


def results_of(task: str) -> tuple[str, ...]:
    """A run's figures in the order of their columns: train_loss, train_acc, val_loss, …"""
    return tuple(f"{part}_{measure}" for part in PARTS for measure in MEASURES[task])


def score(task: str) -> str:
    """What counts for people, the higher the better: acc or r2."""
    return MEASURES[task][1]


def measure_of(metric: str) -> str:
    """loss, acc, r2 or rmse."""
    return metric.rpartition("_")[2]


def score_beside(metric: str) -> str:
    """The measure of the metric's task that is shown first: acc, or r2 for a regression's figures."""
    return "r2" if measure_of(metric) in ("r2", "rmse") else "acc"


def is_share(metric: str) -> bool:
    """Whether the metric is a share, shown in percent: an accuracy."""
    return measure_of(metric) == "acc"


def higher_is_better(metric: str) -> bool:
    """Accuracies and R² are better the higher, losses and errors the lower."""
    return measure_of(metric) not in LOWER_IS_BETTER


def impossible(metric: str, value: float) -> str | None:
    """What is wrong with a value that the metric cannot have, and whether percent were meant; None for any other."""
    high = 1.0 if measure_of(metric) in ("acc", "r2") else math.inf
    low = -math.inf if measure_of(metric) == "r2" else 0.0
    if low <= value <= high:
        return None
    bounds = f"from {low:g} to {high:g}" if is_share(metric) else f"at most {high:g}" if value > high else "0 or more"
    percent = f"; did you mean {value / 100:.6g} ({value:.6g} %)?" if high < value <= 100 else ""
    return f"must be {bounds}, not {value:.6g}{percent}"
