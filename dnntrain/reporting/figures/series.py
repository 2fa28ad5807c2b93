"""Reads history.csv and computes the series that the figures draw."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.learning_rates import RateClock, RateCurve, rounded
from dnntrain.analysis.summary import Summary
from dnntrain.errors import InputError
from dnntrain.metrics import TRAIN_LOSS, VAL_LOSS, metric_columns

COLUMNS = ("arm", "seed", "epoch", "lr", TRAIN_LOSS, VAL_LOSS, "grad_norm")
"""The columns of history.csv that figures need, in addition to the metrics."""

WEIGHTS = "weights"
"""The column of the layers' names, which old histories lack."""

MAX_SEEDS_FOR_RANGE = 3
"""With at most this many seeds, a band spans the range of their values; with more, ±1 standard deviation."""


MAX_ROWS = 60
"""Maximum number of arms in a figure that names each."""


def read_history(folder: Path) -> pd.DataFrame:
    """Reads a study's history, one row per run and epoch.

    Returns:
        The columns of `COLUMNS`, every metric, and `WEIGHTS` if it is there; no rows if the study has no history.csv.

    Raises:
        InputError: If the file is damaged.
    """
    path = folder / "history.csv"
    text: dict[Hashable, Any] = {"arm": str, "grad_norm": str, WEIGHTS: str}
    try:  # an arm may be named NA, so only numbers can be missing
        recorded, optional = pd.read_csv(path, nrows=0).columns, {*metric_columns(), WEIGHTS}
        columns = [*COLUMNS, *(column for column in recorded if column in optional and column not in COLUMNS)]
        numbers = [column for column in columns if column not in text]
        missing: dict[str, list[str]] = {column: ["", "nan", "NaN", "None"] for column in numbers}
        frame = pd.read_csv(path, usecols=columns, dtype=text, keep_default_na=False, na_values=missing)
        frame[numbers] = frame[numbers].astype(float)
    except (FileNotFoundError, NotADirectoryError):  # a table that dnntrain did not write is a file
        return pd.DataFrame(columns=list(COLUMNS))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a history ({str(error).splitlines()[0]})") from None
    return frame.dropna(subset=["seed", "epoch"]).astype({"seed": int, "epoch": int})


