"""The gradients of a training step: forward and backward passes over its mini-batches."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch

from dnntrain.engine.batches import Batch
from dnntrain.engine.population import Population
from dnntrain.nn.gradients import Gradients, densify
from dnntrain.nn.layer import VJP, ForwardContext
from dnntrain.techniques.augmentation.mixing import mixed_value_and_vjp
from dnntrain.techniques.losses import Loss


class BatchResult(NamedTuple):
    """What the weights before a step made of one of its mini-batches."""

    outputs: torch.Tensor
    """(P, rows, units)."""
    y: torch.Tensor
    """The targets, (P, rows)."""
    losses: torch.Tensor
    """(P, rows)."""
    real: int
    """As in `Batch`."""


class Pass(NamedTuple):
    """A mini-batch and the settings of its forward pass."""

    batch: Batch
    ctx: ForwardContext


def step_gradients(p: Population, passes: list[Pass]) -> tuple[Gradients, list[BatchResult]]:
    """The gradients by which a step is taken, without penalties; and what the present weights make of its batches."""
    grads, results = mean_gradients(p, passes)
    if p.sam:
        with p.sam.ascended(p.network.parameters, grads):
            unobserved = (replace(ctx, statistics=0.0, observe_backward=None) for _, ctx in passes)
            again = [Pass(batch, ctx) for (batch, _), ctx in zip(passes, unobserved, strict=True)]
            grads, _ = mean_gradients(p, again)
    return grads, results


def mean_gradients(p: Population, passes: list[Pass]) -> tuple[Gradients, list[BatchResult]]:
    """The gradients of the mean loss over all examples of some mini-batches."""
    loss, grads, results = p.inputs.training_loss, Gradients(), []
    total = sum(loss.total_weight(batch.y, batch.real) for batch, _ in passes)
    for batch, ctx in passes:
        outputs = p.network.forward(batch.x, ctx)
        losses, vjp = step_loss(loss, outputs, batch)
        # members share no parameter, so the gradient of the sum of their mean losses is each member's own
        own = p.network.backward(*vjp(torch.ones_like(losses).div_(total)))
        grads = own if len(passes) == 1 else with_sums(grads, own)
        results.append(BatchResult(outputs, batch.y, losses, batch.real))
    return grads, results


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
