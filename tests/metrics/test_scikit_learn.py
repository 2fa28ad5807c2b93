"""Every metric that is computed from predictions, against scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as reference

from dnntrain.metrics import METRICS, TargetInfo, confusion_matrix, metrics_of, precision_and_recall
from dnntrain.utils.plugins import plugin_of

OWN = ("loss", "ece")
"""The loss is tested elsewhere, and scikit-learn has no expected calibration error."""


def classification(units: int, n_classes: int, seed: int = 0, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (rows, units) that know something of the targets (rows,), whose classes are not equally frequent."""
    rng = np.random.default_rng(seed)
    shares = np.arange(1, n_classes + 1) / np.arange(1, n_classes + 1).sum()
    targets = rng.choice(n_classes, rows, p=shares)
    logits = rng.normal(size=(rows, units)) + (2 * np.eye(n_classes)[targets] if units > 1 else targets[:, None] - 0.5)
    # with two classes some scores are equal; with more, rounding in softmax would make the difference
    return (np.round(logits, 1) if n_classes == 2 else logits).astype(np.float32), targets


def probabilities(outputs: np.ndarray) -> np.ndarray:
    if outputs.shape[1] == 1:
        positive = 1 / (1 + np.exp(-outputs[:, 0].astype(float)))
        return np.stack([1 - positive, positive], axis=1)
    powers = np.exp(outputs.astype(float))
    return powers / powers.sum(axis=1, keepdims=True)


def by_scikit_learn(name: str, outputs: np.ndarray, targets: np.ndarray, n_classes: int) -> float:
    scores = probabilities(outputs)
    predicted, classes = scores.argmax(axis=1), np.arange(n_classes)
    functions: dict[str, Callable[[], float]] = {
        "acc": lambda: reference.accuracy_score(targets, predicted),
        "top5": lambda: reference.top_k_accuracy_score(targets, scores, k=5, labels=classes),
        "balanced_acc": lambda: reference.balanced_accuracy_score(targets, predicted),
        "macro_f1": lambda: reference.f1_score(targets, predicted, average="macro"),
        "weighted_f1": lambda: reference.f1_score(targets, predicted, average="weighted"),
        "auc": lambda: (
            reference.roc_auc_score(targets, np.diff(outputs.astype(float), prepend=0 * outputs[:, :1])[:, -1])
            if n_classes == 2
            else reference.roc_auc_score(targets, scores, multi_class="ovr", average="macro", labels=classes)
        ),
        "brier": lambda: reference.brier_score_loss(targets, scores, labels=classes),
    }
    return float(functions[name]())


@pytest.mark.parametrize(("units", "n_classes"), [(1, 2), (2, 2), (3, 3), (12, 12)])
@pytest.mark.parametrize(
    "name", [m.name for m in metrics_of("classification") if m.name not in OWN and not plugin_of(type(m))]
)
def test_classification(name: str, units: int, n_classes: int) -> None:
    for seed in range(3):
        outputs, targets = classification(units, n_classes, seed)
        ours = METRICS[name].from_predictions(outputs, targets, TargetInfo(n_classes))
        if name == "top5" and n_classes <= 5:
            assert np.isnan(ours)  # every example would be a hit
            continue
        assert ours == pytest.approx(by_scikit_learn(name, outputs, targets, n_classes), rel=1e-12)


def test_regression() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = 40.0, 7.0
    targets, outputs = rng.normal(size=300), rng.normal(size=(300, 1))
    info = TargetInfo(0, deviation, float(targets.var()), mean)
    truth, predicted = mean + deviation * targets, mean + deviation * outputs[:, 0]
    expected = {
        "r2": reference.r2_score(truth, predicted),
        "rmse": reference.root_mean_squared_error(truth, predicted),
        "mae": reference.mean_absolute_error(truth, predicted),
        "mape": reference.mean_absolute_percentage_error(truth, predicted),
    }
    assert expected.keys() == {metric.name for metric in metrics_of("regression")} - {"loss"}
    for name, value in expected.items():
        assert METRICS[name].from_predictions(outputs, targets, info) == pytest.approx(value, rel=1e-12), name
    # a percentage of 0 is not defined, and where the mean is not known, nor is the target
    zero = np.append(targets, -mean / deviation).astype(np.float32)
    assert np.isnan(METRICS["mape"].from_predictions(np.zeros((301, 1)), zero, info))
    assert np.isnan(METRICS["mape"].from_predictions(outputs, targets, TargetInfo(0, deviation, 1.0, np.nan)))


