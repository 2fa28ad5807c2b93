"""Augmentation in training: which rows it changes and when, with which scaling, on which data, and where it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import Batch, BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.engine.splits import epoch_orders
from dnntrain.errors import InputError
from dnntrain.studies.feasibility import check_run, idle_settings
from dnntrain.techniques.augmentation.base import Augmentation, TrainingAugmentation
from dnntrain.techniques.base import techniques_in
from tests.engine.test_bit_for_bit import assert_same
from tests.support.catalogue import EVERY_TECHNIQUE

CPU = torch.device("cpu")
SMALL = {"hidden": "6", "train_size": 26, "val": 40, "batch_size": 10, "epochs": 2, "lr": 0.05}
"""Three steps an epoch, the last of 6 examples."""
IN_TRAINING = [technique.name for technique in techniques_in(TrainingAugmentation)]
ON_IMAGES = [technique.name for technique in techniques_in(Augmentation) if technique.name not in ("mixup", "noise")]


@pytest.fixture(scope="module")
def gray(mini: Dataset) -> Dataset:
    return replace(mini, train_inputs=mini.train_inputs[:120], train_targets=mini.train_targets[:120],
                   test_inputs=mini.test_inputs[:40], test_targets=mini.test_targets[:40])  # fmt: skip


@pytest.fixture(scope="module")
def color(gray: Dataset) -> Dataset:
    """Color images of 7 × 9 pixels."""
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (rows, 3, 7, 9), np.uint8) for rows in (120, 40))
    return replace(gray, train_inputs=train, test_inputs=test)


@pytest.fixture(scope="module")
def table(gray: Dataset) -> Dataset:
    """Seven columns of numbers."""
    rng = np.random.default_rng(0)
    train, test = (rng.normal(5, 3, (rows, 7)).astype(np.float32) for rows in (120, 40))
    return replace(gray, train_inputs=train, test_inputs=test)


@pytest.fixture(scope="module")
def regression(table: Dataset) -> Dataset:
    train, test = (part[:, 0] * 2 + part[:, 1].astype(np.float64) for part in (table.train_inputs, table.test_inputs))
    return replace(table, train_targets=train, test_targets=test, classes=())


def spec(**settings: Any) -> RunSpec:
    return RunSpec.parse(SMALL | settings)


def epoch(dataset: Dataset, epoch: int = 0, **settings: Any) -> list[Batch]:
    """The batches of an epoch of seed 0."""
    return [*BatchSource(dataset, [spec(**settings)], CPU).epoch([0], epoch)]


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.y, b.y)


@pytest.mark.parametrize("technique", IN_TRAINING)
def test_only_training_examples_change(technique: str, gray: Dataset) -> None:
    plain, source = (BatchSource(gray, [spec(**given)], CPU) for given in ({}, EVERY_TECHNIQUE[technique]))
    for ours, theirs in ((source.validation(), plain.validation()), (source.test(), plain.test())):
        assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    first, again, second = source.epoch([0], 0), source.epoch([0], 0), source.epoch([0], 1)
    pairs = zip(first, again, plain.epoch([0], 0), plain.epoch([0], 1), second, strict=True)
    for batch, repeated, unchanged, later, other in pairs:
        assert same(batch, repeated) and torch.equal(batch.y, unchanged.y)
        assert not torch.equal(batch.x[:, : batch.real], unchanged.x[:, : batch.real])
        assert not torch.equal(other.x - later.x, batch.x - unchanged.x)


@pytest.mark.parametrize("technique", ["mixup", "noise"])
def test_rows_of_padding_enter_no_real_row(technique: str, table: Dataset) -> None:
    """They hold the first example, which is one of validation here."""
    source = BatchSource(table, [spec(val_from="first", **EVERY_TECHNIQUE[technique])], CPU)
    source.examples = source.examples.clone()
    source.examples[0] = torch.nan
    for batch in source.epoch([0], 0):
        assert batch.x[:, batch.real :].isnan().any()
        assert batch.x[:, : batch.real].isfinite().all()


@pytest.mark.parametrize("scale", ["unit", "standard", "raw"])
@pytest.mark.parametrize("data", ["gray", "color"])
def test_images_change_before_they_are_scaled(data: str, scale: str, request: pytest.FixtureRequest) -> None:
    """With statistics for each input, a mirrored image differs from mirrored inputs."""
    dataset = request.getfixturevalue(data)
    source = BatchSource(dataset, [spec(flip="random", scale=scale)], CPU)
    plain = BatchSource(dataset, [spec(scale=scale)], CPU)
    mirrored = torch.from_numpy(dataset.train_inputs).flip(-1).flatten(1)
    order = torch.from_numpy(epoch_orders(plain.train_indices, [0], 0))[0]
    flipped = 0
    for start, batch, before in zip((0, 10, 20), source.epoch([0], 0), plain.epoch([0], 0), strict=True):
        expected = source.scaled(mirrored[order[start : start + batch.real]][None])[0]
        for row, normal, mirror in zip(batch.x[0], before.x[0], expected, strict=False):
            assert torch.equal(row, normal) != torch.equal(row, mirror)
            flipped += torch.equal(row, mirror)
    assert 5 < flipped < 21


@pytest.mark.parametrize("data", ["gray", "color", "table", "regression"])
def test_partners_are_the_real_rows_before(data: str, request: pytest.FixtureRequest) -> None:
    dataset = request.getfixturevalue(data)
    for batch, plain in zip(epoch(dataset, mixup=1), epoch(dataset), strict=True):
        assert batch.partner is not None and batch.share is not None
        x, y, share = plain.x[:, : plain.real], plain.y[:, : plain.real], batch.share
        assert torch.equal(batch.y, plain.y) and torch.equal(batch.partner[:, : plain.real], y.roll(1, 1))
        mixed = share.unsqueeze(2) * x + (1 - share.unsqueeze(2)) * x.roll(1, 1)
        torch.testing.assert_close(batch.x[:, : plain.real], mixed)


@pytest.mark.parametrize("technique", IN_TRAINING)
def test_color_images_keep_their_bits_in_a_population(technique: str, color: Dataset) -> None:
    settings = EVERY_TECHNIQUE[technique] | {"scale": "standard"}
    member = spec(seed=3, **settings)
    [alone] = train_population([member], color)
    *_, last = train_population([spec(seed=4, **settings), spec(seed=5, epochs=1, **settings), member], color)
    assert_same(alone, last)


@pytest.mark.parametrize(
    ("technique", "values"),
    [("crop", (1, 3)), ("cutout", (2, 5)), ("random_erasing", (0.1, 0.9)), ("mixup", (0.1, 4)), ("cutmix", (0.5, 2)),
     ("noise", (0.01, 1)), ("color_jitter_contrast", (0, 0.9))],
)  # fmt: skip
def test_members_may_differ_in_strength(technique: str, values: tuple[float, float], gray: Dataset) -> None:
    on = {"color_jitter": True} if technique.startswith("color") else {}
    members = [spec(**on, **{technique: value}) for value in values]
    assert len({member.graph() for member in members}) == 1
    together = train_population([*members, members[0].changed(seed=1)], gray)
    for member, run in zip(members, together, strict=False):
        assert_same(train_population([member], gray)[0], run)
    assert together[0].history != together[1].history


def test_all_of_them_together(color: Dataset) -> None:
    every: dict[str, Any] = {}
    for name in (*IN_TRAINING, "tta"):
        every |= EVERY_TECHNIQUE[name] if name != "cutmix" else {}
    [run] = train_population([spec(**every)], color)
    assert run.status == "finished"
    with pytest.raises(InputError, match="mixup and cutmix exclude each other"):
        spec(mixup=0.2, cutmix=1)


@pytest.mark.parametrize("settings", [{"mixup": 0.2}, {"noise": 0.1}])
def test_tables_and_regressions_train(
    settings: dict[str, Any], table: Dataset, regression: Dataset, gray: Dataset
) -> None:
    sigmoid = {"output": "sigmoid", "train_size": None}
    for dataset, more in ((table, {}), (regression, {"train_size": None}), (gray.only("5,6"), sigmoid | {"val": 6})):
        member = spec(**settings | {"val": 40} | more)
        check_run(member, dataset.outline)
        [run], [plain] = (
            train_population([each], dataset) for each in (member, member.changed(**dict.fromkeys(settings)))
        )
        assert run.status == "finished"
        assert run.history[-1]["train_loss"] != plain.history[-1]["train_loss"]


# ---- where it cannot be used


@pytest.mark.parametrize("technique", ON_IMAGES)
def test_what_needs_images_is_refused_elsewhere(technique: str, table: Dataset) -> None:
    given = spec(**EVERY_TECHNIQUE[technique])
    with pytest.raises(InputError, match=rf"^{technique}: needs images, and the inputs are numbers of shape \(7,\)$"):
        check_run(given, table.outline)
    maps = replace(table, train_inputs=np.zeros((120, 4, 4), np.float32), test_inputs=np.zeros((40, 4, 4), np.float32))
    with pytest.raises(InputError, match="images are whole numbers from 0 to 255"):
        check_run(given, maps.outline)


@pytest.mark.parametrize("technique", [technique.name for technique in techniques_in(Augmentation)])
def test_tokens_and_frozen_features_are_refused(technique: str, gray: Dataset, table: Dataset) -> None:
    given = spec(**EVERY_TECHNIQUE[technique])
    kind = {"train_inputs": np.zeros((120, 5), np.int32), "test_inputs": np.zeros((40, 5), np.int32)}
    tokens = replace(table, **kind).outline
    module = given.changed(net="module:tests/support/own_networks.py:RowReader", hidden="none")
    with pytest.raises(InputError, match=f"{technique}: .*(needs images|the inputs are tokens)"):
        check_extent(module, tokens)
    with pytest.raises(InputError, match=f"^{technique}: not with reuse_from, since the outputs of frozen layers"):
        check_run(given.changed(reuse_from="0" * 12), gray.outline)


def check_extent(given: RunSpec, outline: Any) -> None:
    """Raise InputError for a technique that does not fit; nothing else is checked."""
    from dnntrain.studies.feasibility import extent_of, techniques_of

    for technique in techniques_of(given):
        if fault := technique.fault(extent_of(given, outline)):
            raise InputError(fault)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"crop": 7}, "crop 7: must be smaller than the images, which have 7 × 9 pixels"),
        ({"cutout": 9}, "cutout 9: must be smaller than the images, which have 7 × 9 pixels"),
        (
            {"random_erasing": 0.5, "random_erasing_min_area": 0.5},
            "random_erasing_min_area 0.5: more than random_erasing_max_area 0.33",
        ),
    ],
)
def test_sizes_that_do_not_fit(settings: dict[str, Any], said: str, color: Dataset) -> None:
    with pytest.raises(InputError) as caught:
        check_run(spec(**settings), color.outline)
    assert str(caught.value) == said


def test_what_has_no_effect_is_said(gray: Dataset) -> None:
    def said(**settings: Any) -> list[str]:
        return [*idle_settings(spec(**settings), gray.outline)]

    assert said(color_jitter=True) == []
    assert said(color_jitter=True, color_jitter_saturation=0.5) == [
        "color_jitter_saturation 0.5 has no effect on gray images"
    ]
    assert said(mixup=0.2, batch_size=1) == ["mixup has no effect: a batch of one example has no partner"]


# ---- at test time


def test_flips_at_test_time_average_probabilities_and_leave_training_alone(gray: Dataset) -> None:
    [plain], [run] = (train_population([spec(tta=on, epochs=1)], gray) for on in (False, True))
    assert run.history[0]["train_loss"] == plain.history[0]["train_loss"]
    for name, weights in plain.weights.items():
        assert np.array_equal(run.weights[name], weights)
    mirror = replace(gray, test_inputs=np.ascontiguousarray(gray.test_inputs[:, :, ::-1]))
    [mirrored] = train_population([spec(epochs=1)], mirror)
    assert plain.predictions and run.predictions and mirrored.predictions
    both = [torch.from_numpy(r.predictions.outputs["test"]).softmax(1) for r in (plain, mirrored) if r.predictions]
    torch.testing.assert_close(torch.from_numpy(run.predictions.outputs["test"]).exp(), (both[0] + both[1]) / 2)
    assert run.test != plain.test and run.history[0]["val_loss"] != plain.history[0]["val_loss"]


def test_flips_at_test_time_go_with_monte_carlo_dropout(gray: Dataset) -> None:
    settings = {"dropout": 0.5, "mc_dropout": 3}
    [plain], [run] = (train_population([spec(tta=on, **settings)], gray) for on in (False, True))
    assert run.test["mc_test_loss"] != plain.test["mc_test_loss"]
