"""Metrics of a population on examples that it is not trained on, and their accumulation over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.engine.batches import Batch, BatchSource
from dnntrain.engine.network import Network, dropout_keys
from dnntrain.errors import InputError
from dnntrain.metrics import Metric, TargetInfo
from dnntrain.nn.layer import ForwardContext, Observer
from dnntrain.store.predictions import Predictions
from dnntrain.techniques.losses.plain import PlainLoss
from dnntrain.utils.memory import EVALUATION_ROWS

Watched = list[dict[str, float]]
"""For each member, metrics by column."""

Predict = Callable[[int, Batch], torch.Tensor]
"""Outputs (P, rows, units) for the n-th batch: logits, log-probabilities or standardized numbers."""


class MetricAccumulator:
    """Accumulates the metrics of one part over its batches; nothing in it waits for the device before the end."""

    def __init__(self, metrics: Sequence[Metric], info: TargetInfo) -> None:
        self.metrics, self.info = metrics, info
        self.pending: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.sums: list[list[torch.Tensor]] = [[] for _ in metrics]

    def add(self, outputs: torch.Tensor, y: torch.Tensor, losses: torch.Tensor, real: int) -> None:
        """Add a batch with its outputs (P, rows, units), targets (P or 1, rows), and losses (P, rows)."""
        self.pending.append((outputs[:, :real], y[:, :real], losses[:, :real]))
        # some hundred rows at a time, because each operation has a fixed cost
        if len(self.pending) * losses.shape[1] >= EVALUATION_ROWS:
            self._reduce()

    def results(self, part: str) -> dict[str, np.ndarray]:
        """The metrics of every member, each float64 (P,), by their columns."""
        if self.pending:
            self._reduce()
        totals = [torch.stack(sums).sum(dim=0) for sums in self.sums]
        on_host = torch.cat(totals).cpu().numpy()  # one copy from the device for all
        split = np.split(on_host, np.cumsum([len(total) for total in totals])[:-1])
        return {f"{part}_{m.name}": m.compute(t, self.info) for m, t in zip(self.metrics, split, strict=True)}

    def _reduce(self) -> None:
        rows = [torch.cat(parts, dim=1) for parts in zip(*self.pending, strict=True)]
        self.pending.clear()
        for metric, sums in zip(self.metrics, self.sums, strict=True):
            sums.append(metric.update(*rows))


def held_out_targets(inputs: BatchSource) -> dict[str, np.ndarray]:
    """The targets (rows,) of the validation and the test part, in the order of the data."""
    targets, test_targets = inputs.targets.cpu().numpy(), inputs.test_targets.cpu().numpy()
    return {"val": targets[inputs.val_indices], "test": test_targets}


def constant_metrics(inputs: BatchSource) -> list[dict[str, float]]:
    """The held-out metrics that each member would have if its network ignored its inputs, by column.

    Members whose training parts have the same class counts share one result. A metric that is undefined on a part, such
    as R² where all targets are equal, is left out.
    """
    targets, n_classes = inputs.targets.cpu().numpy(), inputs.target_info["test"].n_classes
    by_counts: dict[bytes, dict[str, float]] = {}
    found: list[dict[str, float]] = []
    for m, indices in enumerate(inputs.train_indices):
        if m and np.array_equal(indices, inputs.train_indices[m - 1]):  # as a rule all members train on the same
            found.append(found[-1])
            continue
        train = targets[indices]
        key = np.bincount(train, minlength=n_classes).tobytes() if n_classes else b""  # else 0 is predicted, their mean
        if key not in by_counts:
            by_counts[key] = constant_values(inputs, train)
        found.append(by_counts[key])
    return found


def constant_values(inputs: BatchSource, train: np.ndarray) -> dict[str, float]:
    """The held-out metrics of a network that ignores its inputs, trained on these targets, by column."""
    values = {
        f"{part}_{metric.name}": metric.of_constant(train, held_out, inputs.target_info[part])
        for part, held_out in held_out_targets(inputs).items()
        for metric in inputs.metrics
    }
    values |= {f"mc_{column}": value for column, value in values.items() if column.startswith("test_")}
    return {column: value for column, value in values.items() if np.isfinite(value)}


@torch.no_grad()
def evaluate(
    inputs: BatchSource, part: str, predict: Predict, batches: Iterable[Batch], keep: list[np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """The metrics of each member over the batches of a part, each float64 (P,), by their columns.

    The outputs of each batch are appended to `keep`, if that is a list.
    """
    accumulator = MetricAccumulator(inputs.metrics, inputs.target_info[part.removeprefix("mc_")])
    for number, batch in enumerate(batches):
        outputs = predict(number, batch)
        accumulator.add(outputs, batch.y, inputs.loss.losses(outputs, batch.y), batch.real)
        if keep is not None:
            keep.append(on_host(outputs, batch))
    return accumulator.results(part)


def on_host(outputs: torch.Tensor, batch: Batch) -> np.ndarray:
    """A batch's outputs without those of padding, (P, real rows, units)."""
    on_host: np.ndarray = outputs[:, : batch.real].cpu().numpy()
    return on_host