def test_classes_that_do_not_occur() -> None:
    outputs, targets = classification(4, 4)
    some = targets < 3
    outputs, targets, info = outputs[some], targets[some], TargetInfo(4)
    predicted = outputs.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says that a class is predicted that does not occur
        balanced = reference.balanced_accuracy_score(targets, predicted)
    assert METRICS["balanced_acc"].from_predictions(outputs, targets, info) == pytest.approx(balanced)
    macro = reference.f1_score(targets, predicted, average="macro")
    assert METRICS["macro_f1"].from_predictions(outputs, targets, info) == pytest.approx(macro)
    scores = probabilities(outputs)
    areas = [reference.roc_auc_score(targets == label, scores[:, label]) for label in range(3)]
    assert METRICS["auc"].from_predictions(outputs, targets, info) == pytest.approx(np.mean(areas))
    one = np.zeros(5, int)
    assert np.isnan(METRICS["auc"].from_predictions(outputs[:5], one, info))


def test_per_class_figures() -> None:
    outputs, targets = classification(5, 5)
    matrix = confusion_matrix(outputs, targets, 5)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(targets, outputs.argmax(axis=1)))
    precision, recall, _, support = reference.precision_recall_fscore_support(targets, outputs.argmax(axis=1))
    np.testing.assert_allclose(precision_and_recall(matrix), (precision, recall))
    np.testing.assert_array_equal(matrix.sum(axis=1), support)
    never = precision_and_recall(np.array([[3, 0], [0, 0]]))
    assert np.isnan(never[0][1]) and np.isnan(never[1][1])


@pytest.mark.parametrize("units", [1, 2, 4])
def test_the_calibration_error_by_its_definition(units: int) -> None:
    n_classes = max(units, 2)
    outputs, targets = classification(units, n_classes)
    scores = probabilities(outputs)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == targets
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert METRICS["ece"].from_predictions(outputs, targets, TargetInfo(n_classes)) == pytest.approx(expected)
    sure = np.where(np.eye(2, dtype=bool)[np.array([0, 1, 1])], 50.0, -50.0)
    assert METRICS["ece"].from_predictions(sure, np.array([0, 1, 0]), TargetInfo(2)) == pytest.approx(1 / 3)


def test_what_a_constant_prediction_scores_with_594_and_6_examples() -> None:
    targets, info = np.repeat([0, 1], [594, 6]), TargetInfo(2)
    shares = targets.mean()
    expected = {"acc": 0.99, "balanced_acc": 0.5, "macro_f1": 0.99 * 2 / 1.99 / 2, "auc": 0.5, "ece": 1.0}
    expected |= {"weighted_f1": 0.99 * 0.99 * 2 / 1.99, "brier": shares * (1 - shares)}
    for name, value in expected.items():
        assert METRICS[name].of_constant(targets, targets, info) == pytest.approx(value), name


def test_a_metric_says_what_it_can_be_and_differ_by() -> None:
    """Bounds and δ are those that the verdicts are made with."""
    for metric in METRICS.values():
        low, high = metric.bounds
        assert low < high and metric.delta in ("0.3pp", "0.003", "0.01", "1%"), metric.name
        assert metric.is_share or "pp" not in metric.delta
    outputs, targets = classification(3, 3)
    for metric in metrics_of("classification"):
        for wild in (outputs, outputs * 100, -outputs, np.roll(outputs, 1, axis=1)):
            value = metric.from_predictions(wild, targets, TargetInfo(3))
            assert np.isnan(value) or metric.bounds[0] <= value <= metric.bounds[1], metric.name
