"""Compares all arms with the baseline: one family of comparisons, each with a simultaneous interval, p and verdict.

p and interval follow from one standard error and one correction: p < 1 − level exactly where the interval leaves out 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from dnntrain.statistics.descriptive import LEVEL, ROUNDING, correlation, hedges_g, pairs
from dnntrain.statistics.distributions import Array, detectable, dunnett_p, tail_level
from dnntrain.statistics.moderation import Pool, arm_level, moderate, moderate_alone
from dnntrain.statistics.significance import TTest, paired_t, welch_t
from dnntrain.statistics.verdicts import FEWEST_SEEDS, NO_VARIANCE, TOO_FEW_SEEDS, verdict

Values = Mapping[int, float]
"""An arm's values by seed."""

MODERATED, DUNNETT, PAIRED, WELCH = METHODS = ("moderated", "dunnett", "paired", "welch")
"""The methods of `compare`. The first is the default; the others are for those who must report them."""

POWER = 0.8
"""The probability with which an arm's smallest detectable effect is found (Cohen 1988)."""


@dataclass(frozen=True)
class Correction:
    """How the comparisons of a family are corrected for their number."""

    kind: str
    """'dunnett', 'bonferroni', or 'none'."""
    k: int
    """Comparisons that are corrected for."""
    n: int
    """Seeds of the baseline."""

    def critical(self, level: float, df: float) -> float:
        """The critical value of |t| at which the family's p is 1 − level."""
        if self.kind == DUNNETT:
            tail = tail_level(self.k, self.n, level)
        else:
            tail = (1 - level) / (self.k if self.kind == "bonferroni" else 1)
        return float(-stdtrit(df, tail / 2))

    def adjust(self, tail: float) -> float:
        """The family's two-sided p for P(T > |t|) of one comparison."""
        if self.kind == DUNNETT:
            df = self.k * (self.n - 1)
            return dunnett_p(float(stdtrit(df, tail)), self.k, df)
        return min(1.0, 2 * tail * (self.k if self.kind == "bonferroni" else 1))


@dataclass(frozen=True)
class Estimate:
    """The difference of one arm from the baseline with its standard error."""

    test: TTest
    n: int
    """The number of pairs; if unpaired, the runs of the smaller side."""
    pooling: float = 0.0
    """How far the arm shares the pooled variance, 0 to 1."""


@dataclass(frozen=True)
class Comparison:
    """One arm compared with the baseline: arm − baseline, in the metric's unit."""

    difference: float
    """Mean of the differences by seed, or difference of the means if unpaired; nan if there are no runs to compare."""
    low: float
    high: float
    """The simultaneous interval, or nan: in 95 % of studies, all intervals of the family cover the true differences."""
    narrow_low: float
    narrow_high: float
    """The interval at level 1 − 2α (90 %), by which equivalence is judged (two one-sided tests; Schuirmann 1987)."""
    p: float
    """Adjusted for the family; nan without variance."""
    p_equivalent: float
    """P value of the two one-sided tests against ±δ, adjusted for the family; nan without variance."""
    n: int
    """The number of pairs; if unpaired, the runs of the smaller side."""
    wins: int | None
    """Seeds at which the arm is strictly better than the baseline; None if unpaired."""
    r: float
    """Pearson's r of both arms over the seeds that they share."""
    g: float
    """Hedges' g: the difference in standard deviations of one run."""
    se: float
    df: float
    critical: float
    """The interval is difference ± critical · se."""
    pooling: float
    """How far the arm shares the pooled variance, 0 (judged by its own alone) to 1."""
    smallest_detectable: float
    """The difference that this comparison would show with 80 % power, in the metric's unit."""
    verdict: str
    note: str
    """Why there is no interval or no verdict; empty otherwise."""

    @property
    def is_judged(self) -> bool:
        """Whether the comparison has a variance, and so an interval."""
        return not math.isnan(self.critical)


