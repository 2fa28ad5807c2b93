"""The times that `dnntrain runs time` measured: as a table, as columns of the report, and as data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, astuple
from typing import Any

from dnntrain.analysis.summary import Summary
from dnntrain.analysis.time_to_target import TimeToTarget
from dnntrain.analysis.timing import ArmCost, arm_costs
from dnntrain.reporting import formatting
from dnntrain.statistics import Interval, mean
from dnntrain.store.timing import StudyTimes
from dnntrain.utils.text_layout import TextTable

MS_PER_STEP, US_PER_TEST = "ms/step", "µs/test"
STEP_RATIO, TEST_RATIO = "step ×", "test ×"
"""Headings: the time of one run's training step and test example, and how many times the baseline's it is."""


def times_table(times: StudyTimes, baseline: str | None) -> TextTable:
    """A row for each arm: the time of a training step and of a test example, alone and by the baseline's."""
    costs = arm_costs(times, baseline)
    rows = [[arm, *cost_cells(cost, absolute=True).values()] for arm, cost in costs.items()]
    headings = ["arm", *cost_cells(next(iter(costs.values())), absolute=True)]
    return TextTable("", headings, rows, frozenset(headings[1:]))


def cost_cells(cost: ArmCost, *, absolute: bool) -> dict[str, str]:
    """An arm's times by heading.

    Args:
        cost: The arm's times.
        absolute: Whether to show the times, and not only their ratios. Without a baseline there are only times.
    """
    cells = {}
    for time, ratio, seconds, by_baseline, unit in (
        (MS_PER_STEP, STEP_RATIO, cost.step, cost.step_ratio, 1e3),
        (US_PER_TEST, TEST_RATIO, cost.test, cost.test_ratio, 1e6),
    ):
        if absolute or by_baseline is None:
            cells[time] = f"{unit * seconds:.3g}"
        if by_baseline is not None:
            cells[ratio] = ratio_in_words(by_baseline)
    return cells


def time_columns(summary: Summary) -> dict[str, list[str]]:
    """The report's columns of times that do not depend on what trained together; empty if they were not measured."""
    if summary.times is None:
        return {}
    costs = arm_costs(summary.times, summary.baseline)
    cells = [cost_cells(costs[arm.name], absolute=False) if arm.name in costs else {} for arm in summary.arms]
    headings = dict.fromkeys(heading for row in cells for heading in row)
    return {heading: [row.get(heading, "") for row in cells] for heading in headings}


def ratio_in_words(ratio: Interval) -> str:
    """A ratio with its interval, if it has one: 1.36 [1.33, 1.40]; the baseline's alone."""
    if ratio.low == ratio.high == 1:
        return "1"
    center, low, high = (f"{value:.2f}" if value < 10 else f"{value:.3g}" for value in astuple(ratio))
    return center if math.isnan(ratio.low) else f"{center} [{low}, {high}]"


def time_lines(times: StudyTimes, baseline: str | None) -> Iterator[str]:
    """How the times were measured."""
    rounds = len(next(iter(times.arms.values())).step)
    compared = f"; ×: how many times {baseline}'s, the median ratio with its 95 % interval" if baseline else ""
    yield (
        f"Times: processor time of one run in a population of {times.members}, the median of {rounds} rounds of "
        f"{times.steps} training steps and a test{compared}."
    )


def target_table(target: TimeToTarget, baseline: str) -> TextTable:
    """A row for each arm: how soon its runs are as good as the baseline's in the end."""
    average = formatting.number(mean([*target.targets.values()]), target.metric)
    seconds = "of training steps" if target.is_retimed else "by s/run, which depends on what trained together"
    title = (
        f"when each run first is as good as {baseline}'s run with the same seed is at its end "
        f"({formatting.heading(target.metric)}, {average} on average); seconds {seconds}"
    )
    headings = ["arm", "reached", "epochs", "epochs ×", "s", "s ×"]
    rows = []
    for arm in target.arms.values():
        epochs, time = arm.median_epochs, arm.median_seconds
        ratios = (ratio(target.arms[baseline]) for ratio in (arm.epochs_ratio, arm.seconds_ratio))
        epochs_ratio, time_ratio = ("-" if ratio is None else ratio_in_words(ratio) for ratio in ratios)
        shown = [f"{epochs:g}", epochs_ratio, formatting.figure(time, time / 10), time_ratio]
        rows.append([arm.arm, f"{arm.reached}/{len(arm.epochs)}", *(shown if math.isfinite(epochs) else ["-"] * 4)])
    return TextTable(title, headings, rows, frozenset(headings[1:]))


def target_data(summary: Summary) -> dict[str, Any] | None:
    """For JSON: the targets, and when each run reaches its own; None if that is not known."""
    target = summary.time_to_target
    if target is None:
        return None
    base, arms = target.arms[str(summary.baseline)], {}
    for arm in target.arms.values():
        figures = {name: getattr(arm, name) for name in ("reached", "median_epochs", "median_seconds")}
        ratios = {"epochs_ratio": arm.epochs_ratio(base), "seconds_ratio": arm.seconds_ratio(base)}
        arms[arm.arm] = asdict(arm) | figures | {name: ratio and asdict(ratio) for name, ratio in ratios.items()}
    return asdict(target) | {"mean_target": mean([*target.targets.values()]), "arms": arms}


def times_data(summary: Summary) -> dict[str, Any] | None:
    """For JSON: how the arms were timed, and the figures of each; None if they were not."""
    times = summary.times
    if times is None:
        return None
    costs = {arm: asdict(cost) for arm, cost in arm_costs(times, summary.baseline).items()}
    return times.content() | {"costs": costs}
