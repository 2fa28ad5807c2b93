"""Augmentation against torchvision and timm, each given the same draws, and the distribution of the draws."""

from __future__ import annotations

import math
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.random import generator
from dnntrain.techniques.augmentation.base import EpochOrder, ImageAugmentation
from dnntrain.techniques.augmentation.images import ColorJitter, Crop, Cutout, Flip, RandomErasing
from dnntrain.techniques.augmentation.mixing import CutMix, Mixup, mixed_value_and_vjp
from dnntrain.techniques.augmentation.noise import Noise, normal
from dnntrain.techniques.base import stack
from dnntrain.techniques.losses import choose_loss
from dnntrain.utils.torchvision_compat import import_torchvision

import_torchvision()
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

GRAY, COLOR = (1, 9, 12), (3, 10, 7)


def order_of(examples: int = 8, *, seed: int = 5, epoch: int = 2, batch_size: int = 4) -> EpochOrder:
    return EpochOrder(seed, epoch, generator(seed, "shuffle", epoch).permutation(examples), batch_size)


def images_of(shape: Shape, rows: int = 8) -> torch.Tensor:
    """Levels of one member's images, uint8 (1, rows, C, H, W)."""
    levels = np.random.default_rng(1).integers(0, 256, (1, rows, *shape), np.uint8)
    return torch.from_numpy(levels)


def changed(technique: ImageAugmentation, images: torch.Tensor) -> tuple[torch.Tensor, list[list[Any]]]:
    """The member's images after the technique, and each example's draws."""
    draws = technique.draw(order_of(images.shape[1]), tuple(images.shape[2:]))
    return technique.apply(images, torch.from_numpy(draws)[None])[0], draws.tolist()


@pytest.mark.parametrize("shape", [GRAY, COLOR])
@pytest.mark.parametrize("kind", ["random", "alternating"])
def test_flips_are_torchvisions(kind: Any, shape: Shape) -> None:
    images = images_of(shape)
    after, draws = changed(Flip(kind=kind), images)
    assert {flipped for [flipped] in draws} == {True, False}
    for image, result, [flipped] in zip(images[0], after, draws, strict=True):
        assert torch.equal(result, F.horizontal_flip(image) if flipped else image)


def test_alternating_flips_show_each_side_in_turn() -> None:
    def flipped(epoch: int) -> np.ndarray:
        order = order_of(1000, epoch=epoch)
        by_example = np.empty(1000, bool)
        by_example[order.examples] = Flip(kind="alternating").draw(order, GRAY)[:, 0]
        return by_example

    first = flipped(0)
    assert 400 < first.sum() < 600
    for epoch in range(1, 5):
        assert np.array_equal(flipped(epoch), first ^ (epoch % 2 == 1))


@pytest.mark.parametrize("shape", [GRAY, COLOR])
@pytest.mark.parametrize(("mode", "theirs"), [("zero", "constant"), ("reflect", "reflect"), ("edge", "edge")])
def test_crops_are_torchvisions(mode: Any, theirs: str, shape: Shape) -> None:
    images, padding = images_of(shape, rows=30), 4
    after, draws = changed(Crop(padding=padding, mode=mode), images)
    assert len({tuple(shift) for shift in draws}) > 15
    for image, result, (down, right) in zip(images[0], after, draws, strict=True):
        padded = F.pad(image, [padding], padding_mode=theirs)
        assert torch.equal(result, F.crop(padded, padding + down, padding + right, *shape[-2:]))


def test_shifts_are_uniform() -> None:
    shifts = Crop(padding=2).draw(order_of(10_000), GRAY)
    assert_uniform(shifts[:, 0] * 5 + shifts[:, 1] + 12, 25)


def assert_uniform(values: np.ndarray, count: int) -> None:
    """Whether values from 0 to count - 1 are equally frequent, to 5 standard errors."""
    found = np.bincount(values, minlength=count)
    expected = len(values) / count
    assert len(found) == count and np.abs(found - expected).max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize("shape", [GRAY, COLOR])
def test_color_jitter_is_torchvisions(shape: Shape) -> None:
    images = images_of(shape, rows=30)
    after, draws = changed(ColorJitter(brightness=0.8, contrast=0.6, saturation=0.9), images)
    for image, result, (brightness, contrast, saturation) in zip(images[0], after, draws, strict=True):
        pixels = F.adjust_contrast(F.adjust_brightness(image / 255, brightness), contrast)
        torch.testing.assert_close(result / 255, F.adjust_saturation(pixels, saturation), rtol=0, atol=1e-6)
    factors = np.array(draws)
    assert (np.abs(factors - 1) <= (0.8, 0.6, 0.9)).all() and np.std(factors, axis=0).min() > 0.2


def erased(image: torch.Tensor, box: list[int]) -> torch.Tensor:
    """An image with a black box, by torchvision; the box may reach beyond the image."""
    top, bottom, left, right = (max(bound, 0) for bound in box)
    return F.erase(image, top, left, max(bottom - top, 0), max(right - left, 0), torch.zeros(1, dtype=image.dtype))


