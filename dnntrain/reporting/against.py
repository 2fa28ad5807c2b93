"""Compares two recordings of the same preset, made on two machines or by two versions.

Arms are matched by their settings, not by their names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnntrain.analysis.predicted_metrics import no_metric, with_metric
from dnntrain.analysis.runs import arms_by_metric
from dnntrain.config.renamed import to_new_names
from dnntrain.errors import InputError
from dnntrain.metrics import column_named, metric_of
from dnntrain.reporting import formatting
from dnntrain.statistics import Interval, deviation, mean, paired_interval
from dnntrain.store.provenance import environments_line
from dnntrain.store.study_files import Results, read_study
from dnntrain.store.study_record import ArmRecord
from dnntrain.utils.finite import nan_to_none
from dnntrain.utils.text_layout import TextTable


@dataclass(frozen=True)
class StudyComparison:
    """Two studies, compared by one metric."""

    metric: str
    arms: list[ComparedArm]
    """The arms that both studies have."""
    notes: list[str]
    """Where the studies are, and how their data, environments, and arms differ."""

    def table(self) -> TextTable:
        """A row for each common arm."""
        return comparison_table(self.arms, self.metric)

    def to_json(self) -> str:
        """Everything as JSON, in full precision."""
        content: dict[str, Any] = {"metric": self.metric, "arms": [*map(asdict, self.arms)], "notes": self.notes}
        return json.dumps(nan_to_none(content), indent=1)


def compare_studies(names: tuple[str, str], folders: Sequence[Path], metric: str | None = None) -> StudyComparison:
    """Compares two studies.

    Args:
        names: Each a study's path, or its name in one of the folders.
        folders: Where to look for studies by name.
        metric: The metric with its part, such as test_acc; by default the first study's own.

    Raises:
        InputError: If a study does not exist or lacks the metric, or no arm has the same settings in both.
    """
    first, second = (find_study(name, folders) for name in names)
    metric = column_named(metric) if metric else first.record.metric
    metric_of(metric)  # an unknown name is refused with the nearest
    return StudyComparison(metric, compared_arms(first, second, metric), comparison_notes(first, second))


def find_study(name: str, folders: Sequence[Path]) -> Results:
    """Finds a study by its path, or by its name in one of the folders; InputError if there is none."""
    for path in (Path(name), *(folder / name for folder in folders)):
        if (path / "study.json").is_file():
            return read_study(path)
    raise InputError(f"--against {name}: no study at this path or in {', '.join(map(str, folders))}")


@dataclass(frozen=True)
class ComparedArm:
    """One arm in two studies."""

    arm: str
    means: tuple[float, float]
    deviations: tuple[float, float]
    difference: Interval | None
    """Second − first, paired by seed; None if they share no seed."""
    same: int
    """Seeds with the same value in both."""
    shared: int


def compared_arms(ours: Results, theirs: Results, metric: str) -> list[ComparedArm]:
    """Compares the arms that both studies have by a metric; InputError if there are none."""
    ours, theirs = with_metric(ours, metric), with_metric(theirs, metric)
    for results in (ours, theirs):
        if metric not in results.runs.columns:
            raise InputError(f"--against: {no_metric(results, metric)}")
    counterpart = {key(arm): arm.name for arm in theirs.record.arms}
    arms = [
        compared(arm.name, counterpart[key(arm)], ours, theirs, metric)
        for arm in ours.record.arms
        if key(arm) in counterpart
    ]
    if not arms:
        raise InputError(f"--against: {ours.name} and {theirs.name} have no arm with the same settings")
    return arms


def key(arm: ArmRecord) -> str:
    """Identifies an arm across studies: its settings."""
    return json.dumps(to_new_names(arm.settings), sort_keys=True)


def compared(name: str, other: str, ours: Results, theirs: Results, metric: str) -> ComparedArm:
    """Compares an arm of ours with its counterpart."""
    first, second = (arms_by_metric(r, metric)[arm].values for r, arm in ((ours, name), (theirs, other)))
    shared = first.keys() & second.keys()
    return ComparedArm(
        arm=name,
        means=(mean([*first.values()]), mean([*second.values()])),
        deviations=(deviation([*first.values()]), deviation([*second.values()])),
        difference=paired_interval(second, first),
        same=sum(first[seed] == second[seed] for seed in shared),
        shared=len(shared),
    )


def comparison_table(arms: Sequence[ComparedArm], metric: str) -> TextTable:
    """A row for each common arm: both means, and the paired difference with its t interval."""
    rows = []
    for arm in arms:
        spreads = zip(arm.means, arm.deviations, strict=True)
        figures = [formatting.mean_and_deviation(mean, deviation, metric) for mean, deviation in spreads]
        difference = formatting.difference(arm.difference, metric, *arm.deviations)
        rows.append([arm.arm, *figures, difference, f"{arm.same}/{arm.shared}"])
    headings = ["arm", "first", "second", "second - first [95 %]", "same runs"]
    return TextTable("", headings, rows, frozenset(headings[1:]))


def comparison_notes(ours: Results, theirs: Results) -> list[str]:
    """Differences in data and environment, and arms that only one study has."""
    notes = [f"first: {ours.folder}", f"second: {theirs.folder}"]
    for part in ("data", "environment"):
        parts = (getattr(results.record, part) for results in (ours, theirs))
        first, second = ({} if record is None else record.content() for record in parts)
        for field in dict.fromkeys([*first, *second]):
            if first.get(field) != second.get(field):
                notes.append(f"{part}, {field}: {first.get(field)} | {second.get(field)}")
    both = {key(arm) for arm in ours.record.arms} & {key(arm) for arm in theirs.record.arms}
    for label, results in (("first", ours), ("second", theirs)):
        notes += [f"{label}: {line}" for line in filter(None, [environments_line(results.record)])]
        alone = [arm.name for arm in results.record.arms if key(arm) not in both]
        if alone:
            notes.append(f"only in the {label}: {', '.join(alone)}")
    return notes
