"""All arms against the baseline: one family of comparisons with simultaneous intervals, and what they say."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from dnntrain.statistics.descriptive import LEVEL, ROUNDING, correlation, hedges_g, pairs
from dnntrain.statistics.distributions import detectable, dunnett_critical, dunnett_p, t_critical
from dnntrain.statistics.significance import TTest, deviating_row, holm, paired_t, residual_squares, welch_t

DUNNETT, PAIRED, WELCH, NO_TEST = "blocked Dunnett", "paired t with Holm", "Welch t with Holm", "none"

POWER = 0.8
"""With this probability a family finds its smallest detectable effect (Cohen 1988)."""

MANY_SEEDS = 1000
"""Where more further seeds than this are needed, their number is not worth telling: `further_seeds` says 1001."""

VARIANCE_LEVEL = 0.2
"""Below this p of `deviating_row` the variances clearly differ.

A preliminary test should be liberal (Bancroft 1964 advises about .25): overlooking a difference costs more than the
fallback does. Simulated with five arms and the baseline (`tests/bench/error_rates.py`), at 3 / 5 / 10 seeds: with equal
variances the whole procedure's family-wise error is 5.4 / 5.4 / 5.2 % and its power at 2 SD .30 / .60 / .94, where
Dunnett's alone has .35 / .66 / .96 and the fallback alone .07 / .28 / .85. One arm of 4 times the SD lifts Dunnett's
error to 13 / 12 / 12 %; the whole procedure's is 10.4 / 6.4 / 4.7 %, and would be 12.4 / 7.8 / 4.8 % at level .05. What
remains at 3 seeds are the wild arms that happen to look tame: no test on 3 runs can tell them.
"""

UNKNOWN = "no uncertainty available"
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Comparison:
    """One arm against the baseline: arm − baseline, in the metric's unit."""

    difference: float
    """Mean of the differences by seed; difference of the means where unpaired; nan without a run to compare."""
    low: float
    high: float
    """The simultaneous interval: all of a family's cover their true differences in 95 % of studies; nan if none."""
    p: float
    """Adjusted for the family; nan where there is no variance to judge by. Holm's can be below 1 − level where
    the interval, Bonferroni's, still contains 0: the verdict follows the interval."""
    n: int
    """Pairs; where unpaired, the runs of the smaller side."""
    wins: int | None
    """Seeds at which the arm is strictly better than the baseline; None where unpaired."""
    r: float
    """The seeds' correlation, over the seeds that both have."""
    g: float
    """Hedges' g, in standard deviations of one run."""
    se: float
    df: float
    critical: float
    """The interval is difference ± critical · se."""
    smallest_detectable: float
    """The effect that this comparison would detect with 80 % power."""
    verdict: str
    further_seeds: int | None
    """That would probably settle an inconclusive verdict; 0 if settled, 1001 if more than 1000, None if unknown."""
    note: str
    """Why there is no interval, or only a degenerate one; empty otherwise."""


@dataclass(frozen=True)
class ComparisonFamily:
    """All comparisons of a study with its baseline."""

    method: str
    """'blocked Dunnett', 'paired t with Holm', 'Welch t with Holm', or 'none' where nothing can be judged."""
    reason: str
    """Why this method, in words."""
    level: float
    delta: float
    k: int
    """Comparisons that have a variance to be judged by: those that are corrected for."""
    df: float
    critical: float
    """The comparisons' common values; nan where they differ."""
    smallest_detectable: float
    """In the metric's unit, of the median comparison: c · se, where P(|t′(df, c)| > critical) = 80 %; nan if none."""
    comparisons: Mapping[str, Comparison]


