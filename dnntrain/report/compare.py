"""Two studies of the same preset side by side: another machine, another version. Arms are matched by their settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnntrain.errors import InputError
from dnntrain.report import words
from dnntrain.report.load import Results, read_study
from dnntrain.report.summary import by_seed
from dnntrain.report.tables import TextTable
from dnntrain.statistics import deviation, mean, paired_interval


def find_study(name: str, folders: Sequence[Path]) -> Results:
    """A study by its path, or by its name in one of the folders; InputError where there is none."""
    for path in (Path(name), *(folder / name for folder in folders)):
        if (path / "study.json").is_file():
            return read_study(path)
    raise InputError(f"--compare {name}: no study there, nor in {', '.join(map(str, folders))}")


def comparison_table(ours: Results, theirs: Results, metric: str) -> TextTable:
    """A row for each arm that both studies have: both means, and the difference by seed with its t interval."""
    for results in (ours, theirs):
        if metric not in results.runs.columns:
            raise InputError(f"--compare: {results.name} has no {metric}")
    partner = {key(arm): arm["name"] for arm in theirs.description["arms"]}
    rows = [
        compared(arm["name"], partner[key(arm)], ours, theirs, metric)
        for arm in ours.description["arms"]
        if key(arm) in partner
    ]
    if not rows:
        raise InputError(f"--compare: {ours.name} and {theirs.name} have no arm with the same settings")
    headings = ["arm", "first", "second", "second - first [95 %]", "same runs"]
    return TextTable("", headings, rows, frozenset(headings[1:]))


def key(arm: dict[str, Any]) -> str:
    """What makes two arms the same: their settings."""
    return json.dumps(arm["settings"], sort_keys=True)


def compared(name: str, other: str, ours: Results, theirs: Results, metric: str) -> list[str]:
    """One arm's row."""
    first, second = (by_seed(r.runs[r.runs["arm"] == arm], metric) for r, arm in ((ours, name), (theirs, other)))
    shared = first.keys() & second.keys()
    same = sum(first[seed] == second[seed] for seed in shared)
    spreads = [spread(list(values.values()), metric) for values in (first, second)]
    difference = words.difference(paired_interval(second, first), metric)
    return [name, *spreads, difference, f"{same}/{len(shared)}"]


def spread(values: Sequence[float], metric: str) -> str:
    """Mean ± standard deviation."""
    text = words.number(mean(values), metric)
    return text if len(values) < 2 else f"{text} ± {words.number(deviation(values), metric)}"


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
        alone = [arm["name"] for arm in results.description["arms"] if key(arm) not in both]
        if alone:
            notes.append(f"only in the {label}: {', '.join(alone)}")
    return notes
