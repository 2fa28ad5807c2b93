"""How good a population is: its figures over examples that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from dnntrain.engine.batches import Batch, BatchSource
from dnntrain.engine.network import Network, dropout_keys
from dnntrain.nn.layer import ForwardContext
from dnntrain.nn.losses import Task
from dnntrain.techniques.dropout import MonteCarloDropout
from dnntrain.utils.memory import EVALUATION_ROWS

Predict = Callable[[int, Batch], torch.Tensor]
"""Outputs (P, rows, units) for the n-th batch: logits, log-probabilities or numbers."""


class MetricAccumulator:
    """Means of loss and score over batches, of some hundred rows at a time: each operation has its price.

    Nothing in it waits for the device before the end.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.rows = task, 0
        self.held: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.sums: list[torch.Tensor] = []

    def add(self, batch: Batch, outputs: torch.Tensor, losses: torch.Tensor) -> None:
        """Take in a batch's outputs (P, rows, units) and losses (P, rows)."""
        # nothing more of the batch: what holds its inputs keeps them from being overwritten in the caches
        real = batch.real
        self.held.append((batch.y[:, :real], outputs[:, :real], losses[:, :real]))
        self.rows += batch.real
        if len(self.held) * losses.shape[1] >= EVALUATION_ROWS:
            self._sum_up()

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean loss and mean score of each member, float64 (P,)."""
        if self.held:
            self._sum_up()
        loss, score = (torch.stack(self.sums).sum(dim=0) / self.rows).cpu().numpy()
        return loss, score

    def _sum_up(self) -> None:
        y, outputs, losses = (torch.cat(parts, dim=1) for parts in zip(*self.held, strict=True))
        self.held.clear()
        figures = torch.stack([losses, self.task.scores(outputs, y)])
        self.sums.append(figures.sum(dim=2, dtype=torch.float64))


@torch.no_grad()
def evaluate(task: Task, part: str, predict: Predict, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
    """The part's figures of each member over the batches, each float64 (P,)."""
    tally = MetricAccumulator(task)
    for number, batch in enumerate(batches):
        outputs = predict(number, batch)
        tally.add(batch, outputs, task.losses(outputs, batch.y))
    return task.figures(part, *tally.means())


def test(network: Network, inputs: BatchSource, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """The figures on the test set, each (P,), and with Monte Carlo dropout where it is on."""

    def predict(_: int, batch: Batch) -> torch.Tensor:
        return network.forward(batch.x, ForwardContext(batch.real))

    figures = evaluate(inputs.task, "test", predict, inputs.test())
    monte_carlo = network.spec.technique(MonteCarloDropout)
    if monte_carlo:
        averaged = monte_carlo_prediction(network, inputs.task, monte_carlo.samples, seeds)
        figures |= evaluate(inputs.task, "mc_test", averaged, inputs.test())
    return figures


def monte_carlo_prediction(network: Network, task: Task, samples: int, seeds: Sequence[int]) -> Predict:
    """What the mean over `samples` passes with dropout on predicts."""

    def predict(number: int, batch: Batch) -> torch.Tensor:
        keys = dropout_keys(network, seeds, "mc_dropout", number * samples, samples)
        return task.average(
            (network.forward(batch.x, ForwardContext(batch.real, dropout_keys=key)) for key in keys), samples
        )

    return predict