def compare(
    baseline: Mapping[int, float],
    arms: Mapping[str, Mapping[int, float]],
    *,
    diverged: Mapping[str, int] | None = None,
    delta: float,
    level: float = LEVEL,
    higher_is_better: bool = True,
) -> ComparisonFamily:
    """Compare each arm with the baseline, by values of finished runs by seed, with intervals that hold all at once.

    `diverged` counts the runs without a value, by arm (the baseline's under any name). `delta`, in the metric's unit,
    is the difference that would matter. The method is `choose_method`'s:

    blocked Dunnett: se² = 2 s²/n with s² the residual variance of the layout arm + seed, df (a − 1)(n − 1), critical
        value and p from the multivariate t with correlations ½ (Dunnett 1955, 1964; with blocks: Hsu 1996, ch. 7).
    paired t, Welch t: each arm's own se and df; p adjusted by Holm (1979); intervals at 1 − (1 − level)/k
        (Bonferroni), so that they too are simultaneous. They are wider than Holm's tests are strict.

    Nothing raises for few, equal or infinite values; ValueError for a negative delta.
    """
    if not delta >= 0:
        raise ValueError(f"delta must not be negative, but is {delta}")
    method, reason = choose_method(baseline, arms, diverged or {})
    tests = run_tests(method, baseline, arms)
    k = sum(test.judgeable for test in tests.values())
    p_values = [dunnett_p(test.t, k, test.df) if method == DUNNETT and k else test.p for test in tests.values()]

    def critical(df: float) -> float:
        return dunnett_critical(level, k, df) if method == DUNNETT else t_critical(1 - (1 - level) / k, df)

    comparisons = {
        name: describe(tests[name], p, baseline, arms[name], method, critical, delta, higher_is_better)
        for name, p in zip(tests, p_values if method == DUNNETT else holm(p_values), strict=True)
    }
    judged = [comparison for comparison in comparisons.values() if was_judged(comparison)]
    return ComparisonFamily(
        method=method,
        reason=reason,
        level=level,
        delta=delta,
        k=k,
        df=common_value([comparison.df for comparison in judged]),
        critical=common_value([comparison.critical for comparison in judged]),
        smallest_detectable=median([c.smallest_detectable for c in judged]) if judged else math.nan,
        comparisons=comparisons,
    )


def was_judged(comparison: Comparison) -> bool:
    """Whether the comparison was judged by a variance."""
    return not math.isnan(comparison.critical)


def common_value(values: Sequence[float]) -> float:
    """The value that all share; nan where they differ or there are none."""
    return values[0] if values and all(math.isclose(value, values[0]) for value in values) else math.nan


def choose_method(
    baseline: Mapping[int, float], arms: Mapping[str, Mapping[int, float]], diverged: Mapping[str, int]
) -> tuple[str, str]:
    """The method and the reason for it; an arm with fewer than two runs has no say, since no method can judge it."""
    several = {name: values for name, values in arms.items() if len(values) > 1}
    if len(baseline) < 2 or not several:
        return NO_TEST, "fewer than two runs of the baseline or of every arm: no uncertainty available"
    apart = [name for name, values in several.items() if len(values.keys() & baseline.keys()) < 2]
    if apart:
        return WELCH, f"{join_names(apart)} and the baseline share fewer than two seeds"
    dropped = [name for name, count in diverged.items() if count]
    if dropped:
        return PAIRED, f"runs of {join_names(dropped)} diverged; compared are the seeds that both sides finished"
    partial = [name for name, values in arms.items() if values.keys() != baseline.keys()]
    if partial:
        return PAIRED, f"{join_names(partial)} and the baseline have different seeds; compared are those that both have"
    if any(not math.isfinite(value) for values in (baseline, *arms.values()) for value in values.values()):
        return PAIRED, "some values are not finite"
    names = ["the baseline", *arms]
    row, p = deviating_row(residual_squares(layout(baseline, arms)), len(baseline))
    if p < VARIANCE_LEVEL:
        return (
            PAIRED,
            f"the variances seem to differ: {names[int(row)]} varies most, each seed's own effect taken out "
            f"(p = {float(p):.2g}; below {VARIANCE_LEVEL} the safer test is used)",
        )
    if len(arms) == 1:
        return DUNNETT, f"one arm on the baseline's {len(baseline)} seeds, where it is the paired t test"
    return DUNNETT, f"every arm has the baseline's {len(baseline)} seeds, and the variances do not clearly differ"


def join_names(names: Sequence[str]) -> str:
    """Up to three names, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def layout(
    baseline: Mapping[int, float], arms: Mapping[str, Mapping[int, float]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The values with a row for each arm, the baseline first, and a column for each of the baseline's seeds."""
    return np.array([[values[seed] for seed in baseline] for values in (baseline, *arms.values())], dtype=np.float64)


def run_tests(method: str, baseline: Mapping[int, float], arms: Mapping[str, Mapping[int, float]]) -> dict[str, TTest]:
    """Each arm's difference with its standard error and degrees of freedom by the method."""
    if method == WELCH:
        return {name: welch_t(list(values.values()), list(baseline.values())) for name, values in arms.items()}
    tests = {name: paired_t(*pairs(values, baseline)) for name, values in arms.items()}
    if method != DUNNETT:
        return tests
    table = layout(baseline, arms)
    df = len(arms) * (len(baseline) - 1)
    se = math.sqrt(2 * float(residual_squares(table).sum()) / df / len(baseline))
    return {name: TTest(test.difference, se, df) for name, test in tests.items()}