@dataclass(frozen=True)
class ComparisonFamily:
    """All comparisons of a study with its baseline."""

    method: str
    """One of `METHODS`."""
    level: float
    delta: float
    k: int
    """Comparisons with a variance, which are the ones corrected for."""
    n: int
    """Seeds of the baseline; if unpaired, its runs."""
    pool: Pool | None
    """The variance that the arms share; None unless two or more arms have all of the baseline's seeds."""
    comparisons: Mapping[str, Comparison]


def compare(
    baseline: Values,
    arms: Mapping[str, Values],
    *,
    delta: float,
    method: str = MODERATED,
    level: float = LEVEL,
    higher_is_better: bool = True,
    adjusted: bool = True,
    k: int | None = None,
    pool: Pool | None = None,
) -> ComparisonFamily:
    """Compares each arm with the baseline, with simultaneous intervals.

    - moderated: each arm's se by `moderate`, an arm without some of the baseline's seeds by `moderate_alone`; the
      family's p is Dunnett's.
    - dunnett: one pooled variance, the residual mean square of the layout arm + seed (Dunnett 1955, 1964; with blocks:
      Hsu 1996, ch. 7). Every arm needs all of the baseline's seeds.
    - paired, welch: each arm's own variance, with Bonferroni's correction.

    Seeds that the baseline lacks are left out, except by welch, which does not pair. Arms with the same difference at
    every seed have no variance: they get no interval and do not count in k.

    Args:
        baseline: The baseline's values by seed.
        arms: The same for each other arm.
        delta: The smallest difference that matters, in the metric's unit.
        method: One of `METHODS`.
        level: The simultaneous confidence of all intervals.
        higher_is_better: The metric's direction.
        adjusted: Whether to correct for the number of arms.
        k: The comparisons to correct for, where they are more than these arms have. By default those with a variance.
        pool: The pool of an earlier look, by which all arms are then judged one by one.

    Raises:
        ValueError: If delta is negative, the method is unknown, a value is not finite, or an arm lacks seeds that
            `dunnett` needs.
    """
    check_arguments(baseline, arms, delta, method)
    differences = {} if method == WELCH else {name: paired(values, baseline) for name, values in arms.items()}
    estimates = {}
    if method == WELCH:
        for name, values in arms.items():
            n = min(len(values), len(baseline))
            estimates[name] = Estimate(welch_t(list(values.values()), list(baseline.values())), n)
    else:
        estimates = {name: Estimate(paired_t(*pairs(arms[name], baseline)), len(d)) for name, d in differences.items()}
    judged = [name for name, estimate in estimates.items() if estimate.test.judgeable]
    k = len(judged) if k is None else k
    if judged and method in (MODERATED, DUNNETT):
        complete = [name for name in judged if len(differences[name]) == len(baseline)]
        if method == DUNNETT:
            estimates |= pooled_estimates(complete, differences)
        else:
            moderated, pool = moderated_estimates(judged, complete, differences, k, pool)
            estimates |= moderated
    kind = "none" if not adjusted else DUNNETT if method in (MODERATED, DUNNETT) else "bonferroni"
    correction = Correction(kind, max(k, 1), max(len(baseline), 2))
    comparisons = {
        name: describe(estimates[name], arms[name], baseline, correction, level, delta, higher_is_better, method)
        for name in arms
    }
    return ComparisonFamily(method, level, delta, k, len(baseline), pool, comparisons)


def check_arguments(baseline: Values, arms: Mapping[str, Values], delta: float, method: str) -> None:
    """Raise ValueError for arguments that `compare` refuses."""
    if not delta >= 0:
        raise ValueError(f"delta must not be negative, but is {delta}")
    if method not in METHODS:
        raise ValueError(f"unknown method '{method}'; known: {', '.join(METHODS)}")
    if not all(math.isfinite(value) for values in (baseline, *arms.values()) for value in values.values()):
        raise ValueError("a value is not finite")
    if method == DUNNETT:
        for name, values in arms.items():
            if missing := sorted(baseline.keys() - values.keys()):
                raise ValueError(f"method dunnett needs every arm at every seed; {name} lacks seed {missing[0]}")


def paired(ours: Values, theirs: Values) -> Array:
    """ours − theirs at the seeds that both have, in the order of the seeds."""
    x, y = pairs(ours, theirs)
    return np.array(x, dtype=np.float64) - np.array(y, dtype=np.float64)


