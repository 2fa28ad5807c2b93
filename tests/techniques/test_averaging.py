"""Weight averages against timm, torch.optim.swa_utils and hand-written loops, and what is evaluated and kept."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import schedulefree
import torch
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, update_bn

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.averaging import measure_statistics
from dnntrain.engine.evaluation import evaluate, forward
from dnntrain.engine.loop import train_population
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run, TakeCheckpoints
from dnntrain.errors import InputError
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.studies.feasibility import check_run, idle_settings
from dnntrain.techniques.averaging import SWA
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from dnntrain.utils.torchvision_compat import import_torchvision
from tests.engine.test_bit_for_bit import assert_same
from tests.support.plain_training import (
    CONV_NET,
    assert_trained_alike,
    batches,
    conv_net,
    small_images,
    val_loss,
)

SETTINGS = {"net": CONV_NET, "train_size": 200, "val": 150, "batch_size": 20, "lr": 0.1, "seed": 3, "epochs": 5}
"""Fifty steps; the network has batch norm."""
LR = 0.1
COUNT = "features.1.num_batches_tracked"
"""The number of batches that the norm has seen. Nothing uses it, and update_bn sets it back."""


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    return small_images(mini)


def steps(module: torch.nn.Module, spec: RunSpec, data: Dataset, epoch: int) -> Iterator[None]:
    """Train an epoch by SGD, and pause after each step."""
    optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=0.9)
    if epoch:  # the momentum of the epochs before
        optimizer.load_state_dict(module.optimizer_state)
    for x, y in batches(spec, data, epoch):
        optimizer.zero_grad()
        cross_entropy(module(x), y).backward()
        optimizer.step()
        yield
    module.optimizer_state = optimizer.state_dict()  # type: ignore[assignment]


def copy_buffers(to: torch.nn.Module, source: torch.nn.Module) -> None:
    for buffer, now in zip(to.buffers(), source.buffers(), strict=True):
        buffer.copy_(now)


def trained(images: Dataset, **settings: Any) -> tuple[RunSpec, Run]:
    """A run with its companions, which have other rates, decays and starts."""
    spec = RunSpec.parse(SETTINGS | {"optimizer": "sgd:momentum=0.9"} | settings)
    run, _ = train_population([spec, spec.changed(seed=4, lr=0.01)], images)
    return spec, run


def test_ema_is_timms(images: Dataset) -> None:
    import_torchvision()  # timm needs one that imports
    from timm.utils import ModelEmaV3

    spec, run = trained(images, ema=0.9, ema_warmup=False)
    module = conv_net(spec, images)
    ema, losses = ModelEmaV3(module, decay=0.9), []
    for epoch in range(spec.epochs):
        for step, _ in enumerate(steps(module, spec, images, epoch)):
            if epoch == step == 0:
                copy_buffers(ema.module, module)  # running statistics have no value before the first mini-batch
            ema.update(module)
        losses.append(val_loss(ema.module, spec, images))
    assert_trained_alike(run, ema.module, losses)


def test_the_warm_up_of_ema(images: Dataset) -> None:
    spec, run = trained(images, ema=0.95)
    module = conv_net(spec, images)
    average, t, losses = copy.deepcopy(module), 0, []
    for epoch in range(spec.epochs):
        for _ in steps(module, spec, images, epoch):
            t += 1
            decay = min(0.95, (1 + t) / (10 + t))
            if t == 1:
                copy_buffers(average, module)
            with torch.no_grad():
                for mean, now in zip(average.state_dict().values(), module.state_dict().values(), strict=True):
                    mean.copy_(decay * mean + (1 - decay) * now if mean.is_floating_point() else now)
        losses.append(val_loss(average, spec, images))
    assert_trained_alike(run, average, losses)


@pytest.mark.parametrize(("settings", "first_step"), [({"swa": "0.4"}, 20), ({"swa": "23", "swa_every": "step"}, 23)])
def test_swa_is_that_of_torch(settings: dict[str, Any], first_step: int, images: Dataset) -> None:
    spec, run = trained(images, **settings)
    module = conv_net(spec, images)
    average, t, losses = AveragedModel(module), 0, []
    for epoch in range(spec.epochs):
        for _ in steps(module, spec, images, epoch):
            t += 1
            if t > first_step and (spec.settings()["swa_every"] == "step" or t % 10 == 0):
                average.update_parameters(module)
        evaluated = average if average.n_averaged else AveragedModel(module)
        update_bn([x for x, _ in batches(spec, images, epoch)], evaluated)
        losses.append(val_loss(evaluated, spec, images))
    average.module.load_state_dict({COUNT: torch.tensor(60)}, strict=False)
    assert_trained_alike(run, average.module, losses)


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize(
    ("share", "length", "epochs", "steps"), [("0.7", "21ep", 30, 11), ("0.58", "29", 50, 1), ("0.29ep", "29", 1, 100)]
)
def test_swa_starts_at_the_same_step_however_it_is_written(
    share: str, length: str, epochs: int, steps: int, every: Any
) -> None:
    """0.7 · 330 is 230.99999999999997 in floating point."""
    t = np.arange(1.0, epochs * steps + 1)
    one, other = (SWA(start=start, every=every).shares(t, steps, epochs * steps) for start in (share, length))
    np.testing.assert_array_equal(one, other)


def test_lookahead_is_the_papers_loop(images: Dataset) -> None:
    spec, run = trained(images, lookahead=4, lookahead_alpha=0.7)
    module = conv_net(spec, images)
    slow, t, losses = copy.deepcopy(module), 0, []
    for epoch in range(spec.epochs):
        for _ in steps(module, spec, images, epoch):
            t += 1
            if t == 1:
                copy_buffers(slow, module)
            if t % 4 == 0:
                with torch.no_grad():
                    for mean, now in zip(slow.parameters(), module.parameters(), strict=True):
                        mean += 0.7 * (now - mean)
                        now.copy_(mean)
                    for mean, now in zip(slow.buffers(), module.buffers(), strict=True):
                        mean.copy_(mean + 0.7 * (now - mean) if mean.is_floating_point() else now)
        losses.append(val_loss(slow, spec, images))
    assert_trained_alike(run, slow, losses)


def test_schedule_free_is_evaluated_at_its_average(images: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | {"optimizer": "schedule_free_sgd", "lr": 0.5})
    run, _ = train_population([spec, spec.changed(seed=4, lr=0.1)], images)
    module, losses = conv_net(spec, images), []
    optimizer = schedulefree.SGDScheduleFree(module.parameters(), lr=0.5)
    for epoch in range(spec.epochs):
        optimizer.train()
        for x, y in batches(spec, images, epoch):
            optimizer.zero_grad()
            cross_entropy(module(x), y).backward()
            optimizer.step()
        optimizer.eval()
        evaluated = copy.deepcopy(module)
        update_bn([x for x, _ in batches(spec, images, epoch)], evaluated)
        losses.append(val_loss(evaluated, spec, images))
    evaluated.load_state_dict({COUNT: torch.tensor(60)}, strict=False)
    assert_trained_alike(run, evaluated, losses)


def test_schedule_free_has_no_other_average() -> None:
    with pytest.raises(InputError, match="swa: schedule_free_sgd is evaluated at an average already"):
        RunSpec.parse({"optimizer": "schedule_free_sgd", "swa": "0.5"})


ONE_STEP = {"hidden": "12,5", "train_size": 60, "val": 80, "batch_size": 60, "epochs": 8, "lr": 0.3, "bn": True}
"""Each epoch is one step, so that checkpoints show every step."""


def visited(mini: Dataset, **settings: Any) -> tuple[list[dict[str, np.ndarray]], Run]:
    """What a run's checkpoints hold after each epoch but the last, and the run."""
    kept: list[dict[str, np.ndarray]] = []

    def keep(runs: list[Run], take: TakeCheckpoints) -> None:
        kept.extend(made.tensors for made in take().values())

    [run] = train_population([RunSpec.parse(ONE_STEP | settings)], mini, on_epoch=keep)
    return kept, run


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"swa": "2"}, {"swa": "2", "swa_every": "step"}])
def test_the_average_of_dnntrains_own_layers(settings: dict[str, Any], mini: Dataset) -> None:
    kept, _ = visited(mini, **settings)
    for name in ("hidden1.kernel", "output.bias", "hidden2.bn_scale"):
        path = [tensors[f"now.{name}"].astype(np.float64) for tensors in kept]
        average = None
        for t, now in enumerate(path, start=1):
            if "swa" in settings:
                average = np.mean(path[2:t], axis=0) if t > 2 else now
            elif average is not None:
                decay = min(0.9, (1 + t) / (10 + t))
                average = decay * average + (1 - decay) * now
            else:
                first = visited(mini, **settings, epochs=1)  # the weights before the first step count too
                average = first[1].weights[name].astype(np.float64)
            np.testing.assert_allclose(kept[t - 1][f"average.{name}"], average, rtol=1e-5, atol=1e-6)


