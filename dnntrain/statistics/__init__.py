"""Statistics for small numbers of runs: pure functions on plain numbers, each with its source.

`descriptive` summarizes one arm, `distributions` has the reference distributions, and `significance` compares two arms.
`comparisons` compares all arms with the baseline at once, by the standard errors of `moderation` and `estimates` and
the family's `corrections`; `verdicts` turns their intervals into words. `pairs` compares every arm with every other,
`best` says which may be the best, `planning` how many seeds are needed, and `sequential` how to look more than once.
`factorial` and `simple_effects` analyze factorial designs, `contributions` in-and-out designs, and `ordering` tests
whether arms follow an order.
All intervals are two-sided. All values are in the metric's own unit (a share is 0.87, not 87).
"""

from dnntrain.statistics.best import best_set
from dnntrain.statistics.comparisons import Comparison, ComparisonFamily, compare_arms
from dnntrain.statistics.contrasts import ContrastResult
from dnntrain.statistics.contributions import Contribution, solo_and_marginal
from dnntrain.statistics.crossed import CrossedError, crossed_error
from dnntrain.statistics.descriptive import (
    LEVEL,
    Interval,
    correlation,
    deviation,
    hedges_g,
    jackknife_interval,
    mean,
    paired_interval,
    t_interval,
)
from dnntrain.statistics.distributions import POWER, dunnett_critical, dunnett_p, t_critical, t_p
from dnntrain.statistics.estimates import METHODS, PAIRED, WELCH
from dnntrain.statistics.factorial import Effect, effects
from dnntrain.statistics.ordering import TrendTest, judge_steps, page_trend
from dnntrain.statistics.pairs import PairComparison, compare_pairs
from dnntrain.statistics.planning import (
    DIFFERENCE,
    EQUIVALENCE,
    MANY_SEEDS,
    SeedRange,
    detectable_difference,
    plan_seeds,
    planned_detectable,
    seeds_needed,
)
from dnntrain.statistics.published import PublishedComparison, compare_published
from dnntrain.statistics.sequential import look_levels, looks_up_to, sequential_levels
from dnntrain.statistics.significance import (
    TTest,
    fisher_exact,
    outlying_runs,
    paired_t,
    rate_interval,
    rate_limit,
    unseen_rate,
    welch_t,
)
from dnntrain.statistics.simple_effects import SimpleEffect, simple_effects
from dnntrain.statistics.verdicts import FEWEST_SEEDS, verdict

__all__ = [
    "DIFFERENCE",
    "EQUIVALENCE",
    "FEWEST_SEEDS",
    "LEVEL",
    "MANY_SEEDS",
    "METHODS",
    "PAIRED",
    "POWER",
    "WELCH",
    "Comparison",
    "ComparisonFamily",
    "ContrastResult",
    "Contribution",
    "CrossedError",
    "Effect",
    "Interval",
    "PairComparison",
    "PublishedComparison",
    "SeedRange",
    "SimpleEffect",
    "TTest",
    "TrendTest",
    "best_set",
    "compare_arms",
    "compare_pairs",
    "compare_published",
    "correlation",
    "crossed_error",
    "detectable_difference",
    "deviation",
    "dunnett_critical",
    "dunnett_p",
    "effects",
    "fisher_exact",
    "hedges_g",
    "jackknife_interval",
    "judge_steps",
    "look_levels",
    "looks_up_to",
    "mean",
    "outlying_runs",
    "page_trend",
    "paired_interval",
    "paired_t",
    "plan_seeds",
    "planned_detectable",
    "rate_interval",
    "rate_limit",
    "seeds_needed",
    "sequential_levels",
    "simple_effects",
    "solo_and_marginal",
    "t_critical",
    "t_interval",
    "t_p",
    "unseen_rate",
    "verdict",
    "welch_t",
]
