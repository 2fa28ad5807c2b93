"""What the columns of a table of runs mean, as a user says it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import ColumnMetric, TableColumn, metric_columns, metric_of
from dnntrain.utils.fields import odd_number

DIRECTIONS = ("max", "min")

LARGEST = 1e50
"""Larger values are refused, because what is computed from their squares would overflow."""

MUST_SAY = frozenset((
    "bpb", "bpc", "brier", "cer", "cost", "deviance", "ece", "energy", "err", "error", "fid", "latency", "loss", "mae",
    "mape", "memory", "mse", "nll", "perplexity", "ppl", "regret", "rmse", "runtime", "seconds", "time", "wer",
))  # fmt: skip
"""Words in the names of columns whose lower values are usually better, so that their direction has to be given."""


@dataclass(frozen=True)
class TableLayout:
    """Which columns of a table of runs say what."""

    arm: str = ""
    values: tuple[str, ...] = ()
    """The columns to compare the arms by, each as COLUMN, COLUMN:max or COLUMN:min."""
    seed: str = ""
    """Runs with the same seed are pairs; without this column no runs are."""
    block: str = ""
    """Such as a data set. Pairs are blocks then, by their means over runs."""
    status: str = ""
    ok: tuple[str, ...] = ()
    """The values of `status` for runs that have a result; all others are lost."""
    lost_values: Mapping[str, float] = field(default_factory=dict)
    """What a lost run counts as, by column."""

    @classmethod
    def of_study(cls, metric: str) -> Self:
        """The layout of a results.csv that dnntrain wrote."""
        return cls("arm", (metric,), "seed", status="status", ok=("finished",))

    def or_else(self, other: Self) -> Self:
        """This layout, with what it lacks from another."""
        mine = {name: value for name, value in vars(self).items() if value}
        return type(self)(**vars(other) | mine)


def read_value_column(text: str, columns: Collection[str], *, is_study: bool = False) -> str:
    """The column that a value names, as a `TableColumn` that knows its direction.

    Args:
        text: COLUMN, which means that higher is better, or COLUMN:max or COLUMN:min.
        columns: The table's columns.
        is_study: Whether dnntrain wrote the table, so that its metrics have their own directions.

    Raises:
        InputError: If there is no such column, or its name suggests that lower is better and no direction is given.
    """
    name, colon, direction = (text, "", "") if text in columns else text.rpartition(":")
    if not colon:
        name = text
    if name not in columns:
        raise InputError(f"--value {text}: no such column{did_you_mean(name, columns)}")
    if colon and direction not in DIRECTIONS:
        raise InputError(f"--value {text}: after the colon comes max or min{did_you_mean(direction, DIRECTIONS)}")
    if is_study and name in metric_columns():
        if direction and metric_of(name).higher_is_better != (direction == "max"):
            raise InputError(f"--value {text}: {name} is a metric of dnntrain, and better the other way")
        return name
    if not direction and MUST_SAY & set(re.split(r"[^a-z]+", name.lower())):
        raise InputError(f"--value {name}: say which is better, {name}:min or {name}:max")
    return TableColumn(name, ColumnMetric(name, higher_is_better=direction != "min"))


def read_lost_values(texts: Sequence[str]) -> dict[str, float]:
    """What lost runs count as, from METRIC=X.

    Raises:
        InputError: If a text is not of this form, or a metric is given twice.
    """
    values: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals or not name:
            raise InputError(f"--lost-value {text}: must be METRIC=X, such as f1=0")
        if trouble := odd_number(number):
            raise InputError(f"--lost-value {text}: {trouble}")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:
            raise InputError(f"--lost-value {text}: '{number}' is no number that a run could have")
        if name in values:
            raise InputError(f"--lost-value {text}: {name} is given twice")
        values[name] = value
    return values
