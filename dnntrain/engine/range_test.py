"""The learning-rate range test: train while the rate grows from step to step, and keep the loss of every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.averaging import averaging_shares, update_average
from dnntrain.engine.batches import Batch
from dnntrain.engine.gradients import Pass, passes_by_step, step_gradients
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.engine.update import EpochRates, clip, regularize, update
from dnntrain.statistics.range_test import diverged_at
from dnntrain.utils.lazy import torch

STEPS_PER_REPORT = 10
"""Steps between two looks at the losses, each of which waits for the device."""

OnLosses = Callable[[np.ndarray], None]
"""Receives the losses so far, (steps, P)."""


def range_test(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    rates: np.ndarray,
    device: torch.device | None = None,
    on_losses: OnLosses = lambda losses: None,
) -> np.ndarray:
    """Train runs of one graph as one population, each step at the next rate (Smith 2017, arXiv:1506.01186, 3.3).

    Args:
        specs: The runs. Their own rates and epochs do not count.
        dataset: Their data.
        rates: The rate of each step, (steps,).
        device: Where they train; the CPU by default.
        on_losses: Called every few steps.

    Returns:
        The mean loss of each step's mini-batch, float64 (steps, P). There are fewer steps than rates if all runs have
        diverged.
    """
    runs = [Run(spec, index) for index, spec in enumerate(specs)]
    with torch.inference_mode():
        p = Population.start(runs, dataset, device or torch.device("cpu"), StartState())
        in_step: list[torch.Tensor] = []  # the losses of the present step, (P, real rows) of each mini-batch
        means: list[torch.Tensor] = []

        def keep(batch: Batch, outputs: torch.Tensor, losses: torch.Tensor) -> None:
            in_step.append(losses[:, : batch.real])

        for step, (passes, averaging) in enumerate(islice(endless_steps(p), len(rates))):
            grads = regularize(p, step_gradients(p, passes, keep))
            if p.clipping:
                grads, _ = clip(p.clipping, grads)
            update(p, grads, constant_rates(p, rates[step]), 0)
            update_average(p, averaging)
            means.append(torch.cat(in_step, dim=1).mean(dim=1, dtype=torch.float64))
            in_step.clear()
            if len(means) % STEPS_PER_REPORT == 0 or len(means) == len(rates):
                losses = torch.stack(means).cpu().numpy()
                on_losses(losses)
                if all(diverged_at(member) < len(member) for member in losses.T):
                    break
    return losses


def endless_steps(p: Population) -> Iterator[tuple[list[Pass], torch.Tensor | None]]:
    """The mini-batches of each step, and the members' shares for `update_average` after it, epoch after epoch.

    The only average that a range test takes is lookahead's, from which training goes on.
    """
    for epoch in count():
        yield from zip(passes_by_step(p, epoch), averaging_shares(p, epoch), strict=True)


def constant_rates(p: Population, rate: float) -> EpochRates:
    """The rates of a single step at this learning rate. Parameters with a base rate of their own keep that one."""
    bases = {update.lr for update in p.updates.values()} | {None}

    def of_members(lr: float) -> torch.Tensor:
        return torch.full((1, len(p.runs), 1, 1), lr, device=p.inputs.device)

    return EpochRates({base: of_members(rate if base is None else base) for base in bases}, None)
