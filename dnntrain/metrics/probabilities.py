"""Metrics of predicted probabilities: how well they rank examples, and how far they can be trusted."""

from __future__ import annotations

import numpy as np

from dnntrain.metrics.base import PERCENT, ExampleMean, Metric, TargetInfo

BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""


class AreaUnderCurve(Metric):
    """The area under the ROC curve; with several classes, the mean of each class against the rest.

    The probability that an example of the class gets a higher score than another example (Mann-Whitney's U). Classes
    that all examples or none belong to are left out; nan if no class remains.
    """

    name, tasks, label = "auc", ("classification",), "AUC"
    higher_is_better, bounds, decimals, delta = True, (0.0, 1.0), 4, "0.003"
    weighs_classes_equally = True
    needs = "examples of at least two classes"

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        if info.n_classes == 2:
            logits = outputs.astype(float)  # probabilities near 1 would round to equal ones
            return area_under_curve(logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0.0), targets == 1)
        scores = class_probabilities(outputs)
        areas = [area_under_curve(scores[:, label], targets == label) for label in range(info.n_classes)]
        known = [area for area in areas if not np.isnan(area)]
        return float(np.mean(known)) if known else np.nan

    def of_constant(self, train_targets: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        return 0.5 if len(np.unique(targets)) > 1 else np.nan  # equal scores rank nothing


class BrierScore(ExampleMean):
    """The squared error of the predicted probabilities, summed over classes; with two, that of the second alone.

    Brier 1950, Verification of forecasts expressed in terms of probability.
    """

    name, tasks, label = "brier", ("classification",), "Brier score"
    higher_is_better, bounds = False, (0.0, 2.0)

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        error = class_probabilities(outputs)
        error[np.arange(len(targets)), targets.astype(np.int64)] -= 1
        summed: np.ndarray = (error**2).sum(axis=1)
        return summed / 2 if info.n_classes == 2 else summed


class ExpectedCalibrationError(Metric):
    """How far the probability of the predicted class is from the share that is right, on average over 15 equal bins.

    Guo et al. 2017, On Calibration of Modern Neural Networks, eq. 3. A constant prediction of the class shares is well
    calibrated, so a lost run counts as the worst value instead.
    """

    name, tasks, label = "ece", ("classification",), "expected calibration error"
    higher_is_better, bounds, unit, decimals, delta = False, (0.0, 1.0), PERCENT, 2, "0.3pp"
    constant_is_good = True

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        probabilities = class_probabilities(outputs)
        confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
        # bins (0, 1/15], (1/15, 2/15], …
        bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        gaps = np.bincount(bins, weights=confidence - is_right, minlength=BINS)
        return float(np.abs(gaps).sum() / len(targets))

    def of_constant(self, train_targets: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        return 1.0


def class_probabilities(outputs: np.ndarray) -> np.ndarray:
    """The probability of each class, float64 (rows, classes), of outputs (rows, units): logits or log-probabilities."""
    logits = outputs.astype(float)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def area_under_curve(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """The area under the ROC curve of scores (rows,), by ranks; nan without positives or without negatives."""
    positives = int(is_positive.sum())
    negatives = len(scores) - positives
    if not positives or not negatives:
        return np.nan
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # equal scores share the mean of their ranks
    rank_sum = ranks[places][is_positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))
