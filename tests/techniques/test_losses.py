"""Losses to train on: equal to torch's, torchvision's and timm's, and no part of validation and test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.errors import InputError
from dnntrain.studies.feasibility import check_run, idle_settings
from dnntrain.techniques.losses import TrainingLoss, choose_loss
from dnntrain.utils.torchvision_compat import import_torchvision
from tests.support.catalogue import data_for
from tests.support.networks import first_weights

CPU = torch.device("cpu")
CLASSES, ROWS, REAL = 5, 32, 20
COUNTS = np.array([[8, 1, 4, 4, 3], [2, 2, 10, 5, 1]])
"""Training examples of each class, of two members."""
WEIGHTS = [1.0, 3.0, 0.5, 2.0, 0.25]


def objective(text: str, output: str = "softmax", counts: np.ndarray = COUNTS) -> Any:
    loss = TrainingLoss.parse(text)
    return loss.objective(choose_loss(loss.task, output), counts, CPU)


def drawn(units: int, labels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs (2, ROWS, units) and labels (2, ROWS) of two members."""
    draws = torch.Generator().manual_seed(0)
    return 3 * torch.randn(2, ROWS, units, generator=draws), torch.randint(labels, (2, ROWS), generator=draws)


def batch_mean(loss: Any, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each member's mean over the real rows, (P,), and its gradient by their outputs, as a step has them."""
    losses, vjp = loss.value_and_vjp(outputs, y)
    shares = torch.ones_like(losses).div_(loss.total_weight(y, REAL))
    [gradient] = vjp(shares)
    return (losses * shares)[:, :REAL].sum(dim=1), gradient[:, :REAL]


def assert_is(loss: Any, outputs: torch.Tensor, y: torch.Tensor, reference: Any) -> None:
    """The loss and its gradient are those of `reference(outputs, labels, member)`, a mean, in float64."""
    means, gradients = batch_mean(loss, outputs, y)
    for member in range(2):
        leaf = outputs[member, :REAL].double().requires_grad_()
        expected = reference(leaf, y[member, :REAL], member)
        [gradient] = torch.autograd.grad(expected, leaf)
        torch.testing.assert_close(means[member], expected.float(), rtol=2e-6, atol=1e-7)
        torch.testing.assert_close(gradients[member], gradient.float(), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_torchs(smoothing: float, weights: list[float] | None) -> None:
    written = "none" if weights is None else "/".join(map(str, weights))
    loss = objective(f"cross_entropy:label_smoothing={smoothing},class_weights={written}")
    theirs = None if weights is None else torch.tensor(weights).double()
    assert_is(loss, *drawn(CLASSES, CLASSES),
              lambda z, y, _: functional.cross_entropy(z, y, theirs, label_smoothing=smoothing))  # fmt: skip


def test_smoothed_labels_are_timms() -> None:
    import_torchvision()  # timm imports it
    timms = pytest.importorskip("timm.loss").LabelSmoothingCrossEntropy(0.1)
    assert_is(objective("cross_entropy:label_smoothing=0.1"), *drawn(CLASSES, CLASSES), lambda z, y, _: timms(z, y))


def test_balanced_weights_are_scikit_learns_for_each_member() -> None:
    labels = [np.repeat(np.arange(CLASSES), counts) for counts in COUNTS]
    theirs = [compute_class_weight("balanced", classes=np.arange(CLASSES), y=each) for each in labels]
    loss = objective("cross_entropy:class_weights=balanced,label_smoothing=0.2")
    np.testing.assert_allclose(loss.weights, theirs, rtol=1e-6)
    assert_is(loss, *drawn(CLASSES, CLASSES),
              lambda z, y, m: functional.cross_entropy(z, y, torch.tensor(theirs[m]), label_smoothing=0.2))  # fmt: skip
    torch.testing.assert_close(loss.select([1]).weights, loss.weights[1:])


def test_a_class_without_training_examples_has_no_weight() -> None:
    weights = objective("focal:class_weights=balanced", counts=np.array([[6, 0, 2]])).weights
    np.testing.assert_allclose(weights, [[8 / 12, 0, 8 / 4]])


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 5])
@pytest.mark.parametrize("weights", ["none", "1/3/0.5/2/0.25"])
def test_focal_loss_is_the_papers(gamma: float, weights: str) -> None:
    by_class = torch.tensor([1.0] * CLASSES if weights == "none" else WEIGHTS).double()

    def paper(z: torch.Tensor, y: torch.Tensor, member: int) -> torch.Tensor:
        p, w = torch.softmax(z, dim=1).gather(1, y[:, None])[:, 0], by_class[y]
        return (-w * (1 - p) ** gamma * p.log()).sum() / w.sum()

    assert_is(objective(f"focal:gamma={gamma},class_weights={weights}"), *drawn(CLASSES, CLASSES), paper)


