"""Training steps outside of the training loop, for what needs no epochs: the range test, and timing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch

from dnntrain.engine.averaging import averaging_shares, update_average
from dnntrain.engine.gradients import OnBatch, Pass, passes_by_step, step_gradients
from dnntrain.engine.population import Population
from dnntrain.engine.update import EpochRates, clip, regularize, update

EndlessStep = tuple[list[Pass], torch.Tensor | None]
"""A step's mini-batches, and the members' shares for `update_average` after it."""


def endless_steps(p: Population) -> Iterator[EndlessStep]:
    """The steps of a population, epoch after epoch.

    What an average does at the end of an epoch is left out.
    """
    for epoch in count():
        yield from zip(passes_by_step(p, epoch), averaging_shares(p, epoch), strict=True)


def take_step(p: Population, step: EndlessStep, rates: EpochRates, number: int, on_batch: OnBatch) -> None:
    """Train one step, without probes and metrics.

    Args:
        p: The population.
        step: What it trains on.
        rates: The learning rates of an epoch.
        number: Which of them holds.
        on_batch: Receives the outputs and losses of the weights before the step.
    """
    passes, averaging = step
    grads = regularize(p, step_gradients(p, passes, on_batch))
    if p.clipping:
        grads, _ = clip(p.clipping, grads)
    update(p, grads, rates, number)
    update_average(p, averaging)
