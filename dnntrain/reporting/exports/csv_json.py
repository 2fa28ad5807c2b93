"""Studies in full precision for programs: CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from dnntrain.analysis.summary import ArmSummary, Summary
from dnntrain.reporting import formatting
from dnntrain.reporting.tables import averaged_arms, axis
from dnntrain.reporting.transfer import transfer_data
from dnntrain.statistics import LEVEL, POWER
from dnntrain.store.provenance import datasets_of
from dnntrain.utils.finite import nan_to_none


def row_of(arm: ArmSummary, summary: Summary) -> dict[str, Any]:
    """One arm as a row of the CSV file: plain values by column."""
    c = arm.comparison
    compared = ("difference", "low", "high", "p", "n", "wins", "r", "g", "verdict")
    return {
        "study": summary.results.name,
        "arm": arm.name,
        "metric": summary.metric,
        "finished": arm.finished,
        "planned": arm.runs.planned,
        "diverged": len(arm.runs.diverged),
        "mean": arm.mean,
        "sd": arm.deviation,
        "baseline": summary.baseline,
        **{key: getattr(c, key) if c else None for key in compared},
        "method": summary.family.method if summary.family else None,
        "published": arm.published.get(summary.metric),
        "health": formatting.health(arm),
        "seconds": arm.seconds,
        "values": " ".join(map(repr, arm.values.values())),
    }


def to_csv(summaries: Sequence[Summary]) -> str:
    """One row per study and arm."""
    text: str = pd.DataFrame([row_of(arm, s) for s in summaries for arm in s.arms]).to_csv(index=False)
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
    """One study: the method and its reason, where the runs come from, and the numbers of every table."""
    record, family = summary.results.record, summary.family
    of_family = ("method", "delta")
    return {
        "study": summary.results.name,
        "question": record.question,
        "note": record.note,
        "metric": summary.metric,
        "baseline": summary.baseline,
        **{key: getattr(family, key) if family else None for key in of_family},
        "comparisons": family.k if family else 0,
        "level": LEVEL,
        "power": POWER,
        "data": record.data and record.data.content(),
        "datasets": [data.content() for data in datasets_of(record)],
        "environments": [environment.content() for environment in record.environments],
        "test_standard_errors": {data.name: formatting.sampling_error(data, summary) for data in datasets_of(record)},
        "arms": [row_of(arm, summary) | {"lost_p": arm.lost_p, "implied": list(arm.implied)} for arm in summary.arms],
        "axis": axis(summary),
        "published": [published_data(arm, metric) for arm, metric in summary.published],
        "effects": [{"name": effect.name, **asdict(effect)} for effect in summary.effects],
        "contributions": {name: asdict(item) for name, item in summary.contributions.items()},
        "monte_carlo": [asdict(arm) for arm in averaged_arms(summary)],
        "transfer": transfer_data(summary),
    }


def published_data(arm: ArmSummary, metric: str) -> dict[str, Any]:
    """An arm's result and the published one."""
    return {
        "arm": arm.name,
        "metric": metric,
        "mean": arm.mean,
        "sd": arm.deviation,
        "prediction_interval": asdict(arm.prediction_interval),
        "published": arm.published[metric],
        "verdict": arm.reproduced(metric),
    }
