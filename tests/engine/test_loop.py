"""The loop against a plain torch loop; the test set used once, the best epoch kept, ruins marked, health measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.evaluation import MetricAccumulator
from dnntrain.engine.loop import train_population
from dnntrain.engine.probe import ACTIVATION_FIGURES, FIGURES, Probe, probed_steps
from dnntrain.engine.run import Run
from dnntrain.metrics import METRICS, TargetInfo, recorded_metrics
from dnntrain.nn.layer import ForwardContext
from dnntrain.techniques.base import Switch, techniques_in
from dnntrain.techniques.schedules.base import ScheduleContext, learning_rates
from dnntrain.utils.fields import field_extra
from tests.support.catalogue import companions
from tests.support.networks import first_weights, new_network

CPU = torch.device("cpu")
SMALL = {"hidden": "30,20", "batch_size": 20, "train_size": 203, "val": 150, "epochs": 3, "lr": 0.05}
WEIGHTS = ["hidden1.kernel", "hidden1.bias", "hidden2.kernel", "hidden2.bias", "output.kernel", "output.bias"]


def spec(**settings: object) -> RunSpec:
    return RunSpec.parse(SMALL | settings)


def scaled(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.reshape(len(images), -1).astype(np.float32)) / 255


def by_hand(run: Run, images: np.ndarray) -> torch.Tensor:
    """Logits of the run's kept weights for ReLU layers, with batch norm before the activation where there is one."""
    w, x = {name: torch.from_numpy(value) for name, value in run.weights.items()}, scaled(images)
    for i in range(1, len(run.spec.hidden) + 1):
        x = x @ w[f"hidden{i}.kernel"] + w.get(f"hidden{i}.bias", torch.zeros(()))
        if f"hidden{i}.bn_mean" in w:
            x = (x - w[f"hidden{i}.bn_mean"]) / (w[f"hidden{i}.bn_variance"] + 1e-5).sqrt()
            x = x * w[f"hidden{i}.bn_scale"] + w[f"hidden{i}.bn_shift"]
        x = torch.relu(x)
    return x @ w["output.kernel"] + w["output.bias"]


