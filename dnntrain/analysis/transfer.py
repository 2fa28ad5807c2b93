"""What a transfer study says: the strategy to choose, and the gain by the number of training examples."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnntrain.analysis.arm_names import SCRATCH, sized_arms
from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.comparisons import within_bounds
from dnntrain.analysis.margins import choose_delta
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.verdicts import PairVerdicts
from dnntrain.metrics import metric_of
from dnntrain.statistics import FEWEST_SEEDS, Comparison, compare_arms
from dnntrain.statistics.estimates import PAIRED, WELCH
from dnntrain.statistics.verdicts import BETTER


@dataclass(frozen=True)
class Recommendation:
    """Which strategy a ladder of transfer supports, by the comparisons of its table and by its best set."""

    supported: str | None
    """The best of the strategies that the table calls better than scratch; None if there is none."""
    others: list[str]
    """The other strategies that may be the best."""
    scratch_may_be_best: bool
    """Whether training from scratch is among the arms that may be the best."""
    cheapest: str | None
    """The arm whose runs take the least time, of those better than scratch, or else of those that may be the best.
    None without a choice."""


def recommend(summary: Summary) -> Recommendation | None:
    """The strategy to choose; None for a study without a best set, such as one with fewer than three seeds.

    What the table calls better than scratch is never contradicted, even if the best set, which uses only the seeds that
    all arms share, contains scratch as well.
    """
    best = summary.best
    if not best:
        return None
    is_judged = summary.baseline == SCRATCH
    better = [name for name in best if is_judged and summary.arm(name).verdict.startswith(BETTER)]
    supported = better[0] if better else None
    timed = [arm for arm in map(summary.arm, better or best) if arm.seconds > 0]
    return Recommendation(
        supported=supported,
        others=[name for name in best if name not in (supported, SCRATCH)],
        scratch_may_be_best=SCRATCH in best and not supported,
        cheapest=min(timed, key=lambda arm: arm.seconds).name if len(timed) > 1 else None,
    )


@dataclass(frozen=True)
class SizePair:
    """Training from scratch and a transfer at one number of training examples."""

    size: int
    strategy: str
    """How a network is reused: 'transfer', or one of several strategies."""
    scratch: ArmSummary
    transfer: ArmSummary


def sized_pairs(summary: Summary) -> list[SizePair]:
    """The pairs of arms of a training-size study, by size; empty for other studies, and for one that is incomplete."""
    if summary.results.progress:
        return []
    arms = {arm.name: arm for arm in summary.arms}
    return [SizePair(each.size, each.strategy, arms[each.scratch], arms[each.arm]) for each in sized_arms(arms)]


STRATEGY_STEPS = {
    SCRATCH: "reuse nothing",
    "frozen": "freeze, train what is new",
    "unfreeze": "unfreeze the top, train on",
    "drop": "little data: drop, and again",
    "replace": "more data: replace, and again",
    "add": "more data: add, and again",
}
"""The steps of reusing a network, as Huang, "Training Deep Neural Networks", Fig. 3, and Géron, ch. 11, advise them, by
the first word of the strategies that take them."""


@dataclass(frozen=True)
class StrategyArms:
    """The arms of one strategy, in a study of strategies."""

    step: str
    """The step of the flow chart that it takes."""
    name: str
    by_size: dict[int, ArmSummary]
    """Its arms by the number of training examples; 0 if that is the same in all arms."""


def steps_taken(summary: Summary) -> list[StrategyArms]:
    """The strategies of a study, in the order of the flow chart; empty for other studies, and for incomplete ones."""
    if summary.results.progress:
        return []
    pairs = sized_pairs(summary)
    arms = [(pair.strategy, pair.size, pair.transfer) for pair in pairs]
    arms += [(SCRATCH, pair.size, pair.scratch) for pair in pairs]
    arms = arms or [(arm.name, 0, arm) for arm in summary.arms]
    taken = []
    for word, step in STRATEGY_STEPS.items():
        for name in dict.fromkeys(strategy for strategy, _, _ in arms if strategy.split()[0] == word):
            taken.append(StrategyArms(step, name, {size: arm for strategy, size, arm in arms if strategy == name}))
    return taken if len({strategy.step for strategy in taken}) > 2 else []


@dataclass(frozen=True)
class SizeResult:
    """Transfer compared with scratch at one number of training examples: transfer − scratch."""

    pair: SizePair
    delta: float
    """The smallest difference that matters, in the metric's own unit; nan if it is a share of an unknown mean."""
    comparison: Comparison
    verdict: str


def compare_sizes(summary: Summary) -> list[SizeResult]:
    """Compares each transfer with scratch at its size; the intervals are simultaneous over all of them (Bonferroni)."""
    pairs = sized_pairs(summary)
    verdicts, compared = PairVerdicts.of(summary.results, summary.runs), []
    for pair in pairs:
        delta = size_delta(summary, pair)
        c = compare_pair(summary, pair.transfer, pair.scratch, delta, len(pairs))
        verdict = verdicts.verdict(pair.transfer.name, pair.scratch.name, c, SCRATCH)
        compared.append(SizeResult(pair, delta, c, verdict))
    return compared


def size_delta(summary: Summary, pair: SizePair) -> float:
    """The smallest difference that matters at one size; a relative one is a share of scratch's mean there."""
    return choose_delta(summary.options.delta, metric_of(summary.metric), pair.scratch.runs)[1]


def compare_pair(summary: Summary, arm: ArmSummary, other: ArmSummary, delta: float, k: int) -> Comparison:
    """Compares two arms by the study's method, as one of k comparisons that share no baseline."""
    family = compare_arms(
        other.values,
        {arm.name: arm.values},
        delta=0.0 if math.isnan(delta) else delta,
        # for a single arm, the moderated t and Dunnett's are the paired t
        method=WELCH if summary.options.method == WELCH else PAIRED,
        level=summary.level,
        higher_is_better=summary.higher_is_better,
        k=k,
    )
    return within_bounds(family.comparisons[arm.name], metric_of(summary.metric))


def saving(summary: Summary) -> SizePair | None:
    """The smallest size at which transfer is not worse than scratch at the largest size by more than δ.

    The sizes are tested from the largest down, one-sided, until one fails, so that no correction is needed (fixed
    sequence; Maurer, Hothorn and Lehmacher 1995).

    Returns:
        None if that holds at no size smaller than the largest, or if several strategies are compared.
    """
    pairs = sized_pairs(summary)
    if len({pair.strategy for pair in pairs}) > 1:
        return None
    largest, smallest = pairs[-1], None
    delta = size_delta(summary, largest)
    for pair in reversed(pairs):
        c = compare_pair(summary, pair.transfer, largest.scratch, delta, 1)
        worst = c.narrow_low if summary.higher_is_better else -c.narrow_high
        if c.n < FEWEST_SEEDS or not worst > -delta:
            break
        smallest = pair
    return smallest if smallest and smallest.size < largest.size else None
