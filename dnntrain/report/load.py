"""Finds the studies under a path and reads their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dnntrain.errors import InputError
from dnntrain.records import read_json

TEXT = {"run": str, "arm": str, "status": str, "health": str}
"""Columns that are text, whatever they look like: an arm may be called NA."""
NEEDED = ("study", "arm", "seed", "run", "status", "val_acc", "health", "seconds")


@dataclass(frozen=True)
class Results:
    """One study as recorded."""

    folder: Path
    description: dict[str, Any]
    """study.json."""
    runs: pd.DataFrame
    """results.csv."""

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
    description = read_json(folder / "study.json")
    if not isinstance(description, dict) or not {"name", "arms", "seeds", "metric"} <= description.keys():
        raise InputError(f"{folder / 'study.json'}: no description of a study")
    try:
        runs = pd.read_csv(path, dtype=TEXT, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the study again to write it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    missing = [column for column in NEEDED if column not in runs.columns]
    if missing:
        raise InputError(f"{path}: no column '{missing[0]}'; is it a results.csv of dnntrain?")
    return Results(folder, description, runs)


def validation_curves(folder: Path) -> dict[str, list[float]]:
    """Each arm's validation accuracy by epoch, the mean of the runs that got there; empty without history.csv."""
    path = folder / "history.csv"
    try:
        history = pd.read_csv(
            path, usecols=["arm", "epoch", "val_acc"], dtype={"arm": str}, keep_default_na=False, na_values=[""]
        )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    means = history.groupby(["arm", "epoch"], sort=False)["val_acc"].mean()
    return {str(arm): curve.sort_index(level="epoch").tolist() for arm, curve in means.groupby(level="arm", sort=False)}
