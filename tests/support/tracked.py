"""What trackers should hold: the content of results.csv and history.csv, read without dnntrain's own readers."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest

WEIGHTS = {"grad_norm", "grad_max", "update_ratio", "sensitivity", "weight_norm"}
ACTIVATIONS = {"act_mean", "act_std", "dead", "saturated", "slope"}
NO_NUMBERS = {"study", "arm", "seed", "run", "status", "health", "hidden", "act", "bn", "lr", "init"}
"""Columns of results.csv that are no results: names and settings."""
PRECISION = 1e-5
"""Figures of layers are rounded to six digits in history.csv."""


@dataclass
class Logged:
    """One run as a tracker has it."""

    names: dict[str, str] = field(default_factory=dict)
    """study, arm, seed, run, status and health."""
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    """The value of each series by epoch."""
    results: dict[str, float] = field(default_factory=dict)

    def add(self, series: str, epoch: int, value: float) -> None:
        """Add a point; there may be only one for an epoch."""
        points = self.curves.setdefault(series, {})
        assert epoch not in points, f"{series} has two points at epoch {epoch}"
        points[epoch] = value


def read_tables(folder: Path) -> dict[tuple[str, int], Logged]:
    """The runs of a study's folder, by arm and seed."""
    runs: dict[tuple[str, int], Logged] = {}
    with (folder / "results.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            run = runs[row["arm"], int(row["seed"])] = Logged()
            run.names = {name: row[name] for name in ("study", "arm", "seed", "run", "status", "health")}
            run.results = {name: float(cell) for name, cell in row.items() if name not in NO_NUMBERS and cell}
    with (folder / "history.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            run = runs[row["arm"], int(row["seed"])]
            for column in row.keys() - {"study", "arm", "seed", "run", "epoch", "weights", "activations"}:
                for series, cell in cells(column, row):
                    if cell and math.isfinite(float(cell)):
                        run.add(series, int(row["epoch"]), float(cell))
    return runs


def cells(column: str, row: dict[str, str]) -> list[tuple[str, str]]:
    """The cell of a column, or the numbers in it by layer."""
    if column not in WEIGHTS | ACTIVATIONS:
        return [(column, row[column])]
    layers = row["weights" if column in WEIGHTS else "activations"].split()
    numbers = row[column].split()
    return [(f"{column}/{layer}", number) for layer, number in zip(layers, numbers, strict=bool(numbers))]


def assert_same(logged: dict[tuple[str, int], Logged], folder: Path, *, precision: float = 1e-15) -> None:
    """Check what a tracker holds of a study against the tables in the study's folder."""
    expected = read_tables(folder)
    assert logged.keys() == expected.keys()
    for key, run in expected.items():
        assert logged[key].names == run.names
        assert logged[key].results == pytest.approx(run.results, rel=precision)
        assert logged[key].curves.keys() == run.curves.keys()
        for series, points in run.curves.items():
            rounded = precision if "/" not in series else PRECISION
            assert logged[key].curves[series] == pytest.approx(points, rel=rounded), (key, series)
