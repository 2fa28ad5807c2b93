"""Gradient accumulation: k mini-batches of b examples train as one of k · b, where no norm sees single ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.errors import InputError
from dnntrain.studies.feasibility import check_run, extent_of, idle_settings
from dnntrain.utils.lazy import torch
from tests.support.plain_training import small_images

SETTINGS = {"train_size": 203, "val": 150, "epochs": 3, "lr": 0.1, "seed": 3}
"""Eleven steps an epoch with 20 examples; the last has 3."""


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    return small_images(mini)


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": "12,5", "optimizer": "sgd:momentum=0.9", "schedule": "power:s=15", "warmup": "4"},
        {"hidden": "12,5", "global_clipnorm": 0.5, "l2": 0.01, "loss": "cross_entropy:class_weights=balanced"},
        {"hidden": "12,5", "sam": 0.1, "ema": 0.9},
        {"net": "cnn:channels=4/4", "hidden": "5", "optimizer": "adam:eps=1e-3", "lr": 0.01},
        {"net": "module:tests/support/own_networks.py:RowReader:kind=GRU", "lookahead": 4},
    ],
    ids=lambda settings: ",".join(settings),
)
@pytest.mark.parametrize("k", [2, 4])
def test_k_batches_are_one_of_k_times_the_size(settings: dict[str, Any], k: int, images: Dataset) -> None:
    whole = RunSpec.parse(SETTINGS | settings | {"batch_size": 20})
    [expected] = train_population([whole], images)
    [run] = train_population([whole.changed(batch_size=20 // k, accumulate=k)], images)
    for column in ("lr", "train_loss", "val_loss", "clipped"):
        assert run.values(column) == pytest.approx(expected.values(column), rel=2e-4)
    for name, array in expected.weights.items():
        np.testing.assert_allclose(run.weights[name], array, rtol=1e-3, atol=2e-5)


def test_lengths_and_rates_count_steps(mini: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | {"batch_size": 20, "accumulate": 4})
    assert BatchSource(mini, [spec], torch.device("cpu")).steps_per_epoch == 3
    extent = extent_of(spec, mini.outline)
    assert (extent.batches_per_epoch, extent.steps_per_epoch) == (11, 3)
    with pytest.raises(InputError, match="warmup 10: longer than the run, 3 epochs of 3 iterations"):
        check_run(spec.changed(warmup=10), mini.outline)


def test_batch_norm_sees_single_mini_batches(images: Dataset) -> None:
    """The first mini-batch initializes the running statistics, and each one moves them."""
    spec = RunSpec.parse(SETTINGS | {"hidden": "6", "bn": True, "lr": 1e-12, "epochs": 1, "batch_size": 20})
    [alone], [grouped] = (train_population([each], images) for each in (spec, spec.changed(accumulate=3)))
    for name in ("hidden1.bn_mean", "hidden1.bn_variance"):
        np.testing.assert_allclose(grouped.weights[name], alone.weights[name], rtol=1e-5)


def test_accumulation_without_effect(mini: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | {"batch_size": 300, "accumulate": 4})
    assert list(idle_settings(spec, mini.outline)) == ["accumulate 4: an epoch is a single mini-batch"]
