"""Averaged predictions: the mean of probabilities or numbers, and intervals over seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit, softmax
from scipy.stats import t

from dnntrain.analysis.averaged_predictions import average, has_same_targets, score_ensemble, score_single
from dnntrain.metrics import TargetInfo
from dnntrain.statistics import jackknife_interval
from dnntrain.store.predictions import Predictions

RNG = np.random.default_rng(0)


def predictions(units: int, n_classes: int, scale: float = 1.0) -> Predictions:
    outputs = {part: (scale * RNG.normal(size=(9, units))).astype(np.float32) for part in ("val", "test")}
    targets = {part: np.arange(9) % n_classes if n_classes else np.linspace(-1, 1, 9) for part in outputs}
    return Predictions(outputs, targets, dict.fromkeys(outputs, TargetInfo(n_classes, 1.0, 1.0, 0.0)))


def test_an_ensemble_averages_probabilities_or_numbers() -> None:
    classes, sigmoid, numbers = ([predictions(*kind) for _ in range(3)] for kind in ((4, 4), (1, 2), (1, 0)))

    def stacked(members: list[Predictions]) -> np.ndarray:
        return np.stack([each.outputs["test"].astype(float) for each in members])

    expected = softmax(stacked(classes), axis=-1).mean(0)
    np.testing.assert_allclose(np.exp(average(classes).outputs["test"]), expected, rtol=1e-12)
    expected = logit(expit(stacked(sigmoid)).mean(0))
    np.testing.assert_allclose(average(sigmoid).outputs["test"], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(average(numbers).outputs["test"], stacked(numbers).mean(0))
    # probabilities that are too small for a float in every network
    assert np.isfinite(average([predictions(3, 3, 1e4) for _ in range(2)]).metric("test_loss"))


def test_the_interval_of_an_ensemble_is_tukeys_jackknife() -> None:
    members = {seed: predictions(4, 4) for seed in range(5)}
    alone = {seed: each.metric("test_loss") for seed, each in members.items()}
    score = score_ensemble("a", "ensemble of 5", "test_loss", members, alone)
    assert score.n == 1 and score.mean == average([*members.values()]).metric("test_loss")

    def gain(seeds: list[int]) -> float:
        return average([members[s] for s in seeds]).metric("test_loss") - float(np.mean([alone[s] for s in seeds]))

    whole = gain([*range(5)])
    pseudo = [5 * whole - 4 * gain([s for s in range(5) if s != left_out]) for left_out in range(5)]
    margin = t.ppf(0.975, 4) * np.std(pseudo, ddof=1) / np.sqrt(5)
    assert score.difference is not None
    found = (score.difference.mean, score.difference.low, score.difference.high)
    assert found == pytest.approx((whole, whole - margin, whole + margin))
    assert np.isnan(jackknife_interval(1.0, [1.0, 2.0]).low)


def test_monte_carlo_is_paired_with_weight_scaling_by_seed() -> None:
    alone, averaged = {0: 0.5, 1: 0.7, 2: 0.9}, {0: 0.45, 1: 0.63, 2: 0.86}
    first, second = score_single("a", "test_loss", alone, averaged)
    assert first.difference is None and (first.prediction, second.prediction) == ("weight scaling", "Monte Carlo")
    difference = np.array([-0.05, -0.07, -0.04])
    margin = t.ppf(0.975, 2) * difference.std(ddof=1) / np.sqrt(3)
    assert second.difference is not None
    ends = (second.difference.low, second.difference.high)
    assert ends == pytest.approx((difference.mean() - margin, difference.mean() + margin))


def test_only_predictions_for_the_same_examples_are_averaged() -> None:
    one, other = predictions(3, 3), predictions(3, 3)
    assert has_same_targets({0: one, 1: other}, "test_loss")
    other.targets["val"][:] = 0  # type: ignore[index]
    assert has_same_targets({0: one, 1: other}, "test_loss") and not has_same_targets({0: one, 1: other}, "val_acc")