def forward(network: Network, loss: PlainLoss, observe: Observer | None = None) -> Predict:
    """Predicts by the network itself, or by its mean over test-time augmentation; `observe` sees the first batch."""

    def predict(number: int, batch: Batch) -> torch.Tensor:
        outputs = network.forward(batch.x, ForwardContext(batch.real, observe=None if number else observe))
        if batch.mirrored is None:
            return outputs
        return loss.average((outputs, network.forward(batch.mirrored, ForwardContext(batch.real))), 2)

    return predict


@torch.no_grad()
def predictions(inputs: BatchSource, predict: Predict, test_outputs: list[np.ndarray]) -> list[Predictions]:
    """Each member's outputs on held-out examples.

    Args:
        inputs: The examples.
        predict: Predicts a batch with the weights that the members keep.
        test_outputs: What it predicts for the batches of the test part; computed here if it is empty.
    """
    targets = held_out_targets(inputs)
    test_outputs = test_outputs or [on_host(predict(n, batch), batch) for n, batch in enumerate(inputs.test())]
    val_outputs = [on_host(predict(n, batch), batch) for n, batch in enumerate(inputs.validation())]
    by_part = {"val": np.concatenate(val_outputs, axis=1), "test": np.concatenate(test_outputs, axis=1)}
    info = {part: inputs.target_info[part] for part in by_part}
    counts = inputs.class_counts()
    return [
        Predictions(
            {part: outputs[m] for part, outputs in by_part.items()}, targets, info, counts[m] if counts.size else None
        )
        for m in range(len(by_part["test"]))
    ]


def check_watched_metrics(inputs: BatchSource, specs: Sequence[RunSpec]) -> None:
    """Raise InputError if a run watches a metric that the validation targets do not define.

    It would be nan after every epoch, so that no epoch would be better than another.
    """
    targets, info = held_out_targets(inputs)["val"], inputs.target_info["val"]
    train = inputs.targets.cpu().numpy()[inputs.train_indices[0]]
    for setting, metric in {setting: metric for spec in specs for setting, metric in spec.watched.items()}.items():
        if not np.isfinite(metric.of_constant(train, targets, info)):
            needs = metric.needs and f", which needs {metric.needs}"
            raise InputError(f"{setting}: these validation examples do not define it{needs}; no epoch would be best")


def measure_watched(specs: Sequence[RunSpec], outputs: list[np.ndarray], inputs: BatchSource, part: str) -> Watched:
    """The metrics that each member watches and that runs do not record, by column.

    Args:
        specs: The members' runs.
        outputs: Their outputs for each batch of the part, (P, real rows, units); not needed if no member watches any.
        inputs: Their examples.
        part: val or test.
    """
    if not any(spec.watched_metrics for spec in specs):
        return [{} for _ in specs]
    whole, targets, info = np.concatenate(outputs, axis=1), held_out_targets(inputs)[part], inputs.target_info[part]
    return [
        {  # outputs that are not finite are those of a run that diverges
            f"{part}_{m.name}": m.from_predictions(own, targets, info) if np.isfinite(own).all() else np.nan
            for m in spec.watched_metrics
        }
        for spec, own in zip(specs, whole, strict=True)
    ]


def test(
    network: Network, inputs: BatchSource, seeds: Sequence[int], keep: list[np.ndarray] | None
) -> dict[str, np.ndarray]:
    """The metrics on the test set, each (P,), and with Monte Carlo dropout where it is on.

    The outputs of each batch, without Monte Carlo dropout, are appended to `keep`, if that is a list.
    """
    results = evaluate(inputs, "test", forward(network, inputs.loss), inputs.test(), keep)
    monte_carlo = network.spec.mc_dropout
    if monte_carlo:
        averaged = monte_carlo_prediction(network, inputs.loss, monte_carlo.samples, seeds)
        results |= evaluate(inputs, "mc_test", averaged, inputs.test())
    return results


def monte_carlo_prediction(network: Network, loss: PlainLoss, samples: int, seeds: Sequence[int]) -> Predict:
    """Predicts by the mean over `samples` passes with dropout on (Gal & Ghahramani 2016).

    With test-time augmentation, each of them is for the examples and for their mirror images.
    """

    def predict(number: int, batch: Batch) -> torch.Tensor:
        keys = dropout_keys(network, seeds, "mc_dropout", number * samples, samples)
        views = [batch.x] if batch.mirrored is None else [batch.x, batch.mirrored]
        passes = (network.forward(x, ForwardContext(batch.real, dropout_keys=key)) for key in keys for x in views)
        return loss.average(passes, samples * len(views))

    return predict