@pytest.mark.parametrize("shape", [GRAY, COLOR])
@pytest.mark.parametrize("technique", [Cutout(size=5), RandomErasing(probability=0.7)])
def test_boxes_are_erased_as_by_torchvision(technique: Any, shape: Shape) -> None:
    for images in (images_of(shape, rows=30), images_of(shape, rows=30).float()):
        after, boxes = changed(technique, images)
        assert not torch.equal(after, images[0])
        for image, result, box in zip(images[0], after, boxes, strict=True):
            assert torch.equal(result, erased(image, box))


def test_cutout_is_a_square_whose_center_is_anywhere() -> None:
    boxes = Cutout(size=4).draw(order_of(10_000), GRAY)
    assert (boxes[:, 1] - boxes[:, 0] == 4).all() and (boxes[:, 3] - boxes[:, 2] == 4).all()
    assert_uniform((boxes[:, 0] + 2) * 12 + boxes[:, 2] + 2, 9 * 12)


def with_our_draws(rng: np.random.Generator) -> SimpleNamespace:
    """What timm calls of the module `random`, from our stream."""
    return SimpleNamespace(
        random=rng.random,
        uniform=rng.uniform,
        randint=lambda low, high: low + math.floor(rng.random() * (high - low + 1)),
    )


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    return pytest.importorskip("timm")


