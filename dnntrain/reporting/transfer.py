"""What a transfer buys: errors and time beside scratch, the rung that is supported, accuracy by training size."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import typer

from dnntrain.metrics import higher_is_better, is_share
from dnntrain.reporting import formatting
from dnntrain.reporting.summary import DELTA, ArmSummary, Summary
from dnntrain.statistics import LEVEL, Comparison, Interval, compare
from dnntrain.utils.console import show
from dnntrain.utils.text_layout import TextTable

SCRATCH, TRANSFER = "scratch", "transfer"


@dataclass(frozen=True)
class SizePair:
    """Both sides of a comparison at one number of training examples."""

    size: int
    scratch: ArmSummary
    transfer: ArmSummary


def print_transfer(summary: Summary, *, figures: bool = False) -> None:
    """What a transfer study says beyond the report of its arms; nothing for other studies. Its figure, if wanted."""
    if sized(summary):
        show(size_table(summary))
        typer.echo("\n".join(size_notes(summary)))
    elif costs(summary):
        show(cost_table(summary))
        if len(summary.arms) > 2:
            typer.echo(supported(summary))
    if figures and len(summary.arms) > 2:
        from dnntrain.reporting.figures import save_figures

        wanted = "training-size" if sized(summary) else "effects"
        for path in save_figures([summary], summary.results.folder / "figures", ("png",)):
            if wanted in path.name:
                typer.echo(f"figure: {path}")


@dataclass(frozen=True)
class TransferCost:
    """An arm's errors and time, and their ratios to scratch's; nan where there is nothing to divide by."""

    arm: str
    errors: float
    deviation: float
    fewer: float
    seconds: float
    faster: float


def costs(summary: Summary) -> list[TransferCost]:
    """Errors and time of each arm; none where the study has no scratch to compare with, or compares sizes."""
    scratch = next((arm for arm in summary.arms if arm.name == SCRATCH), None)
    if scratch is None or len(summary.arms) < 2 or sized(summary):
        return []
    found = []
    for arm in summary.arms:
        errors = error(arm, summary.metric)
        fewer = error(scratch, summary.metric) / (errors or math.nan)
        faster = scratch.seconds / (arm.seconds or math.nan)
        found.append(TransferCost(arm.name, errors, arm.deviation, fewer, arm.seconds, faster))
    return found


def cost_table(summary: Summary) -> TextTable:
    """Errors and time of each arm beside scratch's."""
    kind = "errors %" if is_share(summary.metric) else formatting.heading(summary.metric)
    rows = []
    for cost in costs(summary):
        errors = formatting.number(cost.errors, summary.metric, cost.deviation)
        rows.append([cost.arm, errors, times(cost.fewer), formatting.brief(cost.seconds), times(cost.faster)])
    headings = ["arm", kind, "fewer than scratch", "s/run", "faster"]
    return TextTable("errors and time beside scratch", headings, rows, frozenset(headings[1:]))


def error(arm: ArmSummary, metric: str) -> float:
    """What is to be small: the share of errors, one minus R², or the loss itself."""
    return 1 - arm.mean if higher_is_better(metric) else arm.mean


def times(ratio: float) -> str:
    """4.9 ×; a dash where there is nothing to divide."""
    return "-" if math.isnan(ratio) else f"{formatting.brief(ratio)} ×"


def supported(summary: Summary) -> str:
    """The rung that the statistics support: the best that is really better than scratch, and what equals it."""
    better = [arm for arm in summary.arms if arm.comparison and arm.comparison.verdict == "better"]
    if not better:
        return "No rung is significantly better than scratch here: train from scratch, or add seeds."
    sign = 1 if higher_is_better(summary.metric) else -1
    best = max(better, key=lambda arm: sign * arm.mean)
    equal = [arm.name for arm in better if arm is not best and not differs(arm, best, summary)]
    beside = f"; not told apart from it: {', '.join(equal)}" if equal else ""
    return f"Supported: {best.name}, {formatting.against_baseline(best, summary)} over scratch{beside}."


def differs(arm: ArmSummary, best: ArmSummary, summary: Summary) -> bool:
    """Whether an arm is really worse than the best one, each of these comparisons at its own 95 %."""
    family = compare(
        best.values, {arm.name: arm.values}, delta=DELTA, higher_is_better=higher_is_better(summary.metric)
    )
    return family.comparisons[arm.name].verdict == "worse"


def sized(summary: Summary) -> list[SizePair]:
    """The arms of a study of training sizes, by size; empty where it is another kind of study."""
    found: dict[int, dict[str, ArmSummary]] = {}
    for arm in summary.arms:
        match = re.fullmatch(rf"({SCRATCH}|{TRANSFER}) \((\d+)\)", arm.name)
        if not match:
            return []
        found.setdefault(int(match[2]), {})[match[1]] = arm
    return [SizePair(size, arms[SCRATCH], arms[TRANSFER]) for size, arms in sorted(found.items()) if len(arms) == 2]


def size_comparisons(summary: Summary) -> Mapping[int, Comparison]:
    """Transfer against scratch at each size; the intervals hold all at once (Bonferroni over the sizes)."""
    pairs = sized(summary)
    level = 1 - (1 - LEVEL) / len(pairs)
    better = higher_is_better(summary.metric)
    return {
        pair.size: compare(
            pair.scratch.values, {TRANSFER: pair.transfer.values}, delta=DELTA, level=level, higher_is_better=better
        ).comparisons[TRANSFER]
        for pair in pairs
    }


def size_table(summary: Summary) -> TextTable:
    """Scratch, transfer and their difference by the number of training examples."""
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
    """How the intervals are made, and how much data the transfer saves."""
    pairs, sign = sized(summary), 1 if higher_is_better(summary.metric) else -1
    notes = [f"The gains' intervals hold for all {len(pairs)} sizes at once (Bonferroni)."]
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
    """All of this for JSON, in full precision; empty for other studies."""
    if costs(summary):
        said = [supported(summary)] if len(summary.arms) > 2 else []
        return {"costs": [asdict(cost) for cost in costs(summary)], "notes": said}
    compared = size_comparisons(summary) if sized(summary) else {}
    sizes = [{"examples": size, **asdict(comparison)} for size, comparison in compared.items()]
    return {"sizes": sizes, "notes": size_notes(summary)} if sizes else {}
