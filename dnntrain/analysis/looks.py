"""Looks: a study whose seeds are added in steps is judged at each step, at a stricter level than 5 %.

A study that stops as soon as something shows at 5 % errs in far more than 5 % of cases. With the levels of
`statistics.sequential`, the error over all looks is 5 %. The intervals at these levels are repeated confidence
intervals (Jennison and Turnbull 1989, "Interim analyses: the repeated confidence interval approach"): in 95 % of
studies all of them cover the true differences, whenever the study stops and whatever the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from dnntrain.analysis.arm_names import sized_arms
from dnntrain.analysis.runs import ArmRuns
from dnntrain.statistics import LEVEL, METHODS, Comparison, ComparisonFamily, TTest, compare_arms
from dnntrain.statistics.comparisons import describe
from dnntrain.statistics.corrections import DUNNETT_P, Correction
from dnntrain.statistics.estimates import Estimate, ValuesBySeed
from dnntrain.statistics.moderation import Pool
from dnntrain.statistics.verdicts import EQUIVALENT, INCONCLUSIVE
from dnntrain.store.study_record import LookRecord, StudyRecord


def current_level(study: StudyRecord, arms: Iterable[str] = ()) -> float:
    """The family-wise error at which a study is judged at its number of seeds: .05 unless there are several looks.

    Args:
        study: The study.
        arms: Arms that are judged in another way than at the looks. The strictest of the levels at which their seeds
            ended counts.
    """
    sizes = [len(study.seeds_of(arm)) for arm in arms] or [len(study.seeds)]
    return min(study.levels.get(size, 1 - LEVEL) for size in sizes)


def judged_looks(study: StudyRecord) -> list[LookRecord]:
    """The looks at which a study was judged to see which arms go on."""
    return [look for look in study.looks if look.level is not None]


def arms_to_judge(study: StudyRecord) -> list[str]:
    """The arms that get verdicts: all but the baseline; without one, those that reuse a network at each size."""
    names = [arm.name for arm in study.arms]
    if study.baseline is None:
        return [each.arm for each in sized_arms(names)]
    return [name for name in names if name != study.baseline]


def unresolved_arms(study: StudyRecord) -> list[str]:
    """The arms that get verdicts, and that no look has resolved."""
    return [arm for arm in arms_to_judge(study) if not any(arm in look.resolved for look in study.looks)]


def compare_at_look(
    study: StudyRecord,
    values: Mapping[str, ValuesBySeed],
    baseline: str,
    metric: str,
    *,
    delta: float,
    method: str = METHODS[0],
    higher_is_better: bool = True,
    metrics: int = 1,
    errors: Mapping[str, tuple[float, float]] | None = None,
) -> ComparisonFamily:
    """Compares every arm with the baseline, at the level of the study's look.

    Arms that an earlier look resolved keep their comparison, which is of the runs up to that look. This holds for the
    comparisons that decided who goes on: those by the study's own metric and baseline. By any other, all runs count, at
    the strictest level at which an arm's seeds ended.

    Args:
        study: The study, with its looks.
        values: Every arm's values by seed, the baseline's among them.
        baseline: The arm to compare with.
        metric: What the values are.
        delta: The smallest difference that matters, in the metric's unit.
        method: One of `statistics.METHODS`.
        higher_is_better: The metric's direction.
        metrics: How many metrics are judged at once.
        errors: Standard error and degrees of freedom by arm that replace the method's.

    Raises:
        ValueError: As `statistics.compare_arms` does.
    """
    arms = {name: by_seed for name, by_seed in values.items() if name != baseline}
    is_own = (metric, baseline, method, errors) == (study.metric, study.baseline, METHODS[0], None)
    earlier = [look for look in judged_looks(study) if look.n < len(study.seeds)] if is_own else []
    resolved = {name: (arm, look) for look in earlier for name, arm in look.resolved.items() if name in arms}
    remaining = {name: by_seed for name, by_seed in arms.items() if name not in resolved}
    pool = None if not earlier or len(remaining) >= max(2, len(arms) / 2) else pool_of(earlier[-1])
    k = None if study.max_seeds is None else len(arms)
    level = 1 - current_level(study, () if is_own else arms) / metrics
    family = compare_arms(
        values[baseline], remaining, delta=delta, method=method, level=level, higher_is_better=higher_is_better,
        k=k, pool=pool, errors=errors,
    )  # fmt: skip
    comparisons = dict(family.comparisons)
    for name, (arm, look) in resolved.items():
        test = TTest(arm.difference, arm.se, arm.df)
        reference = {seed: value for seed, value in values[baseline].items() if seed < look.n}
        comparisons[name] = describe(
            Estimate(test, arm.n, arm.pooling), arms[name], reference, Correction(DUNNETT_P, len(arms), look.n),
            1 - (look.level or 0) / metrics, delta, higher_is_better,
        )  # fmt: skip
    return ComparisonFamily(
        method, level, delta, family.k, family.n, family.pool, {name: comparisons[name] for name in arms}
    )


def pool_of(look: LookRecord) -> Pool | None:
    """The pooled variance that a look recorded; None if it had none."""
    if look.pool_variance is None or look.pool_df is None:
        return None
    unknown = np.array(math.nan)  # the tests that formed it
    return Pool(np.array(look.pool_variance), np.array(look.pool_df), unknown, unknown, unknown)


def is_resolved(arm: ArmRuns, baseline: ArmRuns, comparison: Comparison | None) -> bool:
    """Whether an arm needs no more seeds: it is better, worse or equivalent, or it or the baseline lost all runs."""
    if arm.never_finishes or baseline.never_finishes:
        return True
    if comparison is None or comparison.note:
        return False
    if any(side.lost and math.isnan(side.lost_value) for side in (arm, baseline)):
        return False
    return comparison.verdict not in ((INCONCLUSIVE, EQUIVALENT) if arm.lost or baseline.lost else (INCONCLUSIVE,))


def lines(study: StudyRecord) -> Iterator[str]:
    """What a report says of the looks; nothing for a study that was judged once."""
    reported = [look.n for look in study.looks if look.level is None]
    level = f"{current_level(study):.3g}".removeprefix("0")
    n = len(study.seeds)
    if study.max_seeds is not None:
        yield from lines_until_resolved(study)
    elif len(study.levels) > 1 and study.looks:
        before = " and ".join(str(each) for each in study.levels if each < n)
        stricter = "stricter, since there were looks before"
        yield f"This is look {len(study.levels)} (n = {n}, after {before}), level {level}: {stricter}."
    if reported and (study.max_seeds is not None or len(study.levels) > 1):
        yield (
            f"This study was reported before with {' and '.join(map(str, reported))} seeds at 5 %, so the error over "
            "all its reports is about 8 to 10 %. From the start, --until-resolved keeps it at 5 %."
        )


def lines_until_resolved(study: StudyRecord) -> Iterator[str]:
    """The looks of a study that adds seeds until its arms are resolved."""
    looks, planned = judged_looks(study), sorted(study.levels)
    if not looks:
        yield f"Seeds are added until every arm is resolved. The first of {len(planned)} looks is at n = {planned[0]}."
        return
    last, waiting = looks[-1], unresolved_arms(study)
    found = [f"{name} at n = {look.n}" for look in looks for name in look.resolved]
    words = f"resolved: {', '.join(found) or 'none'}" + (f"; not resolved: {', '.join(waiting)}" if waiting else "")
    level = f"{last.level:.3g}".removeprefix("0")
    yield f"This is look {len(looks)} of {len(planned)} (n = {last.n}), level {level}; {words}."
    yield "The intervals are repeated confidence intervals, which hold whenever the study stops."
