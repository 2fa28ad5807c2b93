"""Tables of transfer studies: errors and time against scratch, the best strategy, and the gain by training size."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from dnntrain.analysis.arm_names import SCRATCH, TRANSFER
from dnntrain.analysis.summary import ArmSummary, Summary
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.statistics import LEVEL, Comparison, Interval, compare
from dnntrain.utils.text_layout import TextTable


@dataclass(frozen=True)
class SizePair:
    """Training from scratch and transfer at one number of training examples."""

    size: int
    scratch: ArmSummary
    transfer: ArmSummary


def transfer_report(summary: Summary) -> Iterator[TextTable | Text]:
    """The tables of a transfer study, each with the conclusions from it; nothing for other studies."""
    if sized(summary):
        yield size_table(summary)
        yield Text("\n".join(size_notes(summary)))
    elif costs(summary):
        yield cost_table(summary)
        if len(summary.arms) > 2:
            yield Text(supported(summary))


@dataclass(frozen=True)
class TransferCost:
    """An arm's errors and time, and the ratios of scratch's to them; nan where the divisor is 0."""

    arm: str
    errors: float
    deviation: float
    fewer: float
    seconds: float
    faster: float


def costs(summary: Summary) -> list[TransferCost]:
    """Errors and time of each arm; empty for a study without a scratch arm, or of several training sizes."""
    scratch = next((arm for arm in summary.arms if arm.name == SCRATCH), None)
    if scratch is None or len(summary.arms) < 2 or sized(summary):
        return []
    compared = []
    for arm in summary.arms:
        errors = error(arm, summary.metric)
        fewer = error(scratch, summary.metric) / (errors or math.nan)
        faster = scratch.seconds / (arm.seconds or math.nan)
        compared.append(TransferCost(arm.name, errors, arm.deviation, fewer, arm.seconds, faster))
    return compared


def cost_table(summary: Summary) -> TextTable:
    """Errors and time of each arm against scratch."""
    kind = "errors %" if metric_of(summary.metric).is_share else formatting.heading(summary.metric)
    rows = []
    for cost in costs(summary):
        errors = formatting.number(cost.errors, summary.metric, cost.deviation)
        rows.append([cost.arm, errors, times(cost.fewer), formatting.brief(cost.seconds), times(cost.faster)])
    headings = ["arm", kind, "fewer than scratch", "s/run", "faster"]
    return TextTable("errors and time against scratch", headings, rows, frozenset(headings[1:]))


def error(arm: ArmSummary, metric: str) -> float:
    """The quantity to minimize: 1 - accuracy, 1 - R², or the loss itself."""
    return 1 - arm.mean if metric_of(metric).higher_is_better else arm.mean


def times(ratio: float) -> str:
    """Formats a ratio: '4.9 ×', or a dash for nan."""
    return "-" if math.isnan(ratio) else f"{formatting.brief(ratio)} ×"


def supported(summary: Summary) -> str:
    """The strategy to choose: the best of those significantly better than scratch, with those not worse than it."""
    better = [arm for arm in summary.arms if arm.comparison and arm.comparison.verdict == "better"]
    if not better:
        return "No strategy is significantly better than scratch here: train from scratch, or add seeds."
    sign = 1 if metric_of(summary.metric).higher_is_better else -1
    best = max(better, key=lambda arm: sign * arm.mean)
    equal = [arm.name for arm in better if arm is not best and not differs(arm, best, summary)]
    tied = f"; no significant difference from it: {', '.join(equal)}" if equal else ""
    return f"Supported: {best.name}, {formatting.against_baseline(best, summary)} over scratch{tied}."


def differs(arm: ArmSummary, best: ArmSummary, summary: Summary) -> bool:
    """Whether an arm is significantly worse than the best one, by its own 95 % interval."""
    family = compare(
        best.values, {arm.name: arm.values}, delta=summary.delta, higher_is_better=summary.higher_is_better
    )
    return family.comparisons[arm.name].verdict == "worse"


def sized(summary: Summary) -> list[SizePair]:
    """The pairs of arms of a training-size study, by size; empty for other studies."""
    by_size: dict[int, dict[str, ArmSummary]] = {}
    for arm in summary.arms:
        match = re.fullmatch(rf"({SCRATCH}|{TRANSFER}) \((\d+)\)", arm.name)
        if not match:
            return []
        by_size.setdefault(int(match[2]), {})[match[1]] = arm
    return [SizePair(size, arms[SCRATCH], arms[TRANSFER]) for size, arms in sorted(by_size.items()) if len(arms) == 2]


def size_comparisons(summary: Summary) -> Mapping[int, Comparison]:
    """Compares transfer with scratch at each size; the intervals are simultaneous (Bonferroni over the sizes)."""
    pairs = sized(summary)
    level = 1 - (1 - LEVEL) / len(pairs)
    compared = {}
    for pair in pairs:
        arms, better = {TRANSFER: pair.transfer.values}, summary.higher_is_better
        family = compare(pair.scratch.values, arms, delta=summary.delta, level=level, higher_is_better=better)
        compared[pair.size] = family.comparisons[TRANSFER]
    return compared


def size_table(summary: Summary) -> TextTable:
    """Scratch, transfer and their difference, by the number of training examples."""
    metric, compared = summary.metric, size_comparisons(summary)
    rows = []
    for pair in sized(summary):
        c = compared[pair.size]
        deviations = (pair.scratch.deviation, pair.transfer.deviation)
        gain = formatting.difference(Interval(c.difference, c.low, c.high), metric, *deviations)
        scores = (formatting.spread(arm, metric) for arm in (pair.scratch, pair.transfer))
        rows.append([f"{pair.size:,}", *scores, gain, c.verdict])
    headings = ["examples", f"scratch {formatting.heading(metric)}", "transfer", "gain [95 %]", "verdict"]
    title, colored = "by the number of training examples", frozenset({"verdict"})
    return TextTable(title, headings, rows, frozenset(headings[:4]), colored=colored)


def size_notes(summary: Summary) -> list[str]:
    """How the intervals were computed, and how much data transfer saves."""
    pairs, sign = sized(summary), 1 if metric_of(summary.metric).higher_is_better else -1
    notes = [f"The intervals of the gains are simultaneous over all {len(pairs)} sizes (Bonferroni)."]
    largest = pairs[-1]
    for pair in pairs:
        if sign * pair.transfer.mean >= sign * largest.scratch.mean and pair.size < largest.size:
            notes.append(
                f"The transfer's mean with {pair.size:,} examples is at least that of scratch with {largest.size:,}: "
                f"{formatting.figure(largest.size / pair.size)} times fewer."
            )
            break
    return notes


def transfer_data(summary: Summary) -> dict[str, Any]:
    """The tables of a transfer study for JSON, in full precision; empty for other studies."""
    if costs(summary):
        notes = [supported(summary)] if len(summary.arms) > 2 else []
        return {"costs": [asdict(cost) for cost in costs(summary)], "notes": notes}
    compared = size_comparisons(summary) if sized(summary) else {}
    sizes = [{"examples": size, **asdict(comparison)} for size, comparison in compared.items()]
    return {"sizes": sizes, "notes": size_notes(summary)} if sizes else {}
