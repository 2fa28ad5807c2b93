"""Tables of transfer studies: errors and time against scratch, the best strategy, and the gain by training size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from dnntrain.analysis.arm_names import SCRATCH
from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.transfer import compare_sizes, recommend, saving, sized_pairs, steps_taken
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.statistics import Interval
from dnntrain.statistics.verdicts import BETTER
from dnntrain.utils.text_layout import TextTable


def transfer_report(summary: Summary) -> Iterator[TextTable | Text]:
    """The tables of a transfer study, each with the conclusions from it; nothing for other studies."""
    if steps_taken(summary):
        yield step_table(summary)
    if sized_pairs(summary):
        yield size_table(summary)
        yield Text("\n".join(size_notes(summary)))
    elif costs(summary):
        yield cost_table(summary)
        if len(summary.arms) > 2:
            yield Text(supported(summary))


@dataclass(frozen=True)
class TransferCost:
    """An arm's errors and time, and their ratios to those of scratch; nan where scratch's are 0."""

    arm: str
    errors: float
    deviation: float
    error_ratio: float
    """Below 1 is better."""
    seconds: float
    time_ratio: float


def costs(summary: Summary) -> list[TransferCost]:
    """Errors and time of each arm; empty for an incomplete study, without a scratch arm, or with several sizes."""
    scratch = next((arm for arm in summary.arms if arm.name == SCRATCH), None)
    if summary.results.progress or scratch is None or len(summary.arms) < 2 or sized_pairs(summary):
        return []
    compared = []
    for arm in summary.arms:
        errors = error(arm, summary.metric)
        error_ratio = errors / (error(scratch, summary.metric) or math.nan)
        time_ratio = arm.seconds / (scratch.seconds or math.nan)
        compared.append(TransferCost(arm.name, errors, arm.deviation, error_ratio, arm.seconds, time_ratio))
    return compared


def cost_table(summary: Summary) -> TextTable:
    """Errors and time of each arm, also as multiples of scratch's: below 1 is fewer errors, or less time."""
    kind = "errors %" if metric_of(summary.metric).is_share else formatting.heading(summary.metric)
    rows = []
    for cost in costs(summary):
        errors = formatting.number(cost.errors, summary.metric, cost.deviation)
        rows.append([cost.arm, errors, ratio(cost.error_ratio), formatting.brief(cost.seconds), ratio(cost.time_ratio)])
    headings = ["arm", kind, "errors × scratch", "s/run", "time × scratch"]
    return TextTable("errors and time against scratch (× scratch: below 1 is better)", headings, rows,
                     frozenset(headings[1:]))  # fmt: skip


def error(arm: ArmSummary, metric: str) -> float:
    """The quantity to minimize: 1 - accuracy, 1 - R², or the loss itself."""
    return 1 - arm.mean if metric_of(metric).higher_is_better else arm.mean


def ratio(value: float) -> str:
    """Formats a ratio to three digits: '1.33', or a dash for nan."""
    return "-" if math.isnan(value) else f"{value:.3g}"


def supported(summary: Summary) -> str:
    """The strategy to choose, in words."""
    found = recommend(summary)
    if found is None:
        return "No strategy is recommended: this takes at least three seeds that all arms share."
    tied = f"; no clear difference from: {', '.join(found.others)}" if found.others else ""
    of_these = "of these"
    if found.supported:
        arm, of_these = summary.arm(found.supported), f"of those better than {SCRATCH}"
        text = (
            f"Supported: {arm.name}, {formatting.against_baseline(arm, summary)} over {SCRATCH} ({arm.verdict}){tied}."
        )
    elif found.scratch_may_be_best:
        text = f"No strategy pays: {SCRATCH} may be the best itself{tied}."
    else:
        text = f"{SCRATCH} is not the best; that may be {' or '.join(found.others)}"
        text += f"; none of them is called better than {SCRATCH}: add seeds." if summary.baseline == SCRATCH else "."
    if found.cheapest and found.cheapest != found.supported:
        text += (
            f" The cheapest {of_these}: {found.cheapest}, {formatting.brief(summary.arm(found.cheapest).seconds)} s."
        )
    return text


