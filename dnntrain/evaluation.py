"""How good a population is: mean loss and accuracy over images that it is not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import reduce

import numpy as np
import torch

from dnntrain.inputs import Batch, Inputs
from dnntrain.network import Network, Pass, noise_keys
from dnntrain.techniques.dropout import MonteCarloDropout

Predict = Callable[[int, Batch], torch.Tensor]
"""Logits or log-probabilities (P, rows, classes) of the n-th batch."""


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p(label) of each row: logits (P, rows, classes), labels (P or 1, rows) → (P, rows)."""
    index = labels.expand(logits.shape[:2]).unsqueeze(2)
    return -torch.log_softmax(logits, dim=2).gather(2, index).squeeze(2)


@torch.no_grad()
def evaluate(predict: Predict, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss and accuracy of each member over the batches, each float64 (P,)."""
    sums, rows = [], 0
    for number, batch in enumerate(batches):
        logits = predict(number, batch)
        correct = (logits.argmax(dim=2) == batch.y).float()
        sums.append(torch.stack([batch.sum(cross_entropy(logits, batch.y)), batch.sum(correct)]).double())
        rows += batch.real
    loss, accuracy = (torch.stack(sums).sum(dim=0) / rows).cpu().numpy()
    return loss, accuracy


def test(network: Network, inputs: Inputs, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """Loss and accuracy on the test set, each (P,), and with Monte Carlo dropout where it is on."""
    loss, accuracy = evaluate(lambda _, batch: network.forward(batch.x), inputs.test())
    figures = {"test_loss": loss, "test_acc": accuracy}
    monte_carlo = network.spec.technique(MonteCarloDropout)
    if monte_carlo:
        predict = monte_carlo_prediction(network, monte_carlo.samples, seeds)
        figures["mc_test_loss"], figures["mc_test_acc"] = evaluate(predict, inputs.test())
    return figures


def monte_carlo_prediction(network: Network, samples: int, seeds: Sequence[int]) -> Predict:
    """The log of the mean of the probabilities over `samples` passes with dropout on."""

    def predict(number: int, batch: Batch) -> torch.Tensor:
        keys = noise_keys(network, seeds, "mc_dropout", number * samples, samples)
        passes = (torch.log_softmax(network.forward(batch.x, Pass(noise=key)), dim=2) for key in keys)
        # in logarithms: a probability may be too small for a float in every pass
        return reduce(torch.logaddexp, passes) - math.log(samples)

    return predict