@pytest.mark.parametrize("shape", [GRAY, COLOR])
def test_random_erasing_is_timms(shape: Shape, timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image a time, since several are drawn together. Some of the boxes are drawn anew because they do not fit."""
    technique = RandomErasing(probability=0.6, min_area=0.1, max_area=0.8)
    theirs = timm.data.random_erasing.RandomErasing(0.6, min_area=0.1, max_area=0.8, device="cpu")
    images, changes = images_of(shape, rows=1).float(), 0
    for epoch in range(60):
        order = order_of(1, epoch=epoch)
        draws = torch.from_numpy(technique.draw(order, shape))
        monkeypatch.setattr(timm.data.random_erasing, "random", with_our_draws(order.generator(technique.name)))
        after = technique.apply(images, draws[None])[0]
        assert torch.equal(after, theirs(images[0].clone()))
        changes += not torch.equal(after, images[0])
    assert 20 < changes < 50


# ---- mixup and cutmix


def scaled_batch(shape: Shape, members: int = 2, rows: int = 7) -> torch.Tensor:
    return torch.rand(members, rows, math.prod(shape), generator=torch.Generator().manual_seed(3))


def partner_of(x: torch.Tensor) -> torch.Tensor:
    return x.roll(1, dims=1)


def test_mixup_is_torchvisions() -> None:
    x = scaled_batch(COLOR)
    draws = torch.tensor([[0.3], [0.95]])
    after = Mixup().mix(x, partner_of(x), draws, COLOR)
    for member, [share] in enumerate(draws.tolist()):
        images = x[member].view(-1, *COLOR)
        theirs = v2.MixUp(num_classes=10).transform(images, {"lam": share, "labels": None, "batch_size": len(images)})
        torch.testing.assert_close(after[member].view(images.shape), theirs, rtol=0, atol=1e-7)


def test_mixup_is_timms(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """timm pairs examples from both ends of the batch."""
    x = scaled_batch(COLOR, members=1, rows=6)
    after = Mixup().mix(x, x.flip(1), torch.tensor([[0.3]]), COLOR)[0]
    theirs = timm.data.mixup.Mixup(mixup_alpha=0.2, label_smoothing=0, num_classes=10)
    monkeypatch.setattr(np.random, "beta", lambda *_: 0.3)
    mixed, _ = theirs(x[0].clone().view(-1, *COLOR), torch.arange(6))
    torch.testing.assert_close(after.view(mixed.shape), mixed, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [GRAY, COLOR])
def test_cutmix_is_torchvisions(shape: Shape) -> None:
    x = scaled_batch(shape)
    draws = torch.from_numpy(CutMix().draw(order_of(8, batch_size=4), shape)[::4])
    after = CutMix().mix(x, partner_of(x), draws, shape)
    for member, (share, top, bottom, left, right) in enumerate(draws.tolist()):
        images, box = x[member].view(-1, *shape), (int(left), int(top), int(right), int(bottom))
        theirs = v2.CutMix(num_classes=10).transform(images, {"box": box, "labels": None, "batch_size": len(images)})
        assert torch.equal(after[member].view(images.shape), theirs)
        assert share == pytest.approx((after[member] == x[member]).double().mean().item(), abs=1e-6)


def test_cutmix_boxes_are_timms(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, steps = order_of().generator("cutmix"), 200
    ours = CutMix().shares(order_of().generator("cutmix"), steps, COLOR)
    shares, centers = rng.beta(1, 1, (steps, 1)), rng.integers(0, COLOR[-2:], (steps, 2))
    for found, [share], center in zip(ours, shares, centers, strict=True):
        given = iter(center.tolist())
        monkeypatch.setattr(np.random, "randint", lambda *_, given=given, **__: next(given))
        box, corrected = timm.data.mixup.cutmix_bbox_and_lam(COLOR, share)
        assert found.tolist() == pytest.approx([corrected, *box])


@pytest.mark.parametrize(("technique", "alpha"), [(Mixup(alpha=0.4), 0.4), (CutMix(), 1.0)])
def test_shares_follow_the_beta_distribution_and_change_from_step_to_step(technique: Any, alpha: float) -> None:
    order = order_of(4000, batch_size=1)
    shares = technique.draw(order, (1, 200, 200))[:, 0]
    if isinstance(technique, Mixup):
        assert shares.mean() == pytest.approx(0.5, abs=0.03)
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
    else:  # parts of most boxes lie outside
        assert 0.5 < shares.mean() < 0.8
    of_batches = technique.draw(order_of(11, batch_size=4), COLOR)
    assert of_batches.dtype == np.float32 and len(of_batches) == 11
    assert len(np.unique(of_batches[:4, 0])) == 1 == len(np.unique(of_batches[8:, 0]))
    assert len(np.unique(of_batches[:, 0])) == 3


@pytest.mark.parametrize("units", [1, 4])
def test_the_loss_of_mixed_examples_is_that_of_mixed_targets(units: int) -> None:
    """Cross-entropy of torch with soft targets: their mean over the batch, and its gradient."""
    loss = choose_loss("classification", "softmax" if units > 1 else "sigmoid")
    outputs = torch.randn(2, 5, units, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 0, 0, 1]]) * (3 if units > 1 else 1)
    share = torch.tensor([[0.3], [0.8]])
    if units > 1:
        both = torch.nn.functional.one_hot(y, units).float(), torch.nn.functional.one_hot(partner_of(y), units).float()
        targets = both[0] * share.unsqueeze(2) + both[1] * (1 - share.unsqueeze(2))
        theirs = torch.nn.functional.cross_entropy(outputs.mT, targets.mT, reduction="none")
    else:
        targets = y * share + partner_of(y) * (1 - share)
        theirs = torch.nn.functional.binary_cross_entropy_with_logits(outputs[..., 0], targets, reduction="none")
    losses, vjp = mixed_value_and_vjp(loss, outputs.detach(), y, partner_of(y), share)
    [gradient] = vjp(torch.full_like(losses, 0.2))
    torch.testing.assert_close(losses, theirs.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs.sum() * 0.2, outputs)[0])


def test_the_squared_error_of_mixed_examples() -> None:
    """Zhang et al. mix the targets; the mean of the two losses has the same gradient."""
    outputs = torch.randn(2, 5, 1, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y, share = torch.randn(2, 5, generator=torch.Generator().manual_seed(1)), torch.tensor([[0.3], [0.8]])
    targets = y * share + partner_of(y) * (1 - share)
    losses, vjp = mixed_value_and_vjp(choose_loss("regression", "softmax"), outputs.detach(), y, partner_of(y), share)
    [gradient] = vjp(torch.ones_like(losses))
    theirs = (outputs[..., 0] - targets).square()
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs.sum(), outputs)[0])


# ---- noise


def test_noise_is_normal_with_each_members_deviation() -> None:
    noise = stack([Noise(std=0.1), Noise(std=2.0)])
    x = torch.ones(2, 320, 500)
    added = noise.add(x, torch.tensor([4, 7], dtype=torch.int32)) - 1
    assert torch.equal(x, torch.ones(2, 320, 500))
    unit = (added / torch.tensor([0.1, 2.0]).view(2, 1, 1)).double().flatten(1)
    assert unit.mean(1).abs().max() < 4 / 400
    for power, expected in ((2, 1.0), (4, 3.0)):
        assert unit.pow(power).mean(1).tolist() == pytest.approx([expected] * 2, rel=0.03)
    assert (unit.abs() > 3).double().mean(1).tolist() == pytest.approx([0.0027] * 2, rel=0.2)
    assert torch.corrcoef(unit)[0, 1].abs() < 4 / 400


def test_noise_follows_the_key_of_its_step_alone() -> None:
    one = normal(torch.tensor([4], dtype=torch.int32), 8, 32)
    both = normal(torch.tensor([9, 4], dtype=torch.int32), 8, 32)
    assert torch.equal(one[0], both[1]) and not torch.equal(both[0], both[1])
    assert torch.equal(one[:, :2], normal(torch.tensor([4], dtype=torch.int32), 2, 32))
    keys = Noise().draw(order_of(10, batch_size=4), GRAY)
    assert keys.dtype == np.int32 and len({*keys[:, 0].tolist()}) == 3


# ---- draws


TECHNIQUES = [Flip(), Crop(), ColorJitter(), Cutout(), RandomErasing(), Mixup(), CutMix(), Noise()]


@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda technique: technique.name)
def test_draws_depend_on_seed_and_epoch(technique: Any) -> None:
    def draws(**order: int) -> bytes:
        return technique.draw(order_of(64, **order), COLOR).tobytes()

    assert draws() == draws()
    assert len({draws(), draws(seed=6), draws(epoch=3)}) == 3