def figures(logits: torch.Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Loss and accuracy."""
    y = torch.from_numpy(labels)
    return torch.nn.functional.cross_entropy(logits, y).item(), (logits.argmax(dim=1) == y).double().mean().item()


def validation(run: Run, data: Dataset) -> tuple[float, float]:
    return figures(by_hand(run, data.train_inputs[-150:]), data.train_targets[-150:])


# ---- against a plain torch loop


def plain_torch(one: RunSpec, make: Callable[..., torch.optim.Optimizer], data: Dataset) -> tuple[list[dict], dict]:
    """The same training with torch's own layers and optimizer: history and test figures."""
    state = {name: torch.from_numpy(value) for name, value in first_weights(one).items()}
    linears = [torch.nn.Linear(*shape) for shape in [(784, 30), (30, 20), (20, 10)]]
    for layer, linear in zip(["hidden1", "hidden2", "output"], linears, strict=True):
        linear.weight.data, linear.bias.data = state[f"{layer}.kernel"].T.clone(), state[f"{layer}.bias"][0].clone()
    model = torch.nn.Sequential(linears[0], torch.nn.ReLU(), linears[1], torch.nn.ReLU(), linears[2])
    optimizer, inputs, history = make(model.parameters(), lr=one.lr), BatchSource(data, [one], CPU), []
    for epoch in range(one.epochs):
        losses, correct, norms = [], 0, []
        for batch in inputs.epoch([one.seed], epoch):
            x, y = batch.x[0, : batch.real], batch.y[0, : batch.real]
            logits = model(x)
            loss = torch.nn.functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            losses.append(loss.item() * batch.real)
            correct += int((logits.argmax(dim=1) == y).sum())
            norms.append([linear.weight.grad.norm().item() for linear in linears])
            optimizer.step()
        val_loss, val_acc = figures(model(scaled(data.train_inputs[-150:])), data.train_targets[-150:])
        row = {"train_loss": sum(losses) / 203, "train_acc": correct / 203, "val_loss": val_loss, "val_acc": val_acc}
        probed = np.array([norms[step] for step in probed_steps(inputs.steps_per_epoch)])
        history.append(row | {"grad_norm": probed.mean(axis=0).tolist(), "grad_max": probed.max(axis=0).tolist()})
    test_loss, test_acc = figures(model(scaled(data.test_inputs)), data.test_targets)
    return history, {"test_loss": test_loss, "test_acc": test_acc}


LOOPS = {
    "sgd": torch.optim.SGD,
    "sgd:momentum=0.9,nesterov=on": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize("optimizer", LOOPS)
def test_training_is_what_a_plain_torch_loop_does(optimizer: str, mini: Dataset) -> None:
    one = spec(optimizer=optimizer, seed=3)
    history, tested = plain_torch(one, LOOPS[optimizer], mini)
    [run] = train_population([one], mini)
    assert len(run.history) == len(history) == 3
    for ours, theirs in zip(run.history, history, strict=True):
        for name in ("train_loss", "val_loss", "grad_norm", "grad_max"):
            assert ours[name] == pytest.approx(theirs[name], rel=2e-4), name
        for name in ("train_acc", "val_acc"):
            assert ours[name] == pytest.approx(theirs[name], abs=1.01 / 150), name  # one tie may fall otherwise
    assert run.test["test_loss"] == pytest.approx(tested["test_loss"], rel=2e-4)
    assert run.test["test_acc"] == pytest.approx(tested["test_acc"], abs=2.01 / 2000)
    assert history[-1]["train_loss"] < 0.9 * history[0]["train_loss"]  # it did learn


# ---- training, validation and test


def test_the_test_set_touches_nothing_but_the_last_figures(mini: Dataset) -> None:
    other = replace(mini, test_inputs=255 - mini.test_inputs[:700], test_targets=mini.test_targets[:700])
    [run], [blind] = (
        train_population([spec(early_stop=1, lr=0.3)], mini),
        train_population([spec(early_stop=1, lr=0.3)], other),
    )
    assert repr(run.history) == repr(blind.history)
    assert run.kept_epoch == blind.kept_epoch
    assert all(np.array_equal(run.weights[name], blind.weights[name]) for name in run.weights)
    assert run.test != blind.test
    assert not any("test" in name for row in run.history for name in row)


@pytest.mark.parametrize("settings", [{}, {"bn": True}, {"early_stop": 1, "lr": 0.3}], ids=["plain", "bn", "early"])
def test_test_figures_are_those_of_the_kept_weights(settings: dict, mini: Dataset) -> None:
    runs = train_population([spec(seed=seed, **settings) for seed in (0, 1)], mini)
    for run in runs:
        loss, accuracy = figures(by_hand(run, mini.test_inputs), mini.test_targets)
        assert run.test["test_loss"] == pytest.approx(loss, rel=1e-4)
        assert run.test["test_acc"] == pytest.approx(accuracy, abs=1.01 / 2000)
        assert run.status == "finished"
    assert runs[0].test != runs[1].test


def test_monte_carlo_figures_stand_beside_the_plain_ones(mini: Dataset) -> None:
    [plain] = train_population([spec(dropout=0.5)], mini)
    [run] = train_population([spec(dropout=0.5, mc_dropout=5)], mini)
    assert plain.test == {name: run.test[name] for name in ("test_loss", "test_acc")}
    assert set(run.test) - set(plain.test) == {"mc_test_loss", "mc_test_acc"}
    assert 0 < abs(run.test["mc_test_loss"] - run.test["test_loss"]) < 0.5


def test_training_figures_are_of_the_training_part(mini: Dataset) -> None:
    """With a rate of next to nothing the weights stay, and the epoch's figures are those of the kept weights."""
    [run] = train_population([spec(lr=1e-30, epochs=1)], mini)
    chosen = BatchSource(mini, [run.spec], CPU).train_indices[0]
    loss, accuracy = figures(by_hand(run, mini.train_inputs[chosen]), mini.train_targets[chosen])
    assert run.history[0]["train_loss"] == pytest.approx(loss, rel=1e-5)
    assert run.history[0]["train_acc"] == pytest.approx(accuracy, abs=1.01 / 203)


def test_a_train_size_is_stratified_and_differs_by_seed(mini: Dataset) -> None:
    inputs = BatchSource(mini, [spec(seed=seed, train_size=500, val=2000) for seed in (0, 1)], CPU)
    assert inputs.val_indices.tolist() == list(range(8000, 10_000))
    shares = np.bincount(mini.train_targets[:8000]) / 8000
    for indices in inputs.train_indices:
        assert len(set(indices.tolist())) == 500
        assert indices.max() < 8000
        assert np.abs(np.bincount(mini.train_targets[indices]) - 500 * shares).max() < 1
    assert len(np.intersect1d(*inputs.train_indices)) < 100  # 31 of 500 by chance


def test_an_epoch_shows_every_training_image_once(mini: Dataset) -> None:
    inputs = BatchSource(mini, [spec(seed=seed) for seed in (0, 1)], CPU)
    batches = list(inputs.epoch([0, 1], 0))
    assert [batch.real for batch in batches] == [20] * 10 + [3]
    for member, indices in enumerate(inputs.train_indices):
        seen = torch.cat([batch.x[member, : batch.real] for batch in batches]) * 255
        expected = mini.train_inputs[indices].reshape(203, -1)
        assert sorted(seen.round().int().tolist()) == sorted(expected.tolist())


def test_standardised_inputs_have_mean_0_and_deviation_1_on_the_training_part(mini: Dataset) -> None:
    inputs = BatchSource(mini, [spec(seed=seed, scale="standard") for seed in (0, 1)], CPU)
    x = inputs.scaled(inputs.examples[torch.from_numpy(inputs.train_indices)]).double()
    mean, deviation = x.mean(dim=1), x.std(dim=1, correction=0)
    constant = deviation < 1e-6
    assert 0 < constant.sum() < 400  # pixels that never change: they become 0
    assert (x.transpose(1, 2)[constant] == 0).all()
    assert mean.abs().max() < 1e-4
    assert (deviation[~constant] - 1).abs().max() < 1e-4


@pytest.mark.parametrize(("scale", "largest"), [("unit", 1.0), ("raw", 255.0)])
def test_other_scalings(scale: str, largest: float, mini: Dataset) -> None:
    inputs = BatchSource(mini, [spec(scale=scale)], CPU)
    x = inputs.scaled(inputs.examples[:100].unsqueeze(0))
    assert (x.min().item(), x.max().item()) == pytest.approx((0.0, largest))


# ---- which epoch is kept


@pytest.mark.parametrize("metric", ["val_loss", "val_acc"])
@pytest.mark.parametrize("bn", [False, True])
def test_early_stopping_keeps_the_best_epochs_weights(metric: str, bn: bool, mini: Dataset) -> None:
    settings = {"early_stop": 3, "early_stop_metric": metric, "bn": bn, "epochs": 25, "lr": 0.2}
    runs = train_population([spec(seed=seed, **settings) for seed in (1, 2, 5, 7)], mini)
    for run in runs:
        best = min(run.values(metric)) if metric == "val_loss" else max(run.values(metric))
        assert run.kept_epoch == run.values(metric).index(best) + 1  # of equal ones the first
        assert len(run.history) == min(run.kept_epoch + 3, 25)
        loss, accuracy = validation(run, mini)
        assert run.kept_row["val_loss"] == pytest.approx(loss, rel=1e-4)
        assert run.kept_row["val_acc"] == pytest.approx(accuracy, abs=1.01 / 150)  # one tie may fall otherwise
    lengths = [len(run.history) for run in runs]
    assert min(lengths) < lengths[0]  # a later member stops first, and leaves the others at new places


@pytest.mark.parametrize("settings", [{}, {"early_stop": 1, "early_stop_restore": False}], ids=["never", "no restore"])
def test_without_restoring_the_last_epoch_is_kept(settings: dict, mini: Dataset) -> None:
    [run] = train_population([spec(lr=0.3, epochs=12, **settings)], mini)
    assert run.kept_epoch == len(run.history)
    assert run.values("val_loss")[-1] > min(run.values("val_loss"))
    assert run.history[-1]["val_loss"] == pytest.approx(validation(run, mini)[0], rel=1e-4)


# ---- runs in ruins


def test_a_diverged_run_is_marked_with_its_epoch(mini: Dataset) -> None:
    sound, ruined = train_population([spec(seed=1), spec(seed=2, schedule="piecewise:at=1ep,factors=1/1e20")], mini)
    assert (sound.status, ruined.status) == ("finished", "diverged")
    assert len(ruined.history) == 2
    finite = [math.isfinite(row["train_loss"]) and math.isfinite(row["val_loss"]) for row in ruined.history]
    assert finite == [True, False]
    assert ruined.test == {}
    assert len(sound.history) == 3


@pytest.mark.parametrize("settings", [{}, {"early_stop": 2}], ids=["last", "best"])
def test_the_kept_epoch_of_a_diverged_run_is_the_one_of_its_weights(settings: dict, mini: Dataset) -> None:
    [run] = train_population([spec(seed=2, schedule="piecewise:at=1ep,factors=1/1e20", **settings)], mini)
    assert run.status == "diverged"
    if run.kept_epoch:
        assert run.kept_row["val_loss"] == pytest.approx(validation(run, mini)[0], rel=1e-4)


# ---- members that differ in a strength

FROM_ZERO = [
    technique
    for technique in techniques_in(Switch)
    if technique.primary
    and field_extra(technique.model_fields[technique.primary], "per_member")
    and any(getattr(bound, "ge", None) == 0 for bound in technique.model_fields[technique.primary].metadata)
]


@pytest.mark.parametrize("technique", FROM_ZERO, ids=lambda technique: technique.name)
def test_a_strength_of_zero_is_as_good_as_none_beside_others(technique: type[Switch], mini: Dataset) -> None:
    strong = technique.model_fields[technique.primary or ""].default
    others = companions(technique)
    specs = [spec(**others | {technique.name: strength}) for strength in (0.0, max(strong, 0.01))]
    graphs: dict[str, list[RunSpec]] = {}
    for one in specs:
        graphs.setdefault(one.graph(), []).append(one)  # what an ablation puts together
    zero, other = (run for group in graphs.values() for run in train_population(group, mini))
    [plain] = train_population([spec(**others)], mini)
    assert zero.values("val_loss") == pytest.approx(plain.values("val_loss"), rel=1e-5)
    assert other.values("val_loss") != pytest.approx(plain.values("val_loss"), rel=1e-5)


def test_max_norm_holds_in_training_and_biases_are_left_alone(mini: Dataset) -> None:
    [run] = train_population([spec(max_norm=0.3, lr=0.3)], mini)
    for name, w in run.weights.items():
        if name.endswith(".kernel"):
            assert np.linalg.norm(w, axis=0).max() <= 0.3 * (1 + 1e-5)
    [decayed] = train_population(
        [spec(weight_decay=20.0, lr=0.05, init="torch", epochs=20)], mini
    )  # kernels are wiped out
    assert np.abs(decayed.weights["hidden1.kernel"]).max() < 1e-6
    first = first_weights(decayed.spec)["hidden1.bias"]
    assert np.abs(decayed.weights["hidden1.bias"] - first).max() < 0.15 * np.abs(first).max()


# ---- the history's rows


def test_every_row_has_every_figure(mini: Dataset) -> None:
    [run] = train_population([spec(schedule="power:s=10")], mini)
    single = {"epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "clipped"}
    layered = {name: 2 if name in ACTIVATION_FIGURES else 3 for name in FIGURES}
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    for epoch, row in enumerate(run.history):
        assert set(row) == single | set(layered)
        assert {name: len(row[name]) for name in layered} == layered
        assert all(type(value) is float for name in layered for value in row[name])
        last = learning_rates(0.05, run.spec.schedule, None, epoch, ScheduleContext(11, 33))[-1]
        assert row["lr"] == pytest.approx(last, rel=1e-6)


def test_on_epoch_is_told_who_trained(mini: Dataset) -> None:
    told: list[list[tuple[int, int]]] = []
    specs = [spec(epochs=2), spec(epochs=1, seed=1)]
    train_population(specs, mini, on_epoch=lambda runs, _: told.append([(run.index, len(run.history)) for run in runs]))
    assert told == [[(0, 1), (1, 1)], [(0, 2)]]


# ---- health


def first_gradients(one: RunSpec, data: Dataset) -> list[torch.Tensor]:
    """Of the kernels at the first step, by plain autograd."""
    w = {name: torch.from_numpy(value).requires_grad_() for name, value in first_weights(one).items()}
    batch = next(iter(BatchSource(data, [one], CPU).epoch([one.seed], 0)))
    h = batch.x[0, : batch.real]
    for layer in ("hidden1", "hidden2"):
        h = torch.relu(h @ w[f"{layer}.kernel"] + w[f"{layer}.bias"])
    loss = torch.nn.functional.cross_entropy(h @ w["output.kernel"] + w["output.bias"], batch.y[0, : batch.real])
    return list(torch.autograd.grad(loss, [w[name] for name in WEIGHTS[::2]]))


@pytest.mark.parametrize(("clipnorm", "share"), [(None, 0.0), (1e-3, 1.0), (1e3, 0.0)])
def test_gradient_norms_are_those_before_clipping(clipnorm: float | None, share: float, mini: Dataset) -> None:
    one = spec(train_size=20, epochs=1, seed=2, clipnorm=clipnorm)  # a single step
    [run] = train_population([one], mini)
    expected = [g.norm().item() for g in first_gradients(one, mini)]
    assert run.history[0]["grad_norm"] == pytest.approx(expected, rel=1e-4)
    assert run.history[0]["clipped"] == share


def test_update_ratio_is_the_step_over_the_weights(mini: Dataset) -> None:
    one = spec(train_size=20, epochs=1, seed=2)
    [run] = train_population([one], mini)
    kernels = [first_weights(one)[name] for name in WEIGHTS[::2]]
    gradients = first_gradients(one, mini)
    expected = [0.05 * g.norm().item() / np.linalg.norm(w) for g, w in zip(gradients, kernels, strict=True)]
    assert run.history[0]["update_ratio"] == pytest.approx(expected, rel=1e-3)


def test_a_share_of_the_steps_may_be_clipped(mini: Dataset) -> None:
    runs = train_population([spec(global_clipnorm=threshold, epochs=1) for threshold in (0.5, 2.0, 50.0)], mini)
    shares = [run.history[0]["clipped"] for run in runs]
    assert [share * 11 == pytest.approx(round(share * 11)) for share in shares] == [True, True, True]
    assert shares[0] == 1.0
    assert 0.0 < shares[1] < 1.0
    assert shares[2] == 0.0


def observed(act: str, biases: list[float], member: int) -> dict[str, np.ndarray]:
    """The probe's figures (layers, P) after one pass, with the first hidden layer's biases of one member set."""
    network = new_network([spec(act=act, hidden="8,5", seed=seed) for seed in (0, 1)])
    network.parameters["hidden1.bias"].data[member, 0, : len(biases)] = torch.tensor(biases)
    probe = Probe(2, CPU)
    x = torch.rand(1, 64, 784, generator=torch.Generator().manual_seed(0))
    x[:, 50:] = 1e6  # rows of padding, which must not be seen
    with torch.no_grad():
        network.forward(x, ForwardContext(real=50, observe=probe.activation))
    return probe.figures()


def test_dead_share_counts_units_that_are_always_zero() -> None:
    dead = observed("relu", [-1e6] * 3, member=1)["dead"]
    before = observed("relu", [], member=1)["dead"]
    assert dead.shape == (2, 2)
    assert dead[0, 1] == pytest.approx(3 / 8 + before[0, 1])
    assert dead[0, 0] == before[0, 0]  # the neighbour's
    everything = observed("relu", [-1e6] * 8, member=0)
    assert everything["dead"][0].tolist() == [1.0, before[0, 1]]
    assert everything["act_mean"][0, 0] == everything["act_std"][0, 0] == 0


@pytest.mark.parametrize("act", ["sigmoid", "tanh", "softsign"])
def test_saturated_share_counts_both_ends(act: str) -> None:
    saturated = observed(act, [1e6, -1e6, 1e6, -1e6], member=0)["saturated"]
    before = observed(act, [0.0] * 4, member=0)["saturated"]
    assert saturated[0, 0] == pytest.approx(before[0, 0] + 4 / 8, abs=0.05)
    assert saturated[0, 1] == before[0, 1]
    assert observed("relu", [1e6] * 4, member=0)["saturated"].tolist() == [[0, 0], [0, 0]]  # no ends to reach


def test_activation_mean_and_deviation_by_hand(mini: Dataset) -> None:
    [run] = train_population([spec(epochs=1)], mini)
    w, x = run.weights, scaled(mini.train_inputs[-150:]).numpy()
    for layer, name in enumerate(["hidden1", "hidden2"]):
        x = np.maximum(x @ w[f"{name}.kernel"] + w[f"{name}.bias"], 0)
        row = run.history[0]
        assert row["act_mean"][layer] == pytest.approx(x.mean(), rel=1e-4)
        assert row["act_std"][layer] == pytest.approx(x.std(), rel=1e-4)
        assert row["dead"][layer] == pytest.approx((x.max(axis=0) == 0).mean())


@pytest.mark.parametrize(
    ("examples", "sizes"),
    [
        (48, [16, 16, 16]),
        (52, [16, 16, 16, 4]),
        (50, [16, 16, 16, 2]),
        (49, [16, 16, 17]),
        (17, [17]),
        (16, [16]),
        (1, [1]),
    ],
)
def test_a_single_example_that_is_left_over_joins_the_batch_before_it(
    examples: int, sizes: list[int], mini: Dataset
) -> None:
    inputs = BatchSource(mini, [spec(train_size=examples, batch_size=16, hidden="13")], torch.device("cpu"))
    batches = list(inputs.epoch([0], 0))
    assert [batch.real for batch in batches] == sizes and inputs.steps_per_epoch == len(sizes)
    assert all(batch.x.shape[1] % 32 == 0 for batch in batches)  # 13 units: rows of padding fill whole SIMD turns
    seen = torch.cat([batch.x[0, : batch.real] for batch in batches])
    known = torch.from_numpy(mini.train_inputs[inputs.train_indices[0]].reshape(examples, -1)) / 255
    torch.testing.assert_close(seen.sum(dim=1).sort().values, known.sum(dim=1).sort().values)


def test_batches_of_one_stay_batches_of_one(mini: Dataset) -> None:
    inputs = BatchSource(mini, [spec(train_size=3, batch_size=1)], torch.device("cpu"))
    assert [batch.real for batch in inputs.epoch([0], 0)] == [1, 1, 1]


@pytest.mark.parametrize("batches", [[3, 2], [300, 300, 5]])
def test_a_tally_is_the_mean_over_all_real_rows(batches: list[int]) -> None:
    tally, losses, hits = MetricAccumulator(recorded_metrics("classification"), TargetInfo(3)), [], []
    for number, real in enumerate(batches):
        generator = torch.Generator().manual_seed(number)
        outputs, y = torch.rand(2, 512, 3, generator=generator), torch.ones(1, 512, dtype=torch.int64)
        loss = torch.rand(2, 512, generator=generator)
        tally.add(outputs, y, loss, real)
        losses.append(loss[:, :real].double())
        hits.append(outputs[:, :real].argmax(dim=2) == 1)
    results = tally.results("val")
    mean_loss, mean_score = results["val_loss"], results["val_acc"]
    np.testing.assert_allclose(mean_loss, torch.cat(losses, 1).mean(1).numpy(), rtol=1e-12)
    np.testing.assert_allclose(mean_score, torch.cat(hits, 1).double().mean(1).numpy(), rtol=1e-12)


# ---- columns that float32 cannot tell apart


def table(inputs: np.ndarray, targets: np.ndarray, classes: tuple[str, ...] = ()) -> Dataset:
    """A table's first 80 rows to train and validate, the rest to test."""
    return Dataset("table", inputs[:80], targets[:80], inputs[80:], targets[80:], classes, "0" * 16, "none")


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_columns_are_scaled_in_float64(scale: str) -> None:
    """In float32, seconds since 1970 are multiples of 128."""
    seconds = np.random.default_rng(0).permutation(100).astype(np.float64)
    inputs = np.stack([1.7e9 + seconds, np.full(100, 0.1), 1e-9 * seconds], axis=1)
    made = BatchSource(
        table(inputs, seconds % 2 * 1.0), [spec(val=20, train_size=None, scale=scale)], torch.device("cpu")
    )
    train_rows = inputs[made.train_indices[0]]
    middle = train_rows.mean(axis=0) if scale == "standard" else train_rows.min(axis=0)
    spread = train_rows.std(axis=0) if scale == "standard" else np.ptp(train_rows, axis=0)
    [batch] = made.test()
    expected = (inputs[80:, [0, 2]] - middle[[0, 2]]) / spread[[0, 2]]
    np.testing.assert_allclose(batch.x[0, :20, [0, 2]].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert not batch.x[0, :, 1].any()  # 0.1 in every row: constant, whatever the sum of 0.1s rounds to
    np.testing.assert_array_equal(made.scaling()[0]["input.offset"][0, 0], middle[0])


def test_targets_are_standardized_in_float64() -> None:
    targets = 1.7e9 + 10 * np.random.default_rng(0).normal(size=100)
    made = BatchSource(table(targets[:, None] - 1.7e9, targets), [spec(val=20, train_size=None)], torch.device("cpu"))
    known = targets[:60]
    [batch] = made.test()
    np.testing.assert_allclose(batch.y[0, :20].numpy(), (targets[80:] - known.mean()) / known.std(), rtol=1e-5)
    assert made.target_info["test"].deviation == pytest.approx(known.std())


def test_a_target_of_equal_numbers_has_no_r2() -> None:
    made = BatchSource(
        table(np.arange(100.0)[:, None], np.full(100, 0.1)), [spec(val=20, train_size=None)], torch.device("cpu")
    )
    assert {part: info.variance for part, info in made.target_info.items()} == {"train": 0.0, "val": 0.0, "test": 0.0}
    assert np.isnan(METRICS["r2"].compute(np.array([[0.0], [20.0]]), made.target_info["test"])).all()


def test_a_constant_column_with_gaps_stays_constant() -> None:
    column = np.full((100, 1), 0.1)
    column[::7] = np.nan
    column[85] = 0.3  # tested only: training has never seen it change
    made = BatchSource(table(column, np.arange(100.0)), [spec(val=20, train_size=None)], torch.device("cpu"))
    [batch] = made.test()
    assert made.fill is not None and made.fill.tolist() == [0.1] and not batch.x.any()


def test_targets_are_scaled_by_the_whole_training_part_whatever_rows_are_left() -> None:
    targets = np.arange(100.0) ** 2
    some = table(np.arange(100.0)[:, None], targets)
    whole = BatchSource(some, [spec(val=20, train_size=None)], torch.device("cpu"))
    kept = np.r_[0:5, 60:80]
    few = replace(some, train_inputs=some.train_inputs[kept], train_targets=targets[kept])
    splits = [(np.arange(5), np.arange(5, 25))]
    part = BatchSource(few, [spec(val=20, train_size=None)], torch.device("cpu"), splits, targets[:60])
    assert part.target_info["test"] == whole.target_info["test"] and torch.equal(part.test_targets, whole.test_targets)