def test_training_is_the_same_with_ema_and_swa(mini: Dataset) -> None:
    plain = visited(mini)[0]
    for settings in ({"ema": 0.9}, {"swa": "2"}):
        for tensors, expected in zip(visited(mini, **settings)[0], plain, strict=True):
            assert all(np.array_equal(tensors[name], array) for name, array in expected.items())


def test_members_differ_in_decay_and_start(mini: Dataset) -> None:
    base = RunSpec.parse(ONE_STEP | {"ema": 0.5})
    members = [base, base.changed(ema=0.99), base.changed(ema=0.8, epochs=3)]
    assert len({member.graph() for member in members}) == 1
    for member, run in zip(members, train_population(members, mini), strict=True):
        [alone] = train_population([member], mini)
        assert repr(alone.history) == repr(run.history)


def test_the_best_epochs_average_is_kept(images: Dataset) -> None:
    """A rate that is too high at the end: an earlier epoch is the best."""
    settings = {"schedule": "piecewise:at=3ep,factors=1/12", "select": "best:val_loss", "ema": 0.8}
    kept: dict[int, dict[str, np.ndarray]] = {}

    def keep(runs: list[Run], take: TakeCheckpoints) -> None:
        for made in take().values():
            kept[len(runs[0].history)] = made.tensors

    spec = RunSpec.parse(SETTINGS | settings)
    [run] = train_population([spec], images, on_epoch=keep)
    assert run.kept_epoch == 3
    for name, array in run.weights.items():
        assert np.array_equal(array, kept[run.kept_epoch][f"average.{name}"])
    assert run.status == "finished"
    stopped = spec.changed(select="auto", early_stop=2, epochs=8)
    [early] = train_population([stopped], images)
    assert len(early.history) == 5
    assert all(np.array_equal(early.weights[name], array) for name, array in run.weights.items())


