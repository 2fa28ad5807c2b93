"""The averaged network of a population: it follows the network that is trained, and is evaluated in its place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch

from dnntrain.engine.batches import BatchSource
from dnntrain.engine.network import Network, dropout_keys
from dnntrain.engine.population import Population
from dnntrain.nn.layer import ForwardContext
from dnntrain.techniques.averaging import Averaging
from dnntrain.techniques.base import per_member

STATISTICS_BATCHES = 32
"""Training batches from which running statistics are measured: val_loss is right to 1 % of that of a full pass."""


def averaging_shares(p: Population, epoch: int) -> tuple[torch.Tensor | None, list[bool]]:
    """The share of the present weights in each member's average after each step of the epoch (0-based).

    Returns:
        Float32 (steps, P), None if nothing is averaged; and whether any average moves after each step.
    """
    steps = p.inputs.steps_per_epoch
    t = np.arange(epoch * steps + 1, (epoch + 1) * steps + 1, dtype=np.float64)
    shares = [
        averaging.shares(t, steps, run.spec.epochs * steps)
        for run in p.runs
        for averaging in run.spec.techniques(Averaging)
    ]
    if not shares:
        return None, [False] * steps
    by_step = np.stack(shares, axis=1).astype(np.float32)
    return torch.from_numpy(by_step).to(p.inputs.device), [bool(row.any()) for row in by_step]


def update_average(p: Population, share: torch.Tensor | None, is_first: bool) -> None:
    """Move the averaged network toward the trained one after a step.

    Args:
        p: The population.
        share: Each member's share of the trained weights, (P,); None if no average moves.
        is_first: Whether it was the first step of the training.
    """
    if p.averaged is None:
        return
    now, average = p.network.state(), p.averaged.state()
    if is_first:  # running statistics have no value before the first mini-batch
        for name, buffer in p.averaged.buffers.items():
            buffer.copy_(now[name])
    if share is None:
        return
    for name, tensor in average.items():
        if tensor.is_floating_point():
            tensor.lerp_(now[name], per_member(share, tensor))
        else:
            tensor.copy_(now[name])  # a count
    if any(averaging.resets for averaging in p.network.spec.techniques(Averaging)):
        for name, parameter in p.network.parameters.items():
            parameter.copy_(average[name])


def complete_average(p: Population, epoch: int) -> None:
    """Make the averaged network ready to be evaluated after the epoch (0-based)."""
    if p.averaged is None:
        return
    spec = p.network.spec
    if spec.optimizer.averages:
        for name, parameter in p.network.parameters.items():
            p.averaged.parameters[name].copy_(p.updates[name].optimizer.evaluated(parameter, p.states[name]))
        for name, buffer in p.network.buffers.items():
            p.averaged.buffers[name].copy_(buffer)
    measures = spec.optimizer.averages or any(a.measures_statistics for a in spec.techniques(Averaging))
    if measures and p.averaged.buffers:
        measure_statistics(p.averaged, p.inputs, p.seeds, p.start_state.epochs + epoch)


def measure_statistics(
    network: Network, inputs: BatchSource, seeds: Sequence[int], epoch: int, batches: int = STATISTICS_BATCHES
) -> None:
    """Set running statistics to their means over the first training batches of an epoch (0-based).

    Dropout is on, as while training and in `torch.optim.swa_utils.update_bn`.
    """
    keys = dropout_keys(network, seeds, "statistics", epoch * batches, batches)
    for number, batch in enumerate(islice(inputs.epoch(seeds, epoch), batches)):
        ctx = ForwardContext(batch.real, training=True, dropout_keys=keys[number], statistics=1 / (number + 1))
        network.forward(batch.x, ctx)
