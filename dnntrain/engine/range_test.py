"""The learning-rate range test: train while the rate grows from step to step, and keep the loss of every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import Batch
from dnntrain.engine.loop import train_epoch
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.statistics.range_test import diverged_at
from dnntrain.techniques.schedules import Schedule, ScheduleContext
from dnntrain.utils.lazy import torch

STEPS_PER_REPORT = 10
"""Steps between two looks at the losses, each of which waits for the device."""

OnLosses = Callable[[np.ndarray], None]
"""Receives the losses so far, (steps, P)."""


class Ramp(Schedule):
    """Multiplies the rate by the same number at every step. Without a name, it is no technique of the catalogue."""

    factor: float
    """The factor on the rate at the last step."""
    steps: int

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        factors: np.ndarray = self.factor ** (np.minimum(t, self.steps - 1) / (self.steps - 1))
        return factors


@dataclass
class LossCurve:
    """Collects the mean loss of each step, and says when the test is over. It is the loop's `on_step`."""

    steps: int
    on_losses: OnLosses
    means: list[torch.Tensor]
    losses: np.ndarray
    """The losses at the last look, float64 (steps so far, P)."""
    is_over: bool = False

    def __call__(self, batch: Batch, losses: torch.Tensor) -> bool:
        self.means.append(losses[:, : batch.real].mean(dim=1, dtype=torch.float64))
        if len(self.means) % STEPS_PER_REPORT == 0 or len(self.means) == self.steps:
            self.losses = torch.stack(self.means).cpu().numpy()
            self.on_losses(self.losses)
            have_diverged = all(diverged_at(member) < len(member) for member in self.losses.T)
            self.is_over = have_diverged or len(self.means) == self.steps
        return not self.is_over


def range_test(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    rates: np.ndarray,
    device: torch.device | None = None,
    on_losses: OnLosses = lambda losses: None,
) -> np.ndarray:
    """Train runs of one graph as one population, each step at the next rate (Smith 2017, arXiv:1506.01186, 3.3).

    Args:
        specs: The runs. Their own rate, schedule, warm-up and epochs do not count.
        dataset: Their data.
        rates: The rate of each step, (steps,), at equal ratios.
        device: Where they train; the CPU by default.
        on_losses: Called every few steps.

    Returns:
        The mean loss of each step's mini-batch, float64 (steps, P). There are fewer steps than rates if all runs have
        diverged.
    """
    ramp = Ramp(factor=rates[-1] / rates[0], steps=len(rates))
    changes = {"lr": float(rates[0]), "schedule": ramp, "warmup": None}
    runs = [Run(spec.model_copy(update=changes), index) for index, spec in enumerate(specs)]
    curve = LossCurve(len(rates), on_losses, [], np.empty((0, len(runs))))
    with torch.inference_mode():
        population, epoch = Population.start(runs, dataset, device or torch.device("cpu"), StartState()), 0
        while not curve.is_over:
            train_epoch(population, epoch, curve)
            epoch += 1
    return curve.losses
