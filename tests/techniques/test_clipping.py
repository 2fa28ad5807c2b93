"""Gradient clipping: Keras's numbers, torch's global norm, one threshold for each member."""

from __future__ import annotations

import pytest
import torch

from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import stack, techniques_in
from dnntrain.techniques.clipping import Clipping

EVERY_CLIPPING = [clipping.name for clipping in techniques_in(Clipping)]


def clip(name: str, thresholds: list[float], grads: list[torch.Tensor]) -> list[bool]:
    """Clip in place, each member by its own threshold; which were clipped."""
    members = [CATALOGUE[name](threshold=threshold) for threshold in thresholds]
    return stack(members).clip(grads).tolist()


def random_grads(members: int, seed: int = 0) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(members, *shape, generator=random) for shape in [(5, 4), (1, 4), (4, 3), (1, 3)]]


def test_the_lectures_vector() -> None:
    by_value, by_norm = torch.tensor([[[0.9, 100.0]]]), torch.tensor([[[0.9, 100.0]]])
    assert clip("clipvalue", [1.0], [by_value]) == [True]
    assert clip("clipnorm", [1.0], [by_norm]) == [True]
    assert by_value.flatten().tolist() == pytest.approx([0.9, 1.0], rel=1e-6)
    assert by_norm.flatten().tolist() == pytest.approx([0.00899964, 0.9999595], rel=1e-6)


def test_clipvalue_cuts_both_signs_of_every_tensor() -> None:
    grads = [torch.tensor([[[-3.0, 0.5]], [[-3.0, 0.5]]]), torch.tensor([[[9.0]], [[1.5]]])]
    assert clip("clipvalue", [1.0, 2.0], grads) == [True, True]
    assert grads[0].flatten().tolist() == [-1.0, 0.5, -2.0, 0.5]
    assert grads[1].flatten().tolist() == [1.0, 1.5]


def test_clipnorm_takes_each_tensor_for_itself() -> None:
    small, large = torch.full((1, 1, 4), 0.1), torch.full((1, 2, 2), 10.0)
    assert clip("clipnorm", [1.0], [small, large]) == [True]
    assert torch.equal(small, torch.full((1, 1, 4), 0.1))
    torch.testing.assert_close(large, torch.full((1, 2, 2), 0.5))


def test_global_clipnorm_is_torchs() -> None:
    thresholds = [0.5, 3.0, 5.0, 100.0]
    grads, before = random_grads(4), random_grads(4)
    clipped = clip("global_clipnorm", thresholds, grads)
    for member, threshold in enumerate(thresholds):
        weights = [torch.zeros_like(g[member], requires_grad=True) for g in before]
        for weight, g in zip(weights, before, strict=True):
            weight.grad = g[member].clone()
        norm = torch.nn.utils.clip_grad_norm_(weights, threshold)
        assert clipped[member] == (norm > threshold).item()
        for weight, g in zip(weights, grads, strict=True):
            torch.testing.assert_close(g[member], weight.grad, rtol=1e-5, atol=1e-7)
    assert clipped == [True, True, True, False]


@pytest.mark.parametrize("name", EVERY_CLIPPING)
def test_each_member_has_its_own_threshold(name: str) -> None:
    grads = random_grads(3)
    assert clip(name, [0.1, 1e6, 0.2], grads) == [True, False, True]
    for g, before in zip(grads, random_grads(3), strict=True):
        assert torch.equal(g[1], before[1])  # below the threshold not a bit changes
    for member, threshold in [(0, 0.1), (2, 0.2)]:
        alone = [g[[member]] for g in random_grads(3)]
        assert clip(name, [threshold], alone) == [True]
        for g, expected in zip(grads, alone, strict=True):
            assert torch.equal(g[[member]], expected)
            assert g[member].abs().max() <= threshold * (1 + 1e-6)


@pytest.mark.parametrize("name", EVERY_CLIPPING)
def test_a_gradient_at_the_threshold_is_not_clipped(name: str) -> None:
    grads = [torch.tensor([[[2.0, 0.0]], [[2.5, 0.0]]])]
    assert clip(name, [2.0, 2.0], grads) == [False, True]
    assert grads[0].flatten().tolist() == [2.0, 0.0, 2.0, 0.0]


@pytest.mark.parametrize("name", EVERY_CLIPPING)
def test_a_zero_gradient_stays_zero(name: str) -> None:
    grads = [torch.zeros(2, 3, 2), torch.zeros(2, 1, 2)]
    assert clip(name, [1.0, 1e-6], grads) == [False, False]
    assert all((g == 0).all() for g in grads)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", EVERY_CLIPPING)
def test_a_ruined_member_leaves_the_others_alone(name: str, bad: float) -> None:
    grads, sound = random_grads(3), random_grads(3)
    grads[0][1, 2, 2] = bad
    flags, expected = clip(name, [0.1, 0.1, 1e6], grads), clip(name, [0.1, 0.1, 1e6], sound)
    assert flags[0] == expected[0] is True
    assert flags[2] == expected[2] is False
    for g, untouched in zip(grads, sound, strict=True):
        assert torch.equal(g[[0, 2]], untouched[[0, 2]])
