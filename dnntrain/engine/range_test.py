"""The learning-rate range test: train while the rate grows from step to step, and keep the loss of every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import Batch
from dnntrain.engine.evaluation import MetricAccumulator
from dnntrain.engine.loop import train_epoch
from dnntrain.engine.population import EpochRates, Population, StartState
from dnntrain.engine.run import Run
from dnntrain.metrics import TargetInfo
from dnntrain.statistics.range_test import diverged_at
from dnntrain.utils.lazy import torch

STEPS_PER_REPORT = 10
"""Steps between two looks at the losses, each of which waits for the device."""

OnLosses = Callable[[np.ndarray], None]
"""Receives the losses so far, (steps, P)."""


@dataclass
class RangePopulation(Population):
    """A population whose learning rate is the next of a range at every step, whatever its specs say."""

    tried: np.ndarray = field(default_factory=lambda: np.empty(0))
    """The rates, (steps,); the last one stays."""

    def rates(self, epoch: int) -> EpochRates:
        """The learning rates of the epoch (0-based). Parameters with a base rate of their own keep it."""
        first, steps = epoch * self.inputs.steps_per_epoch, self.inputs.steps_per_epoch
        by_step = self.tried[np.minimum(np.arange(first, first + steps), len(self.tried) - 1)].astype(np.float32)
        lr = torch.from_numpy(by_step).to(self.inputs.device).view(-1, 1, 1, 1).repeat(1, len(self.runs), 1, 1)
        own = {update.lr for update in self.updates.values()}
        return EpochRates({base: lr if base is None else torch.full_like(lr, base) for base in {None, *own}}, None)


class LossCurve(MetricAccumulator):
    """The mean loss of each step, in place of an epoch's metrics."""

    def __init__(self, steps: int, members: int, on_losses: OnLosses) -> None:
        super().__init__((), TargetInfo())
        self.steps, self.on_losses = steps, on_losses
        self.in_step: list[torch.Tensor] = []
        """The losses of the present step, (P, real rows) of each mini-batch."""
        self.means: list[torch.Tensor] = []
        self.losses = np.empty((0, members))
        """The losses at the last look, float64 (steps so far, P)."""
        self.is_over = False

    def add(self, batch: Batch, outputs: torch.Tensor, losses: torch.Tensor) -> None:
        self.in_step.append(losses[:, : batch.real])

    def end_step(self) -> bool:
        self.means.append(torch.cat(self.in_step, dim=1).mean(dim=1, dtype=torch.float64))
        self.in_step.clear()
        if len(self.means) % STEPS_PER_REPORT == 0 or len(self.means) == self.steps:
            self.losses = torch.stack(self.means).cpu().numpy()
            self.on_losses(self.losses)
            have_diverged = all(diverged_at(member) < len(member) for member in self.losses.T)
            self.is_over = have_diverged or len(self.means) == self.steps
        return not self.is_over

    def results(self, part: str) -> dict[str, np.ndarray]:
        return {}


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
    curve, epoch = LossCurve(len(rates), len(runs), on_losses), 0
    with torch.inference_mode():
        population = RangePopulation.start(runs, dataset, device or torch.device("cpu"), StartState())
        population.tried = rates
        while not curve.is_over:
            train_epoch(population, epoch, curve)
            epoch += 1
    return curve.losses
