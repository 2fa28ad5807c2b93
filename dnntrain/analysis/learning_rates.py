"""The learning rate of recorded runs at each iteration, computed from their settings.

History holds the rate of each epoch's last step. What lies between follows from the schedule, which is a function of
the iteration and of a recorded metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data.split import batch_count, step_count, training_count
from dnntrain.errors import InputError
from dnntrain.store.provenance import datasets_of
from dnntrain.store.study_record import StudyRecord
from dnntrain.techniques.schedules.base import ScheduleContext, learning_rates

if TYPE_CHECKING:
    import pandas as pd

MOST_POINTS = 400
"""A curve has about this many points."""

RateCurve = tuple[tuple[int, float], ...]
"""Iterations from 1, or epochs, with the learning rate at each."""


@dataclass(frozen=True)
class RateClock:
    """What decides an arm's learning rate at each iteration."""

    spec: RunSpec
    steps: int
    """Steps per epoch."""
    points: int
    """Points of the curve per epoch, the same for all arms so that equal curves are equal."""

    def curve(self, run: pd.DataFrame) -> RateCurve:
        """A run's learning rate by iteration; of every epoch's last step only, where the settings do not explain it.

        Such are runs with stages, which have rates of their own.

        Args:
            run: Its rows of the history, by epoch.
        """
        schedule, ends = self.spec.schedule, list(run["lr"])
        watched = list(run[schedule.watched_metric]) if schedule.watched_metric in run else []
        at = np.unique(np.linspace(self.steps - 1, 0, self.points).round()).astype(int)
        curve: list[tuple[int, float]] = []
        for epoch, end in enumerate(ends):
            context = ScheduleContext(self.steps, self.spec.epochs * self.steps, watched[:epoch])
            rates = learning_rates(self.spec.lr, schedule, self.spec.warmup, epoch, context)
            if not math.isclose(rates[-1], end, rel_tol=1e-3, abs_tol=1e-6 * self.spec.lr):
                return tuple((self.steps * (e + 1), rounded(rate)) for e, rate in enumerate(ends))
            curve += [(self.steps * epoch + int(step) + 1, rounded(rates[step])) for step in at]
        return tuple(curve)


def rate_clocks(study: StudyRecord) -> Mapping[str, RateClock]:
    """By arm, what decides its learning rate; empty where one arm's record does not say, as in old studies."""
    sizes = {arm: data for data in datasets_of(study) for arm in data.arms or [arm.name for arm in study.arms]}
    longest = max((int(arm.settings.get("epochs") or 1) for arm in study.arms), default=1)
    clocks = {}
    for arm in study.arms:
        if "epochs" not in arm.settings or arm.name not in sizes:
            return {}
        data = sizes[arm.name]
        try:
            spec = RunSpec.from_record(arm.settings)
            n_train = training_count(data.n_validation or spec.val, spec.train_size, data.train_examples)
        except InputError:  # a plug-in that is not loaded, data that were in memory
            return {}
        steps = step_count(batch_count(n_train, spec.batch_size), spec.batches_per_step)
        clocks[arm.name] = RateClock(spec, steps, math.ceil(MOST_POINTS / longest))
    return clocks


def rounded(rate: float) -> float:
    """The rate to five digits."""
    return float(f"{rate:.5g}")