@pytest.mark.parametrize("gamma", [0.5, 2, 3])
def test_focal_loss_of_one_unit_is_torchvisions(gamma: float) -> None:
    theirs = import_torchvision().ops.sigmoid_focal_loss
    outputs, y = drawn(1, 2)
    assert_is(objective(f"focal:gamma={gamma}", "sigmoid", COUNTS[:, :2]), outputs, y,
              lambda z, y, _: theirs(z[:, 0], y.double(), alpha=-1, gamma=gamma, reduction="mean"))  # fmt: skip


def test_one_unit_is_as_two_of_which_one_is_zero() -> None:
    outputs, y = drawn(1, 2)
    assert_is(objective("cross_entropy:label_smoothing=0.1,class_weights=1/4", "sigmoid", COUNTS[:, :2]), outputs, y,
              lambda z, y, _: functional.cross_entropy(
                  torch.cat([torch.zeros_like(z), z], dim=1), y, torch.tensor([1.0, 4.0]).double(), label_smoothing=0.1
              ))  # fmt: skip


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_focal_loss_of_a_certain_prediction_is_finite(gamma: float) -> None:
    outputs, y = torch.tensor([[[200.0, 0.0], [0.0, 200.0]]]), torch.zeros(1, 2, dtype=torch.int64)
    losses, vjp = objective(f"focal:gamma={gamma}").value_and_vjp(outputs, y)
    torch.testing.assert_close(losses, torch.tensor([[0.0, 200.0]]))
    assert torch.isfinite(vjp(torch.ones(1, 2))[0]).all()


REGRESSIONS = {
    "squared": functional.mse_loss,
    "absolute": functional.l1_loss,
    "huber": functional.huber_loss,
    "huber:delta=0.3": lambda z, y: functional.huber_loss(z, y, delta=0.3),
}


@pytest.mark.parametrize("text", REGRESSIONS)
def test_losses_of_a_regression_are_torchs(text: str) -> None:
    outputs, y = drawn(1, 2)
    targets = y + 0.5 * outputs.squeeze(2).flip(0)
    assert_is(objective(text), outputs, targets, lambda z, y, _: REGRESSIONS[text](z[:, 0], y.double()))


# ---- in a run


SETTINGS = {"hidden": "none", "batch_size": 20, "train_size": 50, "val": 100, "epochs": 2, "lr": 0.1}


def test_members_train_as_a_plain_loop_does(mini: Dataset) -> None:
    """Each with the weights of its own training part, and a last batch of 10 examples."""
    loss = "cross_entropy:label_smoothing=0.2,class_weights=balanced"
    specs = [RunSpec.parse(SETTINGS | {"loss": loss, "seed": seed}) for seed in (0, 1)]
    runs = train_population(specs, mini)
    for spec, run in zip(specs, runs, strict=True):
        inputs = BatchSource(mini, [spec], CPU)
        labels = mini.train_targets[inputs.train_indices[0]]
        weights = np.zeros(10)
        weights[np.unique(labels)] = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
        first = first_weights(spec)
        kernel, bias = (torch.tensor(first[f"output.{name}"]).double().requires_grad_() for name in ("kernel", "bias"))
        weighted = []
        for epoch in range(2):
            for batch in inputs.epoch([spec.seed], epoch):
                outputs = batch.x[0, : batch.real].double() @ kernel + bias
                arguments = outputs, batch.y[0, : batch.real], torch.tensor(weights)
                gradients = torch.autograd.grad(
                    functional.cross_entropy(*arguments, label_smoothing=0.2), [kernel, bias]
                )
                weighted.append(functional.cross_entropy(*arguments, label_smoothing=0.2, reduction="sum").item())
                with torch.no_grad():
                    for parameter, gradient in zip((kernel, bias), gradients, strict=True):
                        parameter -= float(np.float32(0.1)) * gradient
        np.testing.assert_allclose(run.weights["output.kernel"], kernel.detach(), rtol=1e-4, atol=1e-6)
        # the weights have a mean of 1, so the mean over the epoch is that of torch
        assert run.history[1]["train_loss"] == pytest.approx(sum(weighted[3:]) / 50, rel=1e-5)