def moderated_estimates(
    judged: list[str], complete: list[str], differences: Mapping[str, Array], k: int, pool: Pool | None
) -> tuple[dict[str, Estimate], Pool | None]:
    """Estimates with moderated variances, and the pool of the arms that have all seeds or the one that was given."""
    estimates = {}
    is_carried = pool is not None
    if complete and not is_carried:
        table = moderate(np.array([differences[name] for name in complete]))
        pool = table.pool
        for i, name in enumerate(complete):
            test = TTest(float(table.mean[i]), float(table.se[i]), float(table.df[i]))
            estimates[name] = Estimate(test, len(differences[name]), float(table.pooling[i]))
    for name in judged:
        if name not in estimates:
            n = len(differences[name])
            # arms that were in the carried pool are doubted only from the usual level on
            alone = moderate_alone(differences[name], pool, k, arm_level(n, k) if is_carried else 1.0)
            test = TTest(float(alone.mean[0]), float(alone.se[0]), float(alone.df[0]))
            estimates[name] = Estimate(test, n, float(alone.pooling[0]))
    return estimates, pool


def pooled_estimates(names: list[str], differences: Mapping[str, Array]) -> dict[str, Estimate]:
    """Estimates that share the residual mean square of the layout arm + seed, baseline included."""
    table = np.array([differences[name] for name in names])
    rows = np.concatenate([np.zeros_like(table[:1]), table - table.mean(-1, keepdims=True)])
    n, df = table.shape[1], len(names) * (table.shape[1] - 1)
    se = math.sqrt(2 * float(((rows - rows.mean(0)) ** 2).sum()) / df / n)
    return {
        name: Estimate(TTest(float(d.mean()), se, df), n, pooling=1.0)
        for name, d in ((name, differences[name]) for name in names)
    }


def describe(
    estimate: Estimate,
    values: Values,
    baseline: Values,
    correction: Correction,
    level: float,
    delta: float,
    higher_is_better: bool,
    method: str,
) -> Comparison:
    """The comparison of one arm with the baseline."""
    test, shared = estimate.test, pairs(values, baseline)
    sign = 1 if higher_is_better else -1
    critical = narrow = p = p_equivalent = math.nan
    if test.judgeable:
        critical, narrow = (correction.critical(each, test.df) for each in (level, 2 * level - 1))
        p = correction.adjust(float(stdtr(test.df, -abs(test.t))))
        within = (delta - abs(test.difference)) / test.se
        p_equivalent = correction.adjust(float(stdtr(test.df, -within))) / 2 if within > 0 else 1.0
    wide, inner = critical * test.se, narrow * test.se
    if estimate.n > 1 and test.se == 0:
        wide = inner = 0.0
    note = why_unjudged(estimate)
    return Comparison(
        difference=test.difference,
        low=test.difference - wide,
        high=test.difference + wide,
        narrow_low=test.difference - inner,
        narrow_high=test.difference + inner,
        p=p,
        p_equivalent=p_equivalent,
        n=estimate.n,
        wins=None if method == WELCH else sum(sign * (x - y) > 0 for x, y in zip(*shared, strict=True)),
        r=correlation(*shared),
        g=hedges_g(list(values.values()), list(baseline.values())) if method == WELCH else hedges_g(*shared),
        se=test.se,
        df=test.df,
        critical=critical,
        pooling=estimate.pooling,
        smallest_detectable=detectable(critical, test.df, POWER) * test.se if test.judgeable else math.nan,
        verdict=note or verdict(test.difference, wide, inner, delta, higher_is_better),
        note=note,
    )


def why_unjudged(estimate: Estimate) -> str:
    """Why a comparison gets no verdict; empty if it gets one."""
    if estimate.n < FEWEST_SEEDS:
        return TOO_FEW_SEEDS[estimate.n]
    if estimate.test.judgeable:
        return ""
    same = abs(estimate.test.difference) <= ROUNDING
    return "equal at every seed" if same else NO_VARIANCE