def by_arm(history: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Splits a history by arm."""
    return {str(name): frame for name, frame in history.groupby("arm", sort=False)}


@dataclass(frozen=True)
class Curve:
    """One column of an arm's history by epoch, averaged over its runs."""

    epochs: np.ndarray
    mean: np.ndarray
    """Mean over the runs with a finite value in that epoch."""
    low: np.ndarray
    high: np.ndarray
    complete: int
    """The number of epochs until the first run stops or diverges."""


def mean_curve(frame: pd.DataFrame, column: str, seeds: int) -> Curve:
    """An arm's mean and band by epoch.

    Args:
        frame: The arm's history.
        column: The column to average.
        seeds: Seeds of the study. The band is ±1 standard deviation, or the range if there are few (see
            `MAX_SEEDS_FOR_RANGE`).
    """
    values = by_epoch_and_seed(frame, column)
    center, n = values.mean(axis=1), values.notna().sum(axis=1)
    if seeds <= MAX_SEEDS_FOR_RANGE:
        low, high = values.min(axis=1), values.max(axis=1)
    else:
        deviation = values.std(axis=1, ddof=1)
        low, high = center - deviation, center + deviation
    several = n > 1
    gaps = np.flatnonzero(values.isna().any(axis=1))
    return Curve(
        epochs=values.index.to_numpy(),
        mean=center.to_numpy(),
        low=low.where(several).to_numpy(),
        high=high.where(several).to_numpy(),
        complete=int(gaps[0]) if gaps.size else len(values),
    )


def by_epoch_and_seed(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Pivots a column to one row per epoch and one column per seed; nan where a value is missing or not finite."""
    finite = frame[column].where(np.isfinite(frame[column]))
    values: pd.DataFrame = finite.groupby([frame["epoch"], frame["seed"]]).first().unstack("seed")
    return values


def divergences(summary: Summary, frames: dict[str, pd.DataFrame], column: str) -> dict[str, list[tuple[int, float]]]:
    """For each arm, its diverged runs as (last epoch, last finite value of the column, or nan)."""
    runs = summary.results.runs
    diverged: dict[str, list[tuple[int, float]]] = {}
    for arm, seed in runs.where("status", "diverged").rows("arm", "seed"):
        frame = frames.get(str(arm))
        rows = None if frame is None else frame[frame["seed"] == seed]
        if rows is not None and len(rows):
            values = rows[column][np.isfinite(rows[column])]
            value = float(values.iloc[-1]) if len(values) else float("nan")
            diverged.setdefault(str(arm), []).append((int(rows["epoch"].max()), value))
    return diverged


def gradients(frame: pd.DataFrame) -> np.ndarray:
    """log10 of the gradient's norm, averaged over runs.

    Returns:
        An array (layers, epochs), the lowest layer first. -inf where the gradient is zero, nan where no run has a
        finite one.
    """
    cells = [np.array(cell.split(), dtype=float) for cell in frame["grad_norm"]]
    norms = np.full((len(cells), max((len(cell) for cell in cells), default=0)), np.nan)
    for row, cell in zip(norms, cells, strict=True):
        row[: len(cell)] = cell
    epochs = frame["epoch"].to_numpy()
    last = int(epochs.max()) if len(epochs) else 0
    return np.array([mean_log(norms[epochs == epoch]) for epoch in range(1, last + 1)]).reshape(last, -1).T


def layer_labels(frame: pd.DataFrame) -> list[str]:
    """The names of an arm's layers, from the lowest; their numbers where the history does not name them."""
    named = max(frame[WEIGHTS], key=len).split() if WEIGHTS in frame else []
    n_layers = max((len(cell.split()) for cell in frame["grad_norm"]), default=0)
    return named if len(named) == n_layers else [*map(str, range(1, n_layers)), "output"]


def mean_log(norms: np.ndarray) -> np.ndarray:
    """The mean of log10 over the positive rows of each column; without any, -inf if a row is zero, else nan."""
    positive = np.isfinite(norms) & (norms > 0)
    logs = np.log10(norms, where=positive, out=np.zeros_like(norms)).sum(axis=0)
    none = np.where((norms == 0).any(axis=0), -np.inf, np.nan)
    mean: np.ndarray = np.where(positive.any(axis=0), logs / positive.sum(axis=0).clip(min=1), none)
    return mean


def rates(frame: pd.DataFrame, clock: RateClock | None) -> set[RateCurve]:
    """The distinct learning-rate curves of an arm's runs, without those that are the beginning of a longer one.

    Args:
        frame: The arm's history.
        clock: What gives the rates by iteration; None for those of every epoch's last step, by epoch.
    """
    runs = {tuple(map(rounded, run["lr"])): run for _, run in frame.sort_values("epoch").groupby("seed")}
    curves = {clock.curve(run) if clock else tuple(enumerate(ends, 1)) for ends, run in runs.items()}
    return {curve for curve in curves if not any(other != curve and starts(other, curve) for other in curves)}


def starts(longer: RateCurve, shorter: RateCurve) -> bool:
    """Whether `longer` begins with `shorter`."""
    return longer[: len(shorter)] == shorter


def schedules(
    frames: Mapping[str, pd.DataFrame], clocks: Mapping[str, RateClock]
) -> dict[frozenset[RateCurve], list[str]]:
    """The distinct schedules with the arms that use each. A schedule has several curves if it reacts to runs.

    Args:
        frames: The history of each arm.
        clocks: What gives each arm's rates by iteration; empty for rates by epoch.
    """
    of_arm = {name: rates(frame, clocks.get(name)) for name, frame in frames.items()}
    every = set().union(*of_arm.values())
    by_curves: dict[frozenset[RateCurve], list[str]] = {}
    for name, ours in of_arm.items():
        by_curves.setdefault(frozenset(longest(rate, every) for rate in ours), []).append(name)
    return by_curves


def longest(rate: RateCurve, every: set[RateCurve]) -> RateCurve:
    """The longest curve that begins with this one, if all such curves agree; otherwise the curve itself."""
    longer = sorted((other for other in every if starts(other, rate)), key=len)
    return longer[-1] if all(starts(longer[-1], other) for other in longer) else rate


def select_arms(summary: Summary, most: int) -> list[ArmSummary]:
    """At most `most` arms in their order: all, or the baseline with those of the highest and lowest means."""
    if len(summary.arms) <= most:
        return summary.arms
    others = sorted(
        (arm for arm in summary.arms if arm.name != summary.baseline), key=lambda arm: (math.isnan(arm.mean), -arm.mean)
    )
    half = (most - 1) // 2
    names = {arm.name for arm in (*others[:half], *others[-half:])} | {summary.baseline}
    return [arm for arm in summary.arms if arm.name in names]


def omitted_note(summary: Summary, shown: Sequence[ArmSummary]) -> str:
    """The caption's note on arms that are not shown; empty if all are."""
    if len(shown) == len(summary.arms):
        return ""
    return f" Shown: {len(shown)} of {len(summary.arms)} arms, the highest and the lowest by {summary.metric}."


def lost_runs_note(summary: Summary) -> list[str]:
    """The caption's sentences on lost runs; none if no run was lost."""
    lost = [arm.runs for arm in summary.arms if arm.runs.lost]
    are_known = [not math.isnan(runs.lost_value) for runs in lost]
    notes = ["Lost runs count as a network that ignores its inputs."] if any(are_known) else []
    return notes + ([] if all(are_known) else ["Lost runs are left out where it is not known what they count as."])


def baseline_mark(arm: str, summary: Summary) -> str:
    """' (baseline)' to follow the baseline's name, unless that says so itself; empty for any other arm."""
    return " (baseline)" if arm == summary.baseline and "baseline" not in arm.lower() else ""


def lost_note(arm: ArmSummary) -> str:
    """How many runs an arm lost, to follow its name or numbers; empty if none."""
    return f"  ({arm.runs.lost} of {arm.runs.made} lost)" if arm.runs.lost else ""
