"""Weight averaging: the network that is validated, kept and tested has averages of the weights that training visits.

An average moves toward the present weights after a step: average ← (1 - share) average + share present. A technique
says how large the share is at each step, which is all that members of one population may differ in.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator

from dnntrain.techniques.base import RunExtent, Switch, iterations, read_length
from dnntrain.utils.fields import format_value, hyperparameter


class Averaging(Switch):
    """Keeps an average of the weights next to those that are trained."""

    family = "Weight averaging"
    exclusive = True
    measures_statistics: ClassVar[bool] = False
    """Whether running statistics are measured again for the average, rather than averaged like the weights."""
    resets: ClassVar[bool] = False
    """Whether training goes on from the average each time that it has moved."""

    def shares(self, t: np.ndarray, steps_per_epoch: int, total_steps: int) -> np.ndarray:
        """The share of the present weights in the average after each step.

        Args:
            t: The steps, from 1, float64 of any shape.
            steps_per_epoch: Optimizer steps in an epoch.
            total_steps: Optimizer steps in the run, if it does not stop early.

        Returns:
            Shares from 0 to 1, same shape as t. After a step with 0 the average stays as it is.
        """
        raise NotImplementedError


class EMA(Averaging):
    """Exponential moving average of the weights."""

    name = "ema"
    primary = "decay"
    summary = "Evaluates an exponential moving average of the weights instead of the last ones."
    paper = (
        "Polyak & Juditsky 1992, Acceleration of Stochastic Approximation by Averaging; TensorFlow, timm, ModelEmaV3"
    )
    formula = "φ ← d φ + (1-d) θ after step t;  d = decay, with ema_warmup d = min(decay, (1+t)/(10+t))"
    advice = (
        "Steadier validation curves, and often a little better at a constant rate. The average spans about 1/(1-decay) "
        "steps, which should be a small part of the run."
    )
    decay: float = hyperparameter(0.999, "share of the average that each step keeps", gt=0, lt=1, per_member=True)
    warmup: bool = hyperparameter(True, "keep less in the first steps, which are far from the last ones")

    def shares(self, t: np.ndarray, steps_per_epoch: int, total_steps: int) -> np.ndarray:
        kept = np.minimum(self.decay, (1 + t) / (10 + t)) if self.warmup else np.full_like(t, self.decay)
        return 1 - kept


def read_start(value: object) -> str:
    """A share of the run below 1, or a length, in canonical form."""
    try:
        share = float(str(value))
    except ValueError:
        share = 1.0
    return format_value(share) if 0 <= share < 1 else read_length(value)


class SWA(Averaging):
    """Stochastic weight averaging."""

    name = "swa"
    primary = "start"
    summary = "Evaluates the plain mean of the weights at the ends of the last epochs."
    paper = "Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better Generalization, arXiv:1803.05407"
    formula = "φ ← φ + (θ - φ)/n, the n-th time after the start; batch norm's statistics are measured for φ"
    advice = (
        "Use a constant or cyclic rate that is rather high after the start, or all weights in the mean are alike. "
        "Before the start, the network itself is evaluated. A transfer in two stages averages each on its own."
    )
    example: ClassVar = {"swa": "0.3"}
    measures_statistics = True
    start: Annotated[str, BeforeValidator(read_start)] = hyperparameter(
        "0.75", "when averaging starts", unit="share of the run below 1, iterations, or 20ep", per_member=True
    )
    every: Literal["epoch", "step"] = hyperparameter("epoch", "average the weights after each epoch or after each step")

    def fault(self, run: RunExtent) -> str | None:
        total = run.longest_stage * run.steps_per_epoch
        if self._first(run.steps_per_epoch, total) < total:
            return None
        stage = "run" if run.longest_stage == run.epochs else "longest stage"
        return f"swa {self.start}: the {stage}'s {run.longest_stage} epochs end before averaging starts"

    def idle(self, run: RunExtent) -> str | None:
        total = run.longest_stage * run.steps_per_epoch
        if self.shares(np.array([float(total)]), run.steps_per_epoch, total)[0] < 1:
            return None
        return f"swa {self.start}: the average has the weights of the last {self.every} only; start earlier"

    def shares(self, t: np.ndarray, steps_per_epoch: int, total_steps: int) -> np.ndarray:
        first = self._first(steps_per_epoch, total_steps)
        if self.every == "step":
            return np.asarray(1 / np.maximum(1, t - np.floor(first)))
        count = t // steps_per_epoch - np.floor(first / steps_per_epoch)
        return np.where(t % steps_per_epoch == 0, 1 / np.maximum(1, count), 0.0)

    def _first(self, steps_per_epoch: int, total_steps: int) -> float:
        """The step after which averaging starts."""
        is_share = not self.start.endswith("ep") and float(self.start) < 1
        steps = float(self.start) * total_steps if is_share else iterations(self.start, steps_per_epoch)
        return round(steps, 6)  # 0.7 of 330 steps is just below 231 in floating point, which would be a step too early


class Lookahead(Averaging):
    """Lookahead."""

    name = "lookahead"
    primary = "every"
    summary = "Lets the optimizer run ahead for k steps, then moves slow weights part of the way, and restarts there."
    paper = "Zhang et al. 2019, Lookahead Optimizer: k steps forward, 1 step back, arXiv:1907.08610"
    formula = "every k steps: φ ← φ + α (θ - φ);  θ ← φ"
    advice = "Over any optimizer, which keeps its momentum at a restart. Allows a higher rate; 5 steps and α 0.5."
    resets = True
    every: int = hyperparameter(5, "steps k between two moves of the slow weights", ge=1, unit="steps")
    alpha: float = hyperparameter(0.5, "share α of the way that they move", gt=0, le=1, per_member=True)

    def idle(self, run: RunExtent) -> str | None:
        if self.every > run.longest_stage * run.steps_per_epoch:
            return f"lookahead {self.every}: the run ends before the slow weights move"
        if self.alpha == 1 and run.steps_per_epoch % self.every == 0:
            return f"lookahead {self.every}: with alpha 1, the slow weights are the trained ones after every epoch"
        return None

    def shares(self, t: np.ndarray, steps_per_epoch: int, total_steps: int) -> np.ndarray:
        return np.where(t % self.every == 0, self.alpha, 0.0)
