"""Studies in full precision for programs: CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.averaged_predictions import recorded_scores
from dnntrain.analysis.pairs import compare_all_pairs
from dnntrain.analysis.published import PublishedResult
from dnntrain.analysis.runs import constant_of
from dnntrain.analysis.selection import arms_by_kept_epoch
from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting
from dnntrain.reporting.class_tables import class_data, class_rows
from dnntrain.reporting.design_notes import design_notes
from dnntrain.reporting.progress import progress_data
from dnntrain.reporting.provenance import provenance_json
from dnntrain.reporting.secondary import secondary_columns, secondary_data
from dnntrain.reporting.sensitivity import sensitivity_data
from dnntrain.reporting.tables import axis
from dnntrain.reporting.timing import target_data, times_data
from dnntrain.reporting.transfer import transfer_data
from dnntrain.statistics import POWER, deviation, mean, rate_interval, unseen_rate
from dnntrain.store.provenance import datasets_of
from dnntrain.utils.finite import nan_to_none

OF_COMPARISON = (
    *("difference", "low", "high", "narrow_low", "narrow_high", "p", "p_equivalent", "n", "wins", "r", "g"),
    *("se", "df", "pooling", "smallest_detectable"),
)
"""The columns that an arm's comparison with the baseline gives."""


def row_of(arm: ArmSummary, summary: Summary) -> dict[str, Any]:
    """One arm as a row of the CSV file: plain values by column."""
    runs, c, published = arm.runs, arm.comparison, arm.published.get(summary.metric)
    moved = summary.example_errors.by_arm.get(arm.name)
    return {
        "study": summary.results.name,
        "arm": arm.name,
        "metric": summary.metric,
        "tuned": arm.tuned or None,
        "tuned_value": arm.tuned_value,
        "finished": arm.finished,
        "planned": runs.planned,
        "diverged": len(runs.diverged),
        "failed": len(runs.failed),
        "not_measured": len(runs.not_measured),
        "mean": arm.mean,
        "sd": arm.deviation,
        "finished_mean": arm.finished_mean,
        "lost_value": runs.lost_value,
        "other_metric": summary.other_part or None,
        "other_mean": mean([*arm.other_part.values()]),
        "other_sd": deviation([*arm.other_part.values()]),
        "baseline": summary.baseline,
        **{key: getattr(c, key) if c else None for key in OF_COMPARISON},
        "verdict": arm.verdict or None,
        **secondary_columns(arm, summary),
        "in_best_set": arm.name in summary.best if summary.best else None,
        "level": summary.family.level if summary.family else None,
        "method": summary.family.method if summary.family else None,
        **within_columns(arm, summary),
        **planned_seeds(arm, summary),
        "other_test_set": moved.other_test_set if moved else None,
        "published": published.mean if published else None,
        "health": formatting.health(arm, summary),
        "clipped": arm.clipped.share if arm.clipped else None,
        "clip_cosine": arm.clipped.cosine if arm.clipped else None,
        "seconds": arm.seconds,
        "seeds": " ".join(map(str, arm.values)),
        "values": " ".join(map(repr, arm.values.values())),
    }


def within_columns(arm: ArmSummary, summary: Summary) -> dict[str, Any]:
    """An arm's comparison within a factor, as columns; none unless that is asked for."""
    if not summary.simple_effects:
        return {}
    effect = next((each for each in summary.simple_effects if each.arm == arm.name), None)
    interval = effect and effect.result.interval
    return {
        "within_reference": effect and effect.reference_arm,
        "within_difference": interval and interval.mean,
        "within_low": interval and interval.low,
        "within_high": interval and interval.high,
        "within_p": effect and effect.result.p,
        "within_verdict": effect and effect.result.verdict,
    }


def order_data(summary: Summary) -> dict[str, Any] | None:
    """The test of an order of arms: each step, and whether it holds."""
    if summary.ordered is None:
        return None
    steps = [asdict(step) | {"holds": step.holds} for step in summary.ordered.steps]
    return asdict(summary.ordered) | {"steps": steps}


def planned_seeds(arm: ArmSummary, summary: Summary) -> dict[str, int | None]:
    """The seeds that an arm needs, as columns; `MANY_SEEDS` + 1 for more than are counted."""
    plan = summary.plans.get(arm.name)
    columns: dict[str, int | None] = {}
    for goal in ("delta", "equivalence", "difference"):
        seeds = getattr(plan, f"for_{goal}") if plan else None
        for end in ("advised", "low", "high"):
            columns["_".join(["seeds_for", goal, end])] = getattr(seeds, end) if seeds else None
    return columns


