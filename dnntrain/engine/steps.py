"""One training step of a population, as a function of device tensors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import count
from typing import NamedTuple

import torch

from dnntrain.engine.averaging import update_average
from dnntrain.engine.gradients import BatchResult, Pass, step_gradients
from dnntrain.engine.population import Population
from dnntrain.engine.step_inputs import StepInputs, epoch_steps
from dnntrain.engine.step_probe import StepFigures, StepProbe
from dnntrain.engine.update import Rates, clip, regularize, update
from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext


class StepResult(NamedTuple):
    """What is kept of a step, all of it on the device."""

    batches: tuple[BatchResult, ...]
    losses: torch.Tensor
    """The sum of the losses over all mini-batches, (P,)."""
    is_clipped: torch.Tensor | None
    """Which members' gradients were clipped, bool (P,); None without clipping."""
    figures: StepFigures | None
    """None if the step was not probed."""


def train_step(p: Population, inputs: StepInputs, is_probed: bool = False) -> StepResult:
    """Train one step: gradients, penalties, clipping, update, averages.

    What changes from step to step is in the tensors of `inputs` and of the population, which are changed in place, and
    nothing waits for the device. So the step can be captured as a CUDA graph: see `engine.graphs`.

    Args:
        p: The population.
        inputs: The step's examples, keys, rates, and number.
        is_probed: Whether its gradients and updates are measured.
    """
    network, probe = p.network, StepProbe(len(p.runs), p.inputs.device) if is_probed else None
    grads, batches = step_gradients(p, forward_passes(p, inputs, probe))
    grads, is_clipped = regularize(p, grads), None
    if probe:
        probe.gradients(network.kernels, grads, keep=p.clipping is not None)
    if p.clipping:
        grads, is_clipped = clip(p.clipping, grads)
        if probe:
            probe.clipped([densify(gradient) for gradient in grads.values()])
    update(p, grads, inputs.rates, inputs.number)
    figures = probe.updates(network.kernels) if probe else None
    update_average(p, inputs.share, inputs.is_first)
    losses = reduce(torch.add, (batch.losses[:, : batch.real].sum(dim=1) for batch in batches))
    return StepResult(tuple(batches), losses, is_clipped, figures)


def forward_passes(p: Population, inputs: StepInputs, probe: StepProbe | None) -> list[Pass]:
    """The mini-batches of a step, and how they pass the network."""
    return [
        Pass(
            p.inputs.batch(batch),
            ForwardContext(
                batch.real,
                training=True,
                first=inputs.is_first and k == 0,
                dropout_keys=None if inputs.keys is None else inputs.keys[k],
                observe_backward=probe,
            ),
        )
        for k, batch in enumerate(inputs.batches)
    ]


def endless_steps(p: Population, rates: Rates) -> Iterator[StepInputs]:
    """The steps of a population, epoch after epoch, for what needs no epochs: the range test, and timing.

    What an average does at the end of an epoch is left out.

    Args:
        p: The population.
        rates: The rates of the steps of one epoch; every epoch has the same.
    """
    for epoch in count():
        for group in epoch_steps(p, epoch, rates):
            yield from (group.at(n) for n in range(len(group)))