def describe(
    test: TTest,
    p: float,
    baseline: Mapping[int, float],
    values: Mapping[int, float],
    method: str,
    critical_of: Callable[[float], float],
    delta: float,
    higher_is_better: bool,
) -> Comparison:
    """The comparison of one arm with the baseline."""
    shared = pairs(values, baseline)
    n = min(len(values), len(baseline)) if method == WELCH else len(shared[0])
    sign = 1 if higher_is_better else -1
    critical = critical_of(test.df) if test.judgeable else math.nan
    margin = critical * test.se if test.judgeable else 0.0 if test.se == 0 else math.nan
    low, high = test.difference - margin, test.difference + margin
    conclusion = verdict(low, high, delta, higher_is_better) if test.judgeable else UNKNOWN
    return Comparison(
        difference=test.difference,
        low=low,
        high=high,
        p=p,
        n=n,
        wins=None if method == WELCH else sum(sign * (x - y) > 0 for x, y in zip(*shared, strict=True)),
        r=correlation(*shared),
        g=hedges_g(list(values.values()), list(baseline.values())) if method == WELCH else hedges_g(*shared),
        se=test.se,
        df=test.df,
        critical=critical,
        smallest_detectable=detectable(critical, test.df, POWER) * test.se if test.judgeable else math.nan,
        verdict=conclusion,
        further_seeds=seeds_to_settle(conclusion, test, n, delta, critical_of),
        note=why_unjudged(test, n),
    )


def why_unjudged(test: TTest, n: int) -> str:
    """Why there is no variance to judge a difference by; empty where there is."""
    if test.judgeable:
        return ""
    if n < 2:
        return f"{UNKNOWN}: {('no run', 'only one run')[n]} to compare"
    if test.se != 0:
        return f"{UNKNOWN}: values that are not finite"
    same = "as good as the baseline" if abs(test.difference) <= ROUNDING else "the same difference"
    return f"{UNKNOWN}: {same} at every seed, so the interval is a point and says nothing of other seeds"


def verdict(low: float, high: float, delta: float, higher_is_better: bool = True) -> str:
    """What an interval of arm − baseline says: is there a difference, and is it too small to matter?

    'better' or 'worse': the interval leaves out 0 (not δ: a difference is real before it is large).
    'equivalent': it lies inside ±δ (Schuirmann 1987; a 95 % interval is stricter than his 90 %).
    'better, but within ±δ' or 'worse, …': both. 'inconclusive': neither. `low`, `high` and δ in the metric's unit.
    """
    if math.isnan(low) or math.isnan(high):
        return UNKNOWN
    within = -delta < low and high < delta
    if low <= 0 <= high:
        return "equivalent" if within else INCONCLUSIVE
    word = "better" if (low > 0) == higher_is_better else "worse"
    return f"{word}, but within ±δ" if within else word


def seeds_to_settle(
    conclusion: str, test: TTest, n: int, delta: float, critical_of: Callable[[float], float]
) -> int | None:
    """The further seeds at which the verdict would be settled, if difference and variance stay as they are.

    The half-width that settles it is δ, or less where |difference| = d lies between 0 and δ: below d the interval
    leaves out 0, below δ − d it lies inside ±δ. A d beyond δ, often the luck of few seeds, is not relied on.
    """
    if not test.judgeable:
        return None
    if conclusion != INCONCLUSIVE:
        return 0
    size = abs(test.difference)
    return further_seeds(n, test.se, test.df, max(size, delta - size) if size < delta else delta, critical_of)


def further_seeds(n: int, se: float, df: float, target: float, critical_of: Callable[[float], float]) -> int:
    """How many seeds more than `n` would bring the interval's half-width to `target`, at the same variance.

    With m seeds se √(n/m) and df (m − 1)/(n − 1) replace `se` and `df`, and `critical_of` gives the critical value;
    1001 where more than 1000 are needed. ValueError below two seeds. "Probably": the variance is itself an estimate.
    """
    if n < 2:
        raise ValueError("no variance to plan by below two seeds")

    def settled(m: int) -> bool:
        return critical_of(df * (m - 1) / (n - 1)) * se * math.sqrt(n / m) <= target

    return bisect_left(range(n, n + MANY_SEEDS + 1), True, key=settled)