@pytest.mark.parametrize("loss", ["focal", "cross_entropy:label_smoothing=0.3", "absolute", "huber"])
def test_validation_and_test_are_measured_by_the_plain_loss(loss: str, mini: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | {"loss": loss})
    data = data_for(loss.partition(":")[0], mini)
    [run] = train_population([spec], data)
    assert run.predictions is not None
    for part, measured in (("val", run.history[-1]["val_loss"]), ("test", run.test["test_loss"])):
        outputs, targets = (
            torch.from_numpy(run.predictions.outputs[part]),
            torch.from_numpy(run.predictions.targets[part]),
        )
        plain = (
            functional.cross_entropy(outputs, targets) if data.classes else functional.mse_loss(outputs[:, 0], targets)
        )
        assert measured == pytest.approx(plain.item(), rel=1e-4)
    [plain_run] = train_population([spec.changed(loss="auto")], data)
    assert run.history[-1]["val_loss"] != plain_run.history[-1]["val_loss"]


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_the_plain_loss_by_its_name_gives_the_same_bits(loss: str, mini: Dataset) -> None:
    spec, data = RunSpec.parse(SETTINGS | {"loss": loss}), data_for(loss, mini)
    named, default = (train_population([each], data)[0] for each in (spec, spec.changed(loss="auto")))
    assert repr(named.history) == repr(default.history)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("huber", "loss huber: is for a regression; for this classification there are cross_entropy, focal"),
        ("focal:class_weights=1/2", "loss focal: class_weights 1/2: must be 10 weights, one for each class"),
    ],
)
def test_a_loss_that_does_not_fit_the_data_is_refused(loss: str, said: str, mini: Dataset) -> None:
    with pytest.raises(InputError, match=said):
        check_run(RunSpec.parse({"loss": loss}), mini.outline)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (
            "focal:class_weights=1/0",
            "focal: class_weights '1/0': must be none, balanced, or a positive number for each",
        ),
        ("cross_entropy:class_weights=1/x", "cross_entropy: class_weights '1/x'"),
        ("cross_entropy:label_smoothing=1", "cross_entropy: label_smoothing '1': must be less than 1"),
        ("hinge", "unknown loss 'hinge'"),
        ("huber:gamma=2", "unknown parameter 'gamma' of huber"),
    ],
)
def test_a_wrong_parameter_is_refused(loss: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        RunSpec.parse({"loss": loss})
    assert said in str(caught.value)


def test_weights_are_one_setting_however_they_are_written() -> None:
    specs = [RunSpec.parse({"loss": f"focal:class_weights={weights}"}) for weights in ("1/2.0/.5", "1.0 / 2 / 0.50")]
    assert specs[0] == specs[1] and specs[0].settings()["loss"] == "focal:class_weights=1/2/0.5"


def test_a_focal_loss_that_is_plain_is_warned_of(mini: Dataset) -> None:
    assert [*idle_settings(RunSpec.parse({"loss": "focal:gamma=0"}), mini.outline)] == [
        "loss focal: with gamma 0 it is cross_entropy"
    ]
    regression = replace(mini, classes=(), train_targets=mini.train_targets * 1.0, test_targets=mini.test_targets * 1.0)
    check_run(RunSpec.parse({"loss": "huber"}), regression.outline)
