"""How good a population is: its figures over examples that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from dnntrain.inputs import Batch, Inputs
from dnntrain.network import Network, Pass, noise_keys
from dnntrain.tasks import Task
from dnntrain.techniques.dropout import MonteCarloDropout

Predict = Callable[[int, Batch], torch.Tensor]
"""Outputs (P, rows, units) for the n-th batch: logits, log-probabilities or numbers."""


@torch.no_grad()
def evaluate(task: Task, part: str, predict: Predict, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
    """The part's figures of each member over the batches, each float64 (P,)."""
    sums, rows = [], 0
    for number, batch in enumerate(batches):
        outputs = predict(number, batch)
        loss, score = task.losses(outputs, batch.y), task.scores(outputs, batch.y)
        sums.append(torch.stack([batch.sum(loss), batch.sum(score)]).double())
        rows += batch.real
    loss, score = (torch.stack(sums).sum(dim=0) / rows).cpu().numpy()
    return task.figures(part, loss, score)


def test(network: Network, inputs: Inputs, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """The figures on the test set, each (P,), and with Monte Carlo dropout where it is on."""
    figures = evaluate(inputs.task, "test", lambda _, batch: network.forward(batch.x), inputs.test())
    monte_carlo = network.spec.technique(MonteCarloDropout)
    if monte_carlo:
        predict = monte_carlo_prediction(network, inputs.task, monte_carlo.samples, seeds)
        figures |= evaluate(inputs.task, "mc_test", predict, inputs.test())
    return figures


def monte_carlo_prediction(network: Network, task: Task, samples: int, seeds: Sequence[int]) -> Predict:
    """What the mean over `samples` passes with dropout on predicts."""

    def predict(number: int, batch: Batch) -> torch.Tensor:
        keys = noise_keys(network, seeds, "mc_dropout", number * samples, samples)
        return task.average((network.forward(batch.x, Pass(noise=key)) for key in keys), samples)

    return predict
