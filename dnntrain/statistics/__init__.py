"""Statistics for small numbers of runs: pure functions on plain numbers, each with its source.

`descriptive` summarizes one arm, `distributions` has the reference distributions, and `significance` compares two arms.
`comparisons` compares all arms with the baseline at once, and `verdicts` turns their intervals into words. `factorial`
analyzes factorial and in-and-out designs.
All intervals are two-sided. All values are in the metric's own unit (a share is 0.87, not 87).
"""

from dnntrain.statistics.comparisons import (
    METHODS,
    POWER,
    Comparison,
    ComparisonFamily,
    compare,
)
from dnntrain.statistics.descriptive import (
    LEVEL,
    Interval,
    binomial_se,
    correlation,
    deviation,
    hedges_g,
    mean,
    paired_interval,
    prediction_interval,
    t_interval,
)
from dnntrain.statistics.distributions import dunnett_critical, dunnett_p, t_critical, t_p
from dnntrain.statistics.factorial import Contribution, Effect, effects, solo_and_marginal
from dnntrain.statistics.significance import TTest, fisher_exact, holm, paired_t, welch_t
from dnntrain.statistics.verdicts import FEWEST_SEEDS, verdict

__all__ = [
    "FEWEST_SEEDS",
    "LEVEL",
    "METHODS",
    "POWER",
    "Comparison",
    "ComparisonFamily",
    "Contribution",
    "Effect",
    "Interval",
    "TTest",
    "binomial_se",
    "compare",
    "correlation",
    "deviation",
    "dunnett_critical",
    "dunnett_p",
    "effects",
    "fisher_exact",
    "hedges_g",
    "holm",
    "mean",
    "paired_interval",
    "paired_t",
    "prediction_interval",
    "solo_and_marginal",
    "t_critical",
    "t_interval",
    "t_p",
    "verdict",
    "welch_t",
]
