"""Finds the studies under a path and reads their tables."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, Field, ValidationError, model_validator

from dnntrain.errors import InputError
from dnntrain.metrics import VAL_LOSS, metric_columns
from dnntrain.utils.fields import format_validation_error
from dnntrain.utils.files import read_json


class ArmFile(BaseModel):
    """An arm in study.json."""

    name: str
    settings: dict[str, Any] = {}
    implied: list[str] = []
    published: dict[str, float] = {}
    levels: dict[str, str] = {}


class DatasetFile(BaseModel, extra="allow"):
    """A data set in study.json."""

    name: str
    train_examples: int
    test_examples: int
    notes: list[str] = []


class EnvironmentFile(BaseModel, extra="allow"):
    """What trained some of the runs, in study.json."""

    runs: int


class StudyFile(BaseModel):
    """What study.json holds."""

    name: str
    question: str = ""
    design: str = "list"
    baseline: str | None = None
    metric: str
    note: str = ""
    seeds: list[int]
    arms: list[ArmFile] = Field(min_length=1)
    data: DatasetFile | None = None
    environment: dict[str, Any] = {}
    datasets: list[DatasetFile] = []
    environments: list[EnvironmentFile] = []
    checksum: str = ""
    """SHA-256 of results.csv as it was written."""

    @model_validator(mode="after")
    def _baseline_is_an_arm(self) -> Self:
        if self.baseline is not None and self.baseline not in {arm.name for arm in self.arms}:
            raise ValueError(f"no arm '{self.baseline}' to be the baseline")
        return self


NUMBERS = ("seed", "epochs_run", "best_epoch", "seconds")
"""Columns that are numbers, with the metrics; all others are text, whatever it looks like: an arm may be called NA."""
NEEDED = ("study", "arm", "seed", "run", "status", VAL_LOSS, "health", "seconds")


@dataclass(frozen=True)
class Results:
    """One study as recorded."""

    folder: Path
    description: dict[str, Any]
    """study.json."""
    runs: pd.DataFrame
    """results.csv."""
    changed: bool = False
    """Whether results.csv is no longer as it was written."""

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.description["name"])


def find_studies(paths: Sequence[Path]) -> list[Results]:
    """The studies in the given folders, each a study or a folder of them; InputError where there is none."""
    found = [results for path in paths for results in studies_in(path)]
    return list({results.folder.resolve(): results for results in found}.values())


def studies_in(path: Path) -> list[Results]:
    """The studies of one path, the folder itself or those right below it, by name."""
    if not path.exists():
        raise InputError(f"{path}: no such folder; `dnntrain ablate` makes one (runs/ by default)")
    if path.is_file():
        path = path.parent
    folders = [path] if (path / "study.json").is_file() else sorted(p.parent for p in path.glob("*/study.json"))
    if not folders:
        raise InputError(f"{path}: no study in it (no study.json); run `dnntrain ablate PRESET --out {path}` first")
    return [read_study(folder) for folder in folders]


def read_study(folder: Path) -> Results:
    """One study's description and table; InputError that names the file where one is missing or damaged."""
    path = folder / "results.csv"
    described = folder / "study.json"
    try:
        description = StudyFile.model_validate(read_json(described)).model_dump()
    except ValidationError as error:
        raise InputError(f"{described}: no description of a study ({format_validation_error(error)})") from None
    try:
        numbers = {*NUMBERS, *metric_columns()}
        text = {column: str for column in pd.read_csv(path, nrows=0).columns if column not in numbers}
        runs = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the study again to write it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    missing = [column for column in NEEDED if column not in runs.columns]
    if missing:
        raise InputError(f"{path}: no column '{missing[0]}'; is it a results.csv of dnntrain?")
    for column in [c for c in runs.columns if c in ("seed", "seconds", *metric_columns())]:
        try:
            runs[column] = pd.to_numeric(runs[column])
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: column {column}: {error}") from None
    if runs["seed"].isna().any():
        raise InputError(f"{path}: a row has no seed")
    twice = runs[runs.duplicated(["arm", "seed"])]
    if len(twice):
        raise InputError(f"{path}: arm {twice.iloc[0]['arm']} has seed {twice.iloc[0]['seed']:g} twice")
    sums = {"", hashlib.sha256(path.read_bytes()).hexdigest()}
    return Results(folder, description, runs, changed=description["checksum"] not in sums)


def validation_curves(folder: Path, metric: str) -> dict[str, list[float]]:
    """Each arm's validation figure by epoch, the mean of the runs that got there; empty without history.csv."""
    path = folder / "history.csv"
    try:
        history = pd.read_csv(
            path, usecols=["arm", "epoch", metric], dtype={"arm": str}, keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    means = history.groupby(["arm", "epoch"], sort=False)[metric].mean()
    return {str(arm): curve.sort_index(level="epoch").tolist() for arm, curve in means.groupby(level="arm", sort=False)}
