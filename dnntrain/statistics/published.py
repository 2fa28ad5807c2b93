"""Compares an arm's runs with a published value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.statistics.descriptive import deviation, mean
from dnntrain.statistics.distributions import TINY, Array, t_p
from dnntrain.utils.lazy import special

COMPATIBLE, DIFFERS, CANNOT_TELL = "compatible", "differs", "cannot tell"

RUNS_APART = 3.0
"""A published mean is compatible with ours if they are surely less than this many standard deviations of one run apart.

99.7 % of normal values lie so close to their mean. A smaller margin could hardly be shown against a single published
run, which is known only to two standard deviations itself.
"""

MANY_RUNS = 1000
"""More runs than this are not counted."""


@dataclass(frozen=True)
class PublishedComparison:
    """An arm's mean compared with a published one: ours − published, in the metric's unit."""

    difference: float
    low: float
    high: float
    """The interval, simultaneous over all published values that are compared; nan without a standard deviation."""
    z: float
    """The difference in standard errors, which count both sides' runs; nan without a standard deviation."""
    df: float
    p: float
    """Of z by Student's t, adjusted for the number of published values."""
    margin: float
    """`RUNS_APART` standard deviations of one run."""
    verdict: str
    """'compatible', 'differs', or 'cannot tell'."""
    runs_needed: int | None
    """Where the verdict is 'cannot tell': how many runs of ours would give another, if mean and standard deviation
    stayed. None if no number up to `MANY_RUNS` would, as against a single published run at 1.4 to 2 deviations."""


def compare_published(
    values: Sequence[float],
    published_mean: float,
    published_sd: float | None = None,
    published_n: int | None = None,
    alpha: float = 0.05,
    k: int = 1,
) -> PublishedComparison:
    """Whether a published mean agrees with ours, by a t test that counts the run-to-run variation of both sides.

    - differs: the two-sided p value, times k, is below alpha (the interval leaves out 0).
    - compatible: it does not differ, and the interval at 1 − 2 alpha lies within `RUNS_APART` standard deviations of
      one run (two one-sided tests; Schuirmann 1987). A large p alone is not enough: with few runs it always is. There
      is no correction for k, because all values are compatible only if each is (Berger 1982).
    - cannot tell: neither, so more runs are needed.

    With both standard deviations this is Welch's test (1947). A side without one, such as a single published run, is
    taken to vary as the other does. A single published run then differs if it lies outside the prediction interval of
    one more run of ours.

    Args:
        values: The metric of our runs.
        published_mean: The published value.
        published_sd: Its standard deviation over runs, if published.
        published_n: Its number of runs. By default one, or two if there is a standard deviation: the fewest possible.
        alpha: The error over all published values that are said to differ.
        k: How many published values are compared (Bonferroni).

    Raises:
        ValueError: If there are no values, or published_sd is negative, or published_n too small.
    """
    fewest = 1 if published_sd is None else 2
    theirs = fewest if published_n is None else published_n
    if not values or theirs < fewest or (published_sd is not None and not published_sd >= 0):
        raise ValueError(f"{len(values)} runs cannot be compared with {theirs} published ones of sd {published_sd}")
    difference = mean(values) - published_mean
    runs = np.arange(len(values), max(MANY_RUNS, len(values)) + 1, dtype=np.float64)
    se, df, run_sd = mean_error(deviation(values), runs, published_sd, theirs)
    if not se[0] > 0:
        nan = math.nan
        return PublishedComparison(difference, nan, nan, nan, nan, nan, nan, CANNOT_TELL, None)
    margin, wide = RUNS_APART * run_sd, -special.stdtrit(df[:1], alpha / k / 2) * se[:1]
    verdict = decide(difference, se[:1], df[:1], margin, alpha, k)[0]
    told = decide(difference, se, df, margin, alpha, k) if verdict == CANNOT_TELL else []
    z = difference / float(se[0])
    return PublishedComparison(
        difference=difference,
        low=difference - float(wide[0]),
        high=difference + float(wide[0]),
        z=z,
        df=float(df[0]),
        p=min(1.0, k * t_p(z, float(df[0]))),
        margin=margin,
        verdict=verdict,
        runs_needed=next((int(n) for n, said in zip(runs, told, strict=False) if said != CANNOT_TELL), None),
    )


def decide(difference: float, se: Array, df: Array, margin: float, alpha: float, k: int) -> list[str]:
    """The verdict for each standard error."""
    wide, narrow = (-special.stdtrit(df, tail) * se for tail in (alpha / k / 2, alpha))
    compatible = abs(difference) + narrow < margin
    return [
        DIFFERS if abs(difference) > half else COMPATIBLE if agrees else CANNOT_TELL
        for half, agrees in zip(wide, compatible, strict=True)
    ]


def mean_error(
    own_sd: float, runs: Array, published_sd: float | None, published_runs: int
) -> tuple[Array, Array, float]:
    """Standard error and df of ours − published for each number of our runs, and the standard deviation of one run.

    The first number is that of the runs from which our standard deviation comes.
    """
    if published_sd is None or math.isnan(own_sd):
        run_sd = own_sd if published_sd is None else published_sd
        df = runs - 1 if published_sd is None else np.full(len(runs), published_runs - 1.0)
        return run_sd * np.sqrt(1 / runs + 1 / published_runs), df, run_sd
    ours, theirs = own_sd**2 / runs, published_sd**2 / published_runs
    squares = ours**2 / (runs - 1) + theirs**2 / (published_runs - 1)
    own_df, their_df = float(runs[0]) - 1, published_runs - 1
    pooled = (own_df * own_sd**2 + their_df * published_sd**2) / (own_df + their_df)
    return np.sqrt(ours + theirs), (ours + theirs) ** 2 / np.maximum(squares, TINY), math.sqrt(pooled)