def test_validation_figures_are_those_of_the_kept_average(mini: Dataset) -> None:
    settings = {"net": "cnn:channels=4", "hidden": "8", "bn": True, "train_size": 300, "val": 200, "epochs": 3}
    for averaging in ({"ema": 0.9}, {"swa": "0.3"}, {"lookahead": 3}):
        spec = RunSpec.parse(settings | averaging)
        [run] = train_population([spec], mini)
        population = Population.start([Run(spec, 0)], mini, torch.device("cpu"), StartState(weights=[run.weights]))
        inputs = population.inputs
        values = evaluate(inputs, "val", forward(population.network, inputs.loss), inputs.validation())
        assert run.kept_row["val_loss"] == values["val_loss"][0]


def test_statistics_of_swa_are_right_to_a_percent(images: Dataset) -> None:
    settings = {"net": "cnn:channels=8/8", "hidden": "32", "bn": True, "train_size": 4_000, "val": 1_000, "epochs": 3}
    spec = RunSpec.parse(settings | {"swa": "0.3", "lr": 0.05})
    [run] = train_population([spec], images)
    population = Population.start([Run(spec, 0)], images, torch.device("cpu"), StartState(weights=[run.weights]))
    network, inputs = population.network, population.inputs
    assert inputs.steps_per_epoch > 100
    with torch.inference_mode():
        measure_statistics(network, inputs, [0], 2, batches=inputs.steps_per_epoch)
        full = evaluate(inputs, "val", forward(network, inputs.loss), inputs.validation())["val_loss"][0]
    assert run.kept_row["val_loss"] == pytest.approx(full, rel=0.01)


