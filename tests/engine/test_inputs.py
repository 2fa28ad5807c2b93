"""What the first layer receives: tokens as they are, and numbers scaled by input or by channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.errors import InputError
from dnntrain.studies.feasibility import check_run

CPU = torch.device("cpu")
CLASSES = ("a", "b")
N = 90


def dataset(inputs: np.ndarray) -> Dataset:
    """The first 60 examples train and validate, the others test."""
    targets = np.arange(len(inputs)) % 2
    return Dataset("made", inputs[:60], targets[:60], inputs[60:], targets[60:], CLASSES, "0" * 16, "none")


def spec(**settings: Any) -> RunSpec:
    return RunSpec.parse({"hidden": "4", "batch_size": 8, "val": 20} | settings)


def examples(*shape: int, kind: str = "numbers") -> np.ndarray:
    """Examples whose channels have means and deviations of their own."""
    rng, ends = np.random.default_rng(0), np.arange(1, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    if kind == "images":
        return (rng.integers(0, 256, (N, *shape)) // ends).astype(np.uint8)
    return 1000.0 * ends + ends * rng.normal(size=(N, *shape))


def test_tokens_reach_the_first_layer_as_they_are() -> None:
    tokens = np.random.default_rng(0).integers(0, 1000, (N, 3, 5)).astype(np.int32)
    made = BatchSource(dataset(tokens), [spec(seed=0), spec(seed=1)], CPU)
    assert made.scaling()[0] == {}
    [first, *_] = made.epoch([0, 1], 0)
    assert first.x.dtype == torch.int64 and first.x.shape[0] == 2 and first.x.shape[2] == 15
    known = {row.tobytes() for row in tokens[:40].reshape(40, -1).astype(np.int64)}
    assert {row.numpy().tobytes() for row in first.x[0, : first.real]} <= known
    [batch] = made.test()
    np.testing.assert_array_equal(batch.x[0, : batch.real], tokens[60:].reshape(30, -1))


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_tokens_are_not_scaled(scale: str) -> None:
    outline = dataset(np.ones((N, 5), np.int32)).outline
    with pytest.raises(InputError, match=f"^scale {scale}: the inputs are tokens"):
        check_run(spec(scale=scale), outline)


def test_a_dense_network_takes_no_tokens() -> None:
    with pytest.raises(InputError, match=r"^net mlp: takes numbers, but the inputs are tokens"):
        check_run(spec(), dataset(np.ones((N, 5), np.int32)).outline)


def test_a_token_is_an_index() -> None:
    tokens = np.ones((N, 5), np.int32)
    tokens[70, 2] = -1
    with pytest.raises(InputError, match="test part: a token is -1"):
        dataset(tokens)


@pytest.mark.parametrize("kind", ["images", "numbers"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_scaling_by_channel(scale: str, shape: tuple[int, ...], kind: str) -> None:
    if kind == "images" and scale == "unit":
        return  # levels from 0 to 255 become 0 to 1, whatever the channel
    inputs = examples(*shape, kind=kind)
    members = [spec(net="cnn:channels=2", seed=seed, scale=scale, train_size=30) for seed in (0, 1)]
    made = BatchSource(dataset(inputs), members, CPU)
    for member, train in enumerate(made.train_indices):
        seen = inputs[train].astype(np.float64)
        seen = seen[:, None] if len(shape) == 2 else seen  # (H, W) is one channel
        axes = (0, *range(2, seen.ndim))
        middle, spread = (
            (seen.mean(axes), seen.std(axes)) if scale == "standard" else (seen.min(axes), np.ptp(seen, axes))
        )
        size = np.prod(shape) // len(middle)
        kept = made.scaling()[member]
        assert kept["input.offset"].shape == kept["input.factor"].shape == (1, np.prod(shape))  # as in every record
        np.testing.assert_allclose(kept["input.offset"][0], np.repeat(middle, size), rtol=1e-6)
        np.testing.assert_allclose(kept["input.factor"][0], np.repeat(1 / spread, size), rtol=1e-6)
    [batch] = made.select([1]).test()
    expected = (inputs[60:].reshape(30, -1) - np.repeat(middle, size)) / np.repeat(spread, size)
    np.testing.assert_allclose(batch.x[0, :30].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_constant_channel_becomes_0() -> None:
    """The mean of equal numbers is not always that number."""
    inputs = examples(2, 7, 7)
    inputs[:, 1] = 0.1
    made = BatchSource(dataset(inputs), [spec(net="cnn:channels=2", scale="standard")], CPU)
    [batch] = made.test()
    assert batch.x[0, :30, :49].abs().max() > 1 and not batch.x[0, :30, 49:].any()


def test_an_epoch_that_is_drawn_ahead_is_the_same(few: Dataset) -> None:
    specs = [
        RunSpec.parse({"seed": seed, "train_size": 40, "val": 50, "crop": 2, "flip": "alternating"})
        for seed in range(3)
    ]
    ahead, now = (BatchSource(few, specs, torch.device("cpu")) for _ in range(2))
    ahead.draw_ahead([0, 1, 2], 4)
    for epoch in (4, 5):
        pairs = zip(ahead.select([0, 2]).epoch([0, 2], epoch), now.select([0, 2]).epoch([0, 2], epoch), strict=True)
        assert all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in pairs)
