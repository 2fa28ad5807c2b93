"""The gradients of a training step: forward and backward passes over its mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import torch

from dnntrain.engine.batches import Batch
from dnntrain.engine.network import dropout_keys
from dnntrain.engine.population import Population
from dnntrain.nn.gradients import Gradients, densify
from dnntrain.nn.layer import VJP, BackwardObserver, ForwardContext
from dnntrain.techniques.augmentation.mixing import mixed_value_and_vjp
from dnntrain.techniques.losses import Loss

OnBatch = Callable[[Batch, torch.Tensor, torch.Tensor], None]
"""Receives a mini-batch with its outputs (P, rows, units) and its losses (P, rows)."""


class Pass(NamedTuple):
    """A mini-batch and the settings of its forward pass."""

    batch: Batch
    ctx: ForwardContext


def passes_by_step(p: Population, epoch: int) -> Iterator[list[Pass]]:
    """The mini-batches of each step of an epoch (0-based): one, or several with gradient accumulation."""
    inputs, number = p.inputs, p.start_state.epochs + epoch
    count = inputs.batches_per_epoch
    keys = dropout_keys(p.network, p.seeds, "dropout", number * count, count)
    passes = (
        Pass(batch, ForwardContext(batch.real, training=True, first=epoch == n == 0, dropout_keys=keys[n]))
        for n, batch in enumerate(inputs.epoch(p.seeds, number))
    )
    while step := list(islice(passes, inputs.batches_per_step)):
        yield step


def observed(passes: list[Pass], observer: BackwardObserver) -> list[Pass]:
    """The same passes, seen by an observer."""
    return [Pass(batch, replace(ctx, observe_backward=observer)) for batch, ctx in passes]


def step_gradients(p: Population, passes: list[Pass], on_batch: OnBatch) -> Gradients:
    """The gradients by which a step is taken, without penalties.

    Args:
        p: The population.
        passes: The step's mini-batches.
        on_batch: Is called with the outputs and losses of the present weights.
    """
    grads = mean_gradients(p, passes, on_batch)
    if p.sam:
        with p.sam.ascended(p.network.parameters, grads):
            unobserved = (replace(ctx, statistics=0.0, observe_backward=None) for _, ctx in passes)
            again = [Pass(batch, ctx) for (batch, _), ctx in zip(passes, unobserved, strict=True)]
            grads = mean_gradients(p, again)
    return grads


def mean_gradients(p: Population, passes: list[Pass], on_batch: OnBatch | None = None) -> Gradients:
    """The gradients of the mean loss over all examples of some mini-batches."""
    loss, grads = p.inputs.training_loss, Gradients()
    total = sum(loss.total_weight(batch.y, batch.real) for batch, _ in passes)
    for batch, ctx in passes:
        outputs = p.network.forward(batch.x, ctx)
        losses, vjp = step_loss(loss, outputs, batch)
        # members share no parameter, so the gradient of the sum of their mean losses is each member's own
        own = p.network.backward(*vjp(torch.ones_like(losses).div_(total)))
        grads = own if len(passes) == 1 else with_sums(grads, own)
        if on_batch:
            on_batch(batch, outputs, losses)
    return grads


def step_loss(loss: Loss, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, VJP]:
    """The losses (P, rows) of a training step, and the map from their gradient to that of the outputs."""
    if batch.partner is None or batch.share is None:
        return loss.value_and_vjp(outputs, batch.y)
    return mixed_value_and_vjp(loss, outputs, batch.y, batch.partner, batch.share)


def with_sums(sums: Gradients, grads: Gradients) -> Gradients:
    """The sums of gradients so far, which may be none, plus those of one more mini-batch."""
    if not sums:  # copies, since a module writes its next gradients to the same memory
        return {name: densify(gradient).clone() for name, gradient in grads.items()}
    return {name: densify(sums[name]).add_(densify(gradient)) for name, gradient in grads.items()}