def test_a_checkpoint_holds_both_sets_of_weights(mini: Dataset) -> None:
    tensors = visited(mini, ema=0.9, early_stop=3)[0][-1]
    names = {name.removeprefix("now.") for name in tensors if name.startswith("now.")}
    assert {f"average.{name}" for name in names} | {f"best.{name}" for name in names} < tensors.keys()
    broken = tensors | {"average.output.bias": np.full(10, np.nan, np.float32)}
    with pytest.raises(InputError, match=r"average\.output\.bias"):
        Checkpoint.from_bytes(Checkpoint([], 0, 0.0, broken).to_bytes())


@pytest.mark.parametrize("pair", list(itertools.combinations(({"ema": 0.9}, {"swa": 1}, {"lookahead": 5}), 2)))
def test_a_run_has_one_average(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="exclude each other"):
        RunSpec.parse(pair[0] | pair[1])


STAGES = {"reuse_from": "0123456789ab", "freeze_epochs": 5, "unfreeze_layers": 1, "epochs": 10}
"""Two stages of 5 epochs, each of which averages anew."""


@pytest.mark.parametrize(
    ("settings", "find", "said"),
    [
        ({"swa": "20ep"}, check_run, "swa 20ep: the run's 10 epochs end before averaging starts"),
        ({"swa": "0.95"}, idle_settings, "swa 0.95: the average has the weights of the last epoch only; start earlier"),
        ({"lookahead": 10**6}, idle_settings, "lookahead 1000000: the run ends before the slow weights move"),
        (STAGES | {"swa": "6ep"}, check_run, "swa 6ep: the longest stage's 5 epochs end before averaging starts"),
        (
            STAGES | {"swa": "0.8"},
            idle_settings,
            "swa 0.8: the average has the weights of the last epoch only; start earlier",
        ),
        (STAGES | {"swa": "0.7"}, idle_settings, ""),
        (STAGES | {"lookahead": 2_000}, idle_settings, "lookahead 2000: the run ends before the slow weights move"),
        (STAGES | {"lookahead": 1_000}, idle_settings, ""),
    ],
)
def test_an_average_without_effect(
    settings: dict[str, Any], find: Callable[..., Any], said: str, mini: Dataset
) -> None:
    spec = RunSpec.parse(settings)
    try:
        found = list(find(spec, mini.outline))
    except InputError as error:
        found = [str(error)]
    assert found == ([said] if said else [])


@pytest.mark.parametrize(("start", "read"), [("0.75", "0.75"), (0.5, "0.5"), ("1000", "1000"), ("5 epochs", "5ep")])
def test_a_start_is_a_share_or_a_length(start: str | float, read: str) -> None:
    assert RunSpec.parse({"swa": start}).settings()["swa"] == read
    with pytest.raises(InputError, match="swa"):
        RunSpec.parse({"swa": "soon"})


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"swa": "0.3"}, {"lookahead": 3}, {"sam": 0.05, "accumulate": 2}])
def test_a_transfer_in_stages(settings: dict[str, Any], mini: Dataset) -> None:
    """Each stage has an average of its own; the next one, and a resumed one, go on from where it ended."""
    size = {"hidden": "20,16,12", "train_size": 200, "val": 200, "bn": True, "lr": 0.05}
    below = RunSpec.parse(size | {"epochs": 1, "seed": 7})
    [first] = train_population([below], mini)
    base = RunBackbone("0123456789ab", below, first.weights, mini.shape, mini.classes)
    stages = {"reuse_from": base.name, "freeze_epochs": 2, "unfreeze_layers": 1, "unfreeze_lr": 0.01, "epochs": 5}
    spec, kept = RunSpec.parse(size | stages | settings), {}

    def keep(runs: list[Run], take: TakeCheckpoints) -> None:
        kept.update({(len(runs[0].history), index): made for index, made in take().items()})

    whole, _ = train_transfer([spec, spec.changed(seed=1)], mini, base, on_epoch=keep)
    [rest] = train_transfer([spec], mini, base, checkpoints=[kept[4, 0]])
    assert_same(whole, rest)
    assert kept[4, 0].stage == 1
    assert whole.status == "finished" and whole.predictions is not None
    assert whole.predictions.metric("val_loss") == pytest.approx(whole.kept_row["val_loss"], rel=1e-6)
