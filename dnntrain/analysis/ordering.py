"""An order of arms tested: whether each arm beats the next, and whether there is a trend, with lost runs included."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dnntrain.analysis.designs import with_verdict
from dnntrain.analysis.runs import ArmRuns
from dnntrain.analysis.verdicts import PairVerdicts
from dnntrain.metrics import Metric
from dnntrain.statistics import FEWEST_SEEDS, LEVEL, ContrastResult, TrendTest, judge_steps, page_trend
from dnntrain.statistics.verdicts import BETTER, WORSE
from dnntrain.store.study_files import Results


@dataclass(frozen=True)
class OrderStep:
    """An arm compared with the next one of an order."""

    arm: str
    following: str
    result: ContrastResult
    """Arm − following. The interval is of this step alone; p and the verdict on the arm are of all steps together."""

    @property
    def holds(self) -> bool | None:
        """Whether the arm is better than the following one; None if that is not shown either way."""
        said = self.result.verdict
        if said.startswith(BETTER):
            return True
        return False if said.startswith(WORSE) or said.endswith(f": {WORSE}") else None


@dataclass(frozen=True)
class OrderResult:
    """What the runs say of an order of arms."""

    order: tuple[str, ...]
    """The best first."""
    steps: list[OrderStep]
    trend: TrendTest | None
    """None with fewer than three seeds at which all arms have a run."""


def order_result(
    results: Results, arms: Mapping[str, ArmRuns], order: Sequence[str], metric: Metric, level: float = LEVEL
) -> OrderResult:
    """Tests an order of arms.

    Args:
        results: The study.
        arms: The runs of every arm.
        order: At least three of the arms, the best first.
        metric: What the values are of.
        level: 1 − the error over all steps.
    """
    values = {name: runs.values for name, runs in arms.items()}
    verdicts, steps = PairVerdicts.of(results, arms), []
    judged = judge_steps(order, values, metric.higher_is_better, level)
    for (arm, following), result in zip(pairwise(order), judged, strict=True):
        words = verdicts.verdict(arm, following, result)
        steps.append(OrderStep(arm, following, with_verdict(result, words, metric)))
    ranked = scores([arms[name] for name in order], metric.higher_is_better)
    is_judged = verdicts.is_complete and len(ranked) >= FEWEST_SEEDS
    return OrderResult(tuple(order), steps, page_trend(ranked) if is_judged else None)


def scores(arms: Sequence[ArmRuns], higher_is_better: bool) -> np.ndarray:
    """[seed, arm], higher is better, at the seeds at which every arm has a run; -inf for a lost run."""
    sign = 1 if higher_is_better else -1
    by_arm = [
        {seed: sign * value for seed, value in arm.finished.items()}
        | dict.fromkeys((*arm.diverged, *arm.failed), -math.inf)
        for arm in arms
    ]
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in by_arm)))
    return np.array([[by_seed[seed] for by_seed in by_arm] for seed in shared])
