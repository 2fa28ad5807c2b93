"""Compares all arms with the baseline: one family of comparisons with simultaneous intervals and a verdict for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from dnntrain.statistics.descriptive import LEVEL, ROUNDING, correlation, hedges_g, pairs
from dnntrain.statistics.distributions import detectable, dunnett_critical, dunnett_p, t_critical
from dnntrain.statistics.significance import TTest, deviating_row, holm, paired_t, residual_squares, welch_t
from dnntrain.statistics.verdicts import UNKNOWN, seeds_to_settle, verdict

DUNNETT, PAIRED, WELCH, NO_TEST = "blocked Dunnett", "paired t with Holm", "Welch t with Holm", "none"

POWER = 0.8
"""The probability with which a family detects its smallest detectable effect (Cohen 1988)."""

VARIANCE_LEVEL = 0.2
"""Variances count as different if `deviating_row` gives a p below this.

A preliminary test should be liberal (Bancroft 1964 advises about .25), because overlooking a difference costs more than
using the fallback. Simulated with five arms and the baseline (`tests/bench/error_rates.py`), at 3 / 5 / 10 seeds: with
equal variances the whole procedure has a family-wise error of 5.4 / 5.4 / 5.2 % and a power at 2 SD of .30 / .60 / .94.
Dunnett's test alone has a power of .35 / .66 / .96, the fallback alone .07 / .28 / .85. If one arm has 4 times the SD,
Dunnett's error rises to 13 / 12 / 12 %; that of the whole procedure is 10.4 / 6.4 / 4.7 %, and would be
12.4 / 7.8 / 4.8 % at level .05. The rest of the error at 3 seeds comes from noisy arms whose 3 runs happen to lie close
together, which no test can detect.
"""


@dataclass(frozen=True)
class Comparison:
    """One arm compared with the baseline: arm − baseline, in the metric's unit."""

    difference: float
    """Mean of the differences by seed, or difference of the means if unpaired; nan if there are no runs to compare."""
    low: float
    high: float
    """The simultaneous interval, or nan: in 95 % of studies, all intervals of the family cover the true differences."""
    p: float
    """Adjusted for the family; nan without variance. Adjusted by Holm, it can be below 1 − level although the interval
    (Bonferroni) contains 0; the verdict follows the interval."""
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
    smallest_detectable: float
    """The effect that this comparison would detect with 80 % power, in the metric's unit."""
    verdict: str
    further_seeds: int | None
    """How many more seeds would probably settle the verdict; 0 if settled, 1001 if more than 1000, None if unknown."""
    note: str
    """Why there is no interval, or only a single point; empty otherwise."""


@dataclass(frozen=True)
class ComparisonFamily:
    """All comparisons of a study with its baseline."""

    method: str
    """'blocked Dunnett', 'paired t with Holm', 'Welch t with Holm', or 'none' if no arm has enough runs."""
    reason: str
    """Why this method was chosen."""
    level: float
    delta: float
    k: int
    """Comparisons with a variance, which are the ones corrected for."""
    df: float
    critical: float
    """`df` and `critical` if all comparisons share them, else nan."""
    smallest_detectable: float
    """Of the median comparison, in the metric's unit: c · se with P(|t′(df, c)| > critical) = 80 %; nan if none."""
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
    """Compares each arm with the baseline, with simultaneous intervals.

    `choose_method` selects one of these methods:

    - blocked Dunnett: se² = 2 s²/n, where s² is the residual variance of the layout arm + seed with (a − 1)(n − 1) df.
      Critical value and p come from the multivariate t with correlations ½ (Dunnett 1955, 1964; with blocks: Hsu 1996,
      ch. 7).
    - paired t, Welch t: each arm has its own se and df. p is adjusted by Holm (1979). The intervals have level
      1 − (1 − level)/k (Bonferroni), so they are simultaneous too, but more conservative than Holm's tests.

    Few, equal, or infinite values are no error; they give comparisons without an interval.

    Args:
        baseline: The baseline's values by seed, of finished runs only.
        arms: The same for each other arm.
        diverged: Runs without a value, by arm; the baseline's under any name.
        delta: The smallest difference that matters, in the metric's unit.
        level: The simultaneous confidence of all intervals.
        higher_is_better: The metric's direction.

    Raises:
        ValueError: If delta is negative.
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
    """Whether the comparison has a variance, and so an interval."""
    return not math.isnan(comparison.critical)


def common_value(values: Sequence[float]) -> float:
    """The value that all have in common; nan if they differ or there are none."""
    return values[0] if values and all(math.isclose(value, values[0]) for value in values) else math.nan


def choose_method(
    baseline: Mapping[int, float], arms: Mapping[str, Mapping[int, float]], diverged: Mapping[str, int]
) -> tuple[str, str]:
    """Chooses the method; returns it with the reason. Arms with fewer than two runs have no influence."""
    several = {name: values for name, values in arms.items() if len(values) > 1}
    if len(baseline) < 2 or not several:
        return NO_TEST, "fewer than two runs of the baseline or of every arm: no uncertainty available"
    apart = [name for name, values in several.items() if len(values.keys() & baseline.keys()) < 2]
    if apart:
        return WELCH, f"{join_arms(apart)} and the baseline share fewer than two seeds"
    dropped = [name for name, count in diverged.items() if count]
    if dropped:
        return PAIRED, f"runs of {join_arms(dropped)} diverged; compared are the seeds that both sides finished"
    partial = [name for name, values in arms.items() if values.keys() != baseline.keys()]
    if partial:
        return PAIRED, f"{join_arms(partial)} and the baseline have different seeds; compared are those that both have"
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


def join_arms(names: Sequence[str]) -> str:
    """Joins up to three names, followed by how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def layout(
    baseline: Mapping[int, float], arms: Mapping[str, Mapping[int, float]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The values as (arms, seeds): the baseline in the first row, the baseline's seeds as columns."""
    return np.array([[values[seed] for seed in baseline] for values in (baseline, *arms.values())], dtype=np.float64)


def run_tests(method: str, baseline: Mapping[int, float], arms: Mapping[str, Mapping[int, float]]) -> dict[str, TTest]:
    """Each arm's difference from the baseline, with the method's standard error and degrees of freedom."""
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
    """Why a difference has no variance; empty if it has one."""
    if test.judgeable:
        return ""
    if n < 2:
        return f"{UNKNOWN}: {('no run', 'only one run')[n]} to compare"
    if test.se != 0:
        return f"{UNKNOWN}: values that are not finite"
    same = "as good as the baseline" if abs(test.difference) <= ROUNDING else "the same difference"
    return f"{UNKNOWN}: {same} at every seed, so the interval is a point and says nothing of other seeds"
