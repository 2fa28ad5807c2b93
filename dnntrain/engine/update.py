"""How the parameters of a population change at each step: by their gradients, rates, optimizers, and regularizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.engine.population import Population
from dnntrain.nn.gradients import Gradients, densify
from dnntrain.techniques.clipping import Clipping
from dnntrain.techniques.schedules.base import ScheduleContext, learning_rates, momenta


class Rates(NamedTuple):
    """What the schedules set for a step, each (P, 1, 1); for an epoch, each (steps, P, 1, 1)."""

    lr: dict[float | None, torch.Tensor]
    """Each member's learning rates, by the base rate that they scale (`ParameterUpdate.lr`); None for the run's."""
    momentum: torch.Tensor | None
    """Each member's cycled momenta; None where the optimizer's own momentum holds."""


def epoch_rates(p: Population, epoch: int) -> Rates:
    """The rates of the epoch (0-based) at each of its steps."""
    steps = p.inputs.steps_per_epoch
    clocks = [
        ScheduleContext(steps, run.spec.epochs * steps, run.values(run.spec.schedule.watched_metric)) for run in p.runs
    ]

    def by_step(values: Callable[[RunSpec, ScheduleContext], np.ndarray]) -> torch.Tensor:
        members = [values(run.spec, clock) for run, clock in zip(p.runs, clocks, strict=True)]
        stacked = np.stack(members, axis=1).astype(np.float32)
        return torch.from_numpy(stacked).to(p.inputs.device).view(steps, -1, 1, 1)

    def lr(base: float | None) -> torch.Tensor:
        return by_step(
            lambda spec, clock: learning_rates(
                spec.lr if base is None else base, spec.schedule, spec.warmup, epoch, clock
            )
        )

    cycled = p.network.spec.schedule.cycles_momentum
    return Rates(
        {base: lr(base) for base in dict.fromkeys([None, *(update.lr for update in p.updates.values())])},
        by_step(lambda spec, clock: momenta(spec.schedule, spec.warmup, epoch, clock)) if cycled else None,
    )


def regularize(p: Population, grads: Gradients) -> Gradients:
    """The gradients, centered if gradient centralization is on, plus those of the penalties on the weights."""
    for name, update in p.updates.items():
        if p.centralization and update.role.output_axis is not None:
            grads[name] = p.centralization.centralize(densify(grads[name]), update.role.output_axis)
    for rule in p.rules:
        for name in p.network.kernels:
            grads[name] = rule.penalize(densify(grads[name]), p.network.parameters[name])
    return grads


def clip(clipping: Clipping, grads: Gradients) -> tuple[Gradients, torch.Tensor]:
    """The clipped gradients, and which members were clipped, bool (P,)."""
    dense = {name: densify(gradient).contiguous() for name, gradient in grads.items()}
    is_clipped = clipping.clip(list(dense.values()))
    return dict(dense), is_clipped


def update(p: Population, grads: Gradients, rates: Rates, number: int | torch.Tensor) -> None:
    """One optimizer step, with the weight regularizers' parts before and after it.

    Args:
        p: The population.
        grads: The gradients.
        rates: The rates of this step.
        number: The step's number in this training, from 1.
    """
    for rule in p.rules:
        for name, kernel in p.network.kernels.items():
            rule.before_step(kernel, rates.lr[p.updates[name].lr].view(-1, 1, 1))
    for name, parameter in p.network.parameters.items():
        update, shape = p.updates[name], (-1, *[1] * (parameter.dim() - 1))
        optimizer = update.optimizer
        if rates.momentum is not None:
            optimizer = optimizer.with_momentum(rates.momentum.view(shape))
        optimizer.update(parameter, grads[name], p.states[name], rates.lr[update.lr].view(shape), number)
    for rule in p.rules:
        for kernel in p.network.kernels.values():
            rule.after_step(kernel)