def size_table(summary: Summary) -> TextTable:
    """Scratch, transfer and their difference, by the number of training examples."""
    metric, rows = summary.metric, []
    for result in compare_sizes(summary):
        pair, c = result.pair, result.comparison
        interval = None if math.isnan(c.difference) else Interval(c.difference, c.low, c.high)
        gain = formatting.difference(interval, metric, pair.scratch.deviation, pair.transfer.deviation)
        scores = (formatting.spread(arm, metric) for arm in (pair.scratch, pair.transfer))
        rows.append([f"{pair.size:,}", pair.strategy, *scores, gain, formatting.p_value(c.p), result.verdict])
    gain = f"gain [{formatting.percent(summary.level)}]"
    headings = ["examples", "strategy", f"scratch {formatting.heading(metric)}", "transfer", gain, "p", "verdict"]
    keys = 2
    if len({row[1] for row in rows}) == 1:
        headings, rows, keys = [headings[0], *headings[2:]], [[row[0], *row[2:]] for row in rows], 1
    title, colored = "by the number of training examples", frozenset({"verdict"})
    return TextTable(title, headings, rows, frozenset(headings[:-1]) - {"strategy"}, colored, colored, keys)


def step_table(summary: Summary) -> TextTable:
    """The strategies by the steps of the lecture's flow chart, with their means at each number of training examples."""
    taken, heading = steps_taken(summary), formatting.heading(summary.metric)
    sizes = list(dict.fromkeys(size for strategy in taken for size in strategy.by_size))
    best = {size: best_arm(summary, size) for size in sizes}
    rows = []
    for i, strategy in enumerate(taken):
        step = "" if i and taken[i - 1].step == strategy.step else strategy.step
        arms = [strategy.by_size.get(size) for size in sizes]
        cells = [formatting.spread(arm, summary.metric) if arm else "-" for arm in arms]
        marks = ["* " if arm and arm.name == best[size] else "" for arm, size in zip(arms, sizes, strict=True)]
        rows.append([step, strategy.name, *(mark + cell for mark, cell in zip(marks, cells, strict=True))])
    headings = [f"{size:,} examples, {heading}" if size else heading for size in sizes]
    title = "the steps of a transfer (* best mean)"
    return TextTable(title, ["step", "strategy", *headings], rows, frozenset(headings), keys=2)


def best_arm(summary: Summary, size: int) -> str:
    """The arm with the best mean of all strategies at one number of training examples; empty if none has one."""
    arms = [strategy.by_size[size] for strategy in steps_taken(summary) if size in strategy.by_size]
    measured = [arm for arm in arms if not math.isnan(arm.mean)]
    return min(measured, key=lambda arm: error(arm, summary.metric)).name if measured else ""


def size_notes(summary: Summary) -> list[str]:
    """How the intervals were computed, and how much data transfer saves."""
    pairs = sized_pairs(summary)
    largest, enough, strategies = pairs[-1].size, saving(summary), {pair.strategy for pair in pairs}
    compared = "sizes" if len(strategies) == 1 else "strategies and sizes"
    notes = [
        f"The gains' intervals and p are simultaneous over all {len(pairs)} {compared} (Bonferroni); "
        f"δ = {summary.margin.text}{' of the mean of scratch' if summary.margin.is_relative else ''}."
    ]
    if enough:
        fewer = formatting.figure(largest / enough.size)
        notes.append(
            f"Transfer with {enough.size:,} examples is not worse than scratch with {largest:,} by more than δ: "
            f"{fewer} times fewer (one-sided, sizes tested from the largest down)."
        )
    elif len(strategies) > 1:
        notes += [best_at(size, summary) for size in dict.fromkeys(pair.size for pair in pairs)]
    elif len(pairs) > 1:
        notes.append(
            f"Not shown: that transfer with fewer than {largest:,} examples reaches scratch with all, within δ."
        )
    return notes


def best_at(size: int, summary: Summary) -> str:
    """The strategy with the best mean of those better than scratch at one number of training examples, in words."""
    here = [result for result in compare_sizes(summary) if result.pair.size == size]
    better = [result.pair for result in here if result.verdict.startswith(BETTER)]
    if not better:
        return f"With {size:,} examples no strategy is better than {SCRATCH}."
    best = min(better, key=lambda pair: error(pair.transfer, summary.metric))
    return f"With {size:,} examples {best.strategy} has the best mean of the {len(better)} better than {SCRATCH}."


def transfer_data(summary: Summary) -> dict[str, Any]:
    """The tables of a transfer study for JSON, in full precision; empty for other studies."""
    if costs(summary):
        found = recommend(summary) if len(summary.arms) > 2 else None
        notes = [supported(summary)] if len(summary.arms) > 2 else []
        return {
            "costs": [asdict(cost) for cost in costs(summary)],
            "recommendation": asdict(found) if found else None,
            "notes": notes,
        }
    if not sized_pairs(summary):
        return {}
    sizes = [
        {"examples": result.pair.size, "strategy": result.pair.strategy, **asdict(result.comparison)}
        | {"verdict": result.verdict, "delta": result.delta}
        for result in compare_sizes(summary)
    ]
    return {"sizes": sizes, "notes": size_notes(summary)}