def lost_data(arm: ArmSummary, summary: Summary) -> dict[str, Any]:
    """What the report says about an arm's lost runs."""
    runs, finished = arm.runs, summary.among_finished.get(arm.name)
    return {
        "lost_p": arm.lost_p,
        "lost_rate": asdict(rate_interval(runs.lost, runs.made)) if runs.made else None,
        "lost_value_is_assumed": runs.lost_value_is_assumed,
        "among_finished": finished and {key: getattr(finished, key) for key in ("difference", "low", "high", "n")},
    }


def to_csv(summaries: Sequence[Summary]) -> str:
    """One row per study and arm; per study, arm and class where classes are asked for."""
    if any(summary.options.per_class for summary in summaries):
        rows = [row for summary in summaries for row in class_rows(summary)]
    else:
        rows = [row_of(arm, summary) for summary in summaries for arm in summary.arms]
    text: str = pd.DataFrame(rows).to_csv(index=False)
    return text


def to_json(summaries: Sequence[Summary], gates: Iterable[dict[str, Any]] = ()) -> str:
    """Every number that the report prints, and the results of the requirements.

    Args:
        summaries: The studies.
        gates: The requirements with their results, as `GateResult.as_dict` gives them.
    """
    content = {"studies": [study_data(summary) for summary in summaries], "requirements": list(gates)}
    return json.dumps(nan_to_none(content), indent=1) + "\n"


def study_data(summary: Summary) -> dict[str, Any]:
    """One study: how it was judged, where the runs come from, and the numbers of every table and line."""
    progress = summary.results.progress
    return {
        **judging_data(summary),
        **provenance_data(summary),
        **tables_data(summary),
        "design_notes": list(design_notes(summary)),
        **({"progress": progress_data(progress)} if progress else {}),
    }


def judging_data(summary: Summary) -> dict[str, Any]:
    """What a study asks, and how it was judged."""
    record, family = summary.results.record, summary.family
    level = family.level if family else summary.level
    made = [arm.runs.made for arm in summary.arms if arm.runs.made]
    return {
        "study": summary.results.name,
        "question": record.question,
        "note": record.note,
        "tuning_note": record.tuning_note,
        "metric": summary.metric,
        "baseline": summary.baseline,
        "method": family.method if family else None,
        "level": level,
        "narrow_level": 2 * level - 1,
        "delta": summary.delta,
        "margin": summary.margin.text,
        "comparisons": family.k if family else 0,
        "pool": {key: float(value) for key, value in family.pool._asdict().items()} if family and family.pool else None,
        "best": summary.best,
        "blocks": list(summary.results.blocks),
        "mean_ranks": summary.mean_ranks,
        "notes": list(summary.results.notes),
        "power": POWER,
        "unseen_loss_rate": unseen_rate(min(made)) if made else None,
    }


def provenance_data(summary: Summary) -> dict[str, Any]:
    """Where a study's runs come from: the epochs that they kept, their data and settings, and what trained them."""
    record = summary.results.record
    return {
        "kept_epochs": arms_by_kept_epoch(record),
        "data": record.data and record.data.content(),
        "datasets": [data.content() for data in datasets_of(record)],
        "environments": [environment.content() for environment in record.environments],
        **provenance_json(summary),
        "constants": {arm.name: constant_of(record, arm.name, summary.metric) for arm in summary.arms},
    }


def tables_data(summary: Summary) -> dict[str, Any]:
    """The numbers of every table."""
    return {
        "arms": [
            row_of(arm, summary)
            | lost_data(arm, summary)
            | {
                "other_gap": arm.other_part_gap,
                "outlying_seeds": summary.outlying.get(arm.name, []),
                "implied": list(arm.implied),
            }
            for arm in summary.arms
        ],
        "secondary": secondary_data(summary),
        "axis": axis(summary),
        "per_class": class_data(summary),
        "pairs": [asdict(pair) for pair in compare_all_pairs(summary)] if summary.options.pairs else [],
        "published": [published_data(result) for result in summary.published],
        "effects": [{"name": effect.name, **asdict(effect)} for effect in summary.effects],
        "within": summary.options.within or None,
        "simple_effects": [asdict(effect) for effect in summary.simple_effects],
        "order": order_data(summary),
        "contributions": {name: asdict(item) for name, item in summary.contributions.items()},
        "sensitivity": sensitivity_data(summary),
        "monte_carlo": [asdict(score) for score in recorded_scores(summary.results)],
        "times": times_data(summary),
        "time_to_target": target_data(summary),
        "transfer": transfer_data(summary),
    }


def published_data(result: PublishedResult) -> dict[str, Any]:
    """An arm's result and the published one."""
    values, theirs = list(result.runs.values.values()), result.published
    return {
        "arm": result.runs.name,
        "metric": result.metric,
        "mean": mean(values),
        "sd": deviation(values),
        "n": len(values),
        "published": {"mean": theirs.mean, "sd": theirs.sd, "n": theirs.runs, "n_is_assumed": theirs.n is None},
        **(asdict(result.comparison) if result.comparison else {}),
        "verdict": result.verdict,
    }
