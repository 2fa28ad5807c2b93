"""The learning-rate range test: train while the rate grows from step to step, and keep the loss of every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.engine.steps import endless_steps, train_step
from dnntrain.engine.update import Rates, epoch_rates
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
        means: list[torch.Tensor] = []
        for rate, step in zip(rates, endless_steps(p, epoch_rates(p, 0)), strict=False):
            batches = train_step(p, step._replace(rates=constant_rates(p, rate))).batches
            in_step = torch.cat([batch.losses[:, : batch.real] for batch in batches], dim=1)
            means.append(in_step.mean(dim=1, dtype=torch.float64))
            if len(means) % STEPS_PER_REPORT == 0 or len(means) == len(rates):
                losses = torch.stack(means).cpu().numpy()
                on_losses(losses)
                if all(diverged_at(member) < len(member) for member in losses.T):
                    break
    return losses


def constant_rates(p: Population, rate: float) -> Rates:
    """The rates of a step at this learning rate. Parameters with a base rate of their own keep that one."""
    bases = {update.lr for update in p.updates.values()} | {None}

    def of_members(lr: float) -> torch.Tensor:
        return torch.full((len(p.runs), 1, 1), lr, device=p.inputs.device)

    return Rates({base: of_members(rate if base is None else base) for base in bases}, None)
