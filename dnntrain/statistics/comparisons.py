"""Compares all arms with the baseline: one family of comparisons, each with a simultaneous interval, p and verdict.

p and interval follow from one standard error and one correction: p < 1 − level exactly where the interval leaves out 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dnntrain.statistics.corrections import BONFERRONI, DUNNETT_P, NONE, Correction
from dnntrain.statistics.descriptive import LEVEL, ROUNDING, correlation, hedges_g, pairs
from dnntrain.statistics.distributions import detectable
from dnntrain.statistics.estimates import MODERATED, PAIRED, WELCH, Estimate, ValuesBySeed, estimate_arms
from dnntrain.statistics.moderation import Pool
from dnntrain.statistics.significance import TTest
from dnntrain.statistics.verdicts import FEWEST_SEEDS, NO_VARIANCE, TOO_FEW_SEEDS, verdict
from dnntrain.utils.lazy import special

CROSSED = "crossed"
"""Names standard errors over seeds and test examples together, which cross each other."""


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
    """One of `METHODS`, or `CROSSED` if the standard errors were given."""
    level: float
    delta: float
    k: int
    """Comparisons with a variance, which are the ones corrected for."""
    n: int
    """Seeds of the baseline; if unpaired, its runs."""
    pool: Pool | None
    """The variance that the arms share; None unless two or more arms have all of the baseline's seeds."""
    comparisons: Mapping[str, Comparison]


def compare_arms(
    baseline: ValuesBySeed,
    arms: Mapping[str, ValuesBySeed],
    *,
    delta: float,
    method: str = MODERATED,
    level: float = LEVEL,
    higher_is_better: bool = True,
    adjusted: bool = True,
    k: int | None = None,
    pool: Pool | None = None,
    errors: Mapping[str, tuple[float, float]] | None = None,
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
        errors: Standard error and degrees of freedom by arm that replace the method's, as those over seeds and test
            examples together.

    Raises:
        ValueError: If delta is negative, the method is unknown, a value is not finite, or an arm lacks seeds that
            `dunnett` needs.
    """
    if not delta >= 0:
        raise ValueError(f"delta must not be negative, but is {delta}")
    estimates = estimate_arms(baseline, arms, method, k, pool)
    kind = NONE if not adjusted else BONFERRONI if method in (PAIRED, WELCH) else DUNNETT_P
    correction = Correction(kind, max(estimates.k, 1), max(len(baseline), 2))
    by_arm = dict(estimates.by_arm)
    for name, (se, df) in (errors or {}).items():
        if by_arm[name].test.judgeable:
            by_arm[name] = Estimate(TTest(by_arm[name].test.difference, se, df), by_arm[name].n)
    comparisons = {
        name: describe(
            estimate, arms[name], baseline, correction, level, delta, higher_is_better, is_paired=method != WELCH
        )
        for name, estimate in by_arm.items()
    }
    pool = None if errors else estimates.pool
    return ComparisonFamily(CROSSED if errors else method, level, delta, estimates.k, len(baseline), pool, comparisons)


def describe(
    estimate: Estimate,
    values: ValuesBySeed,
    baseline: ValuesBySeed,
    correction: Correction,
    level: float,
    delta: float,
    higher_is_better: bool,
    is_paired: bool = True,
) -> Comparison:
    """The comparison of one arm with the baseline."""
    test, shared = estimate.test, pairs(values, baseline)
    sign = 1 if higher_is_better else -1
    critical = narrow = p = p_equivalent = math.nan
    if test.judgeable:
        critical, narrow = (correction.critical(each, test.df) for each in (level, 2 * level - 1))
        p = correction.p(test.t, test.df)
        within = (delta - abs(test.difference)) / test.se
        p_equivalent = correction.adjust(float(special.stdtr(test.df, -within))) / 2 if within > 0 else 1.0
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
        wins=sum(sign * (x - y) > 0 for x, y in zip(*shared, strict=True)) if is_paired else None,
        r=correlation(*shared),
        g=hedges_g(*shared) if is_paired else hedges_g(list(values.values()), list(baseline.values())),
        se=test.se,
        df=test.df,
        critical=critical,
        pooling=estimate.pooling,
        smallest_detectable=detectable(critical, test.df) * test.se if test.judgeable else math.nan,
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
