"""Two studies of the same preset side by side: another machine, another version. Arms are matched by their settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnntrain.config.renamed import to_new_names
from dnntrain.errors import InputError
from dnntrain.reporting import formatting
from dnntrain.reporting.summary import by_seed
from dnntrain.statistics import Interval, deviation, mean, paired_interval
from dnntrain.store.provenance import environments_line
from dnntrain.store.study_loading import Results, read_study
from dnntrain.utils.text_layout import TextTable


def find_study(name: str, folders: Sequence[Path]) -> Results:
    """A study by its path, or by its name in one of the folders; InputError where there is none."""
    for path in (Path(name), *(folder / name for folder in folders)):
        if (path / "study.json").is_file():
            return read_study(path)
    raise InputError(f"--compare {name}: no study there, nor in {', '.join(map(str, folders))}")


@dataclass(frozen=True)
class ComparedArm:
    """One arm in two studies."""

    arm: str
    means: tuple[float, float]
    deviations: tuple[float, float]
    difference: Interval | None
    """Second − first, by seed; None where they share no seed."""
    same: int
    """Seeds with the same figure in both."""
    shared: int


def compared_arms(ours: Results, theirs: Results, metric: str) -> list[ComparedArm]:
    """The arms that both studies have; InputError where there are none."""
    for results in (ours, theirs):
        if metric not in results.runs.columns:
            raise InputError(f"--compare: {results.name} has no {metric}")
    partner = {key(arm): arm["name"] for arm in theirs.description["arms"]}
    found = [
        compared(arm["name"], partner[key(arm)], ours, theirs, metric)
        for arm in ours.description["arms"]
        if key(arm) in partner
    ]
    if not found:
        raise InputError(f"--compare: {ours.name} and {theirs.name} have no arm with the same settings")
    return found


def key(arm: dict[str, Any]) -> str:
    """What makes two arms the same: their settings."""
    return json.dumps(to_new_names(arm["settings"]), sort_keys=True)


def compared(name: str, other: str, ours: Results, theirs: Results, metric: str) -> ComparedArm:
    """One arm of ours with its partner."""
    first, second = (by_seed(r.runs[r.runs["arm"] == arm], metric) for r, arm in ((ours, name), (theirs, other)))
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
    """A row for each arm that both studies have: both means, and the difference by seed with its t interval."""
    rows = []
    for arm in arms:
        spreads = zip(arm.means, arm.deviations, strict=True)
        figures = [formatting.mean_and_deviation(mean, deviation, metric) for mean, deviation in spreads]
        difference = formatting.difference(arm.difference, metric, *arm.deviations)
        rows.append([arm.arm, *figures, difference, f"{arm.same}/{arm.shared}"])
    headings = ["arm", "first", "second", "second - first [95 %]", "same runs"]
    return TextTable("", headings, rows, frozenset(headings[1:]))


def comparison_notes(ours: Results, theirs: Results) -> list[str]:
    """What tells the two studies apart beside their numbers: data, environment, arms that only one has."""
    notes = [f"first: {ours.folder}", f"second: {theirs.folder}"]
    for part in ("data", "environment"):
        first, second = (results.description.get(part) or {} for results in (ours, theirs))
        for field in dict.fromkeys([*first, *second]):
            if first.get(field) != second.get(field):
                notes.append(f"{part}, {field}: {first.get(field)} | {second.get(field)}")
    both = {key(arm) for arm in ours.description["arms"]} & {key(arm) for arm in theirs.description["arms"]}
    for label, results in (("first", ours), ("second", theirs)):
        notes += [f"{label}: {line}" for line in filter(None, [environments_line(results.description)])]
        alone = [arm["name"] for arm in results.description["arms"] if key(arm) not in both]
        if alone:
            notes.append(f"only in the {label}: {', '.join(alone)}")
    return notes
