"""How often the comparisons with a baseline err: simulated studies of normal data, with the Monte Carlo error.

    python -m tests.bench.error_rates [STUDIES]

The studies are judged all at once by array; tests/test_statistics.py shows that `compare` judges them alike, and runs
a shorter version of this. (A file named like the standard library's `statistics` would hide it from its neighbours.)
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from dnntrain.statistics import dunnett_critical, t_critical
from dnntrain.statistics.comparisons import VARIANCE_LEVEL
from dnntrain.statistics.significance import deviating_row, residual_squares

LEVEL = 0.95
SEED_SD = 1.0
"""The seeds' own deviation, shared by all arms; with runs of SD 1 their correlation is one half."""

SCENARIOS = {
    "equal variances": (1, 1, 1, 1, 1, 1),
    "one arm of 4 SD": (1, 1, 1, 1, 1, 4),
    "baseline of 4 SD": (4, 1, 1, 1, 1, 1),
    "two arms of 4 SD": (1, 1, 1, 1, 4, 4),
    "one arm of 2 SD": (1, 1, 1, 1, 1, 2),
    "one arm of 1/4 SD": (1, 1, 1, 1, 1, 0.25),
    "two arms, one 4 SD": (1, 1, 4),
    "ten arms, one 4 SD": (1,) * 10 + (4,),
}
"""Standard deviations of the runs, the baseline's first."""


@dataclass(frozen=True)
class Judged:
    """What a method says of each study: a row for each study, a column for each arm."""

    rejected: np.ndarray
    covered: np.ndarray

    def false_alarms(self, effect: float) -> float:
        """The share of studies that find a difference where there is none."""
        return float(self.rejected[:, 1:].any(1).mean() if effect else self.rejected.any(1).mean())

    def coverage(self) -> float:
        """The share of studies of which all intervals contain the true differences."""
        return float(self.covered.all(1).mean())

    def power(self) -> float:
        """The share of studies that find the first arm's difference."""
        return float(self.rejected[:, 0].mean())


def draw(studies: int, n: int, deviations: tuple[float, ...], effect: float, seed: int = 0) -> np.ndarray:
    """Studies × arms × seeds of normal data; the first arm differs from the baseline by `effect`."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((studies, len(deviations), n)) * np.array(deviations)[:, None]
    values += SEED_SD * random.standard_normal((studies, 1, n))
    values[:, 1] += effect
    return values


def judge(values: np.ndarray, effect: float = 0.0, variance_level: float = VARIANCE_LEVEL) -> dict[str, Judged]:
    """Dunnett's comparison with blocks, paired t with Holm, and the choice between them, on every study."""
    _, arms, n = values.shape
    k, df = arms - 1, (arms - 1) * (n - 1)
    truth = np.zeros(k)
    truth[0] = effect
    by_seed = values[:, 1:] - values[:, :1]
    difference = by_seed.mean(2)
    squares = residual_squares(values)
    margin = dunnett_critical(LEVEL, k, df) * np.sqrt(2 * squares.sum(1, keepdims=True) / df / n)
    dunnett = Judged(np.abs(difference) > margin, np.abs(difference - truth) <= margin)
    se = by_seed.std(2, ddof=1) / math.sqrt(n)
    paired = Judged(
        rejected_by_holm(2 * stdtr(n - 1, -np.abs(difference) / se)),
        np.abs(difference - truth) <= t_critical(1 - (1 - LEVEL) / k, n - 1) * se,
    )
    _, p = deviating_row(squares, n)
    differ = (p < variance_level)[:, None]
    chosen = Judged(
        np.where(differ, paired.rejected, dunnett.rejected), np.where(differ, paired.covered, dunnett.covered)
    )
    return {"Dunnett": dunnett, "Holm": paired, "chosen": chosen}


def rejected_by_holm(p: np.ndarray) -> np.ndarray:
    """Where Holm's step-down rejects, row by row."""
    order = np.argsort(p, axis=1)
    steps = (1 - LEVEL) / np.arange(p.shape[1], 0, -1)
    below = np.logical_and.accumulate(np.take_along_axis(p, order, 1) <= steps, axis=1)
    rejected = np.empty_like(below)
    np.put_along_axis(rejected, order, below, 1)
    return rejected


def main() -> None:
    """Print coverage, family-wise error and power, and what other levels of the test of variances would do."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    start = time.monotonic()
    error = 100 * math.sqrt(0.05 * 0.95 / studies)
    print(f"{studies:,} studies a row; Monte Carlo error ±{error:.2f} points at 5 % (one standard error)")
    print("Five arms unless said; each: Dunnett's / paired t with Holm / chosen\n")
    print(f"{'':20}{'n':>3}   {'family-wise error %':^22}   {'coverage of all %':^22}")
    for name, deviations in SCENARIOS.items():
        for n in (3, 5, 10):
            judged = judge(draw(studies, n, deviations, 0.0)).values()
            alarms = " / ".join(f"{100 * each.false_alarms(0.0):5.2f}" for each in judged)
            covered = " / ".join(f"{100 * each.coverage():5.2f}" for each in judged)
            print(f"{name:20}{n:3}   {alarms:^22}   {covered:^22}")
    print("\nPower at an effect of 2 SD, equal variances")
    for n in (3, 5, 10):
        judged = judge(draw(studies, n, SCENARIOS["equal variances"], 2.0), 2.0).values()
        print(f"{'':20}{n:3}   " + " / ".join(f"{each.power():5.3f}" for each in judged))
    print("\nBy the level of the test of variances: error % with equal variances, with one arm of 4 SD, power at 2 SD")
    for n in (3, 5, 10):
        null, wild, shifted = (
            draw(studies, n, SCENARIOS[name], effect)
            for name, effect in (("equal variances", 0.0), ("one arm of 4 SD", 0.0), ("equal variances", 2.0))
        )
        for level in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5):
            errors = [100 * judge(values, 0.0, level)["chosen"].false_alarms(0.0) for values in (null, wild)]
            power = judge(shifted, 2.0, level)["chosen"].power()
            print(f"{level:20.2f}{n:3}   {errors[0]:5.2f}   {errors[1]:5.2f}   {power:.3f}")
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
