"""The lines about lost runs: how many, what they count as, and what those that finished show."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.metrics import TableColumn, metric_of, task_of
from dnntrain.reporting import formatting
from dnntrain.statistics import Interval, rate_interval, unseen_rate


def lost_lines(summary: Summary, most: int) -> Iterator[str]:
    """What the study says about lost runs; one line if there are none.

    Args:
        summary: The study.
        most: With more arms that lost runs than this, they share one line.
    """
    losing = [arm for arm in summary.arms if arm.runs.lost]
    fewest = min((arm.runs.made for arm in summary.arms if arm.runs.made), default=0)
    if not losing and fewest > 1:
        rate = whole_percent(unseen_rate(fewest))
        yield f"No run was lost; with {fewest} runs of an arm, the true share of lost runs could still be up to {rate}."
    if len(losing) > most:
        counts = ", ".join(f"{arm.name} {arm.runs.lost} of {arm.runs.made}" for arm in losing)
        meanings = dict.fromkeys(counted_as(arm, summary) for arm in losing)
        yield f"Lost runs: {counts}; they {' or '.join(meanings)}. --wide says more of each."
    else:
        for arm in losing:
            yield lost_line(arm, summary)
            yield from among_finished_line(arm, summary)
    missing = [arm for arm in summary.arms if arm.runs.not_measured]
    if missing:
        counts = ", ".join(f"{arm.name} {len(arm.runs.not_measured)} of {arm.runs.made} runs" for arm in missing)
        needs = metric_of(summary.metric).needs and f", which needs {metric_of(summary.metric).needs}"
        yield f"Finished without a value of {summary.metric}{needs}, and not counted: {counts}."
    if any(arm.runs.lost_value_is_assumed for arm in losing):
        yield "Chance assumes equally frequent classes, because the records do not have the class counts."


def lost_line(arm: ArmSummary, summary: Summary) -> str:
    """How many runs an arm lost, the rates that this allows, and what lost runs count as."""
    runs = arm.runs
    rate = rate_interval(runs.lost, runs.made)
    p = ""
    if not math.isnan(arm.lost_p):
        p = f"; Fisher's p against {summary.baseline} {formatting.p_value(arm.lost_p)}"
    between = f"95 % interval of the rate: {100 * rate.low:.0f} to {whole_percent(rate.high)}"
    return f"{arm.name} lost {runs.lost} of {runs.made} runs ({between}{p}); they {counted_as(arm, summary)}."


def counted_as(arm: ArmSummary, summary: Summary) -> str:
    """What an arm's lost runs count as, in words and as a number."""
    value = arm.runs.lost_value
    if math.isnan(value):
        unknown = "a constant prediction's value is not known"
        return f"are left out, because {'--lost-value is not given' if summary.results.is_table else unknown}"
    shown = formatting.number(value, summary.metric) + (" %" if metric_of(summary.metric).is_share else "")
    if isinstance(summary.metric, TableColumn):
        return f"count as {shown}"
    if any(value == finished for each in summary.arms for finished in each.runs.finished.values()):
        return f"count as the worst finished run ({shown})"
    if metric_of(summary.metric).constant_is_good:
        return f"count as the worst value ({shown})"
    is_classification = task_of(summary.metric, summary.results.runs.columns) == "classification"
    return f"count as {'chance' if is_classification else 'a prediction of the mean'} ({shown})"


def among_finished_line(arm: ArmSummary, summary: Summary) -> Iterator[str]:
    """The difference among the finished runs, if there are enough of them for an interval."""
    c = summary.among_finished.get(arm.name)
    if c is not None and c.n > 1 and not math.isnan(c.low):
        interval = formatting.difference(Interval(c.difference, c.low, c.high), summary.metric)
        yield f"Among the runs of {arm.name} that finished: {interval} (n = {c.n}, not a verdict)."


def whole_percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"
