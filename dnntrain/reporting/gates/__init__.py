"""Requirements on studies, for scripts and CI: each is judged in every study that has what it names.

- `elu >= relu - 0.3pp`, `relu.test_acc >= 85%`: an arm by a metric, compared with another arm or with a number
- `elu better than relu`, `elu not worse than relu`: the same, in the metric's direction: < and <= for a loss
- `bn.seconds <= 1.2 * base`: its time, by population
- `bn.step_time <= 1.2 * base`, `bn.test_time <= 1.1 * base`: its time in `dnntrain runs time`, by round
- `bn.target_epochs < base`, `bn.target_seconds < base`: how soon it is as good as the baseline in the end, by seed
- `bn.lost <= 0`, `bn.lost < 20%`, `bn.health == healthy`: facts about its runs

A requirement holds if the whole 95 % interval satisfies it, fails if no part of the interval does, and is inconclusive
otherwise. With fewer than three values, or with planned runs missing, it is inconclusive.

Lost runs count as a constant prediction, as in the report. Where that is not known, the requirement is inconclusive.
Whatever the interval, an arm that never finishes fails every requirement to be good, and an arm that lost more than
half of its runs holds none. Against a right arm that never finishes, an arm that does finish can hold: the report calls
it better, too.
"""

from dnntrain.reporting.gates.judging import inconclusive_if_partial, judge, judge_summary
from dnntrain.reporting.gates.results import GateResult, GateResults, GateStatus, exit_code, guarantee

__all__ = [
    "GateResult",
    "GateResults",
    "GateStatus",
    "exit_code",
    "guarantee",
    "inconclusive_if_partial",
    "judge",
    "judge_summary",
]
