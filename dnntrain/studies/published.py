"""Published values in a preset: known metrics, and numbers that such a metric can have.

published:
  relu: {val_acc: 0.87}                          # one run
  bn: {val_acc: 0.88, sd: 0.004, n: 5}           # the mean of 5 runs, and their standard deviation
  elu: {val_acc: {mean: 0.88, sd: 0.004, n: 5}, val_loss: {mean: 0.33, sd: 0.01, n: 5}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dnntrain.data import DatasetInfo
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import metric_columns, metric_of
from dnntrain.store.published import PublishedValue, published_by_metric
from dnntrain.studies.feasibility import check_metric_of
from dnntrain.studies.yaml_document import Document
from dnntrain.utils.fields import format_validation_error, odd_number

IN_FULL = "{mean: 0.87, sd: 0.004, n: 5}"
"""How the values of one metric are written in full."""


def read_published(
    document: Document, arms: Mapping[str, object], metric: str, info: DatasetInfo
) -> dict[str, dict[str, PublishedValue]]:
    """Read a preset's published values.

    Args:
        document: The preset.
        arms: Its arms, by name.
        metric: What the study is judged by.
        info: The data set, whose task says which metrics there are.

    Returns:
        The values by arm and metric.

    Raises:
        InputError: An arm or a metric does not exist, or a value is impossible; with file, line, and key.
    """
    published = {}
    for name, given in document.mapping("published").items():
        with document.at("published", name):
            if name not in arms:
                raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
            check_form(given, metric)
            in_full = published_by_metric(given, metric)
            published[name] = {key: read_value(key, value) for key, value in in_full.items()}
            for key in published[name]:
                check_metric_of(key, info)
    return published


def check_form(given: object, metric: str) -> None:
    """Raise InputError unless an arm's values are keys that exist, and each sd and n belongs to a metric."""
    if not isinstance(given, Mapping):
        raise InputError(f"must be metrics with values like {{val_acc: 0.87}}, not {given!r}")
    metrics = [key for key in given if key not in ("sd", "n")]
    for key in metrics:
        if key not in metric_columns():
            raise InputError(
                f"unknown metric '{key}'{did_you_mean(str(key), metric_columns(), 'dnntrain docs metrics')}"
            )
    for part in given.keys() & {"sd", "n"}:
        if not metrics or any(isinstance(given[key], Mapping) for key in metrics):
            raise InputError(f"{part} must belong to a metric; write val_acc: {IN_FULL}")
    if "sd" in given and len(metrics) > 1 and metric not in metrics:
        raise InputError(f"sd could be that of {' or '.join(metrics)}; write {metrics[0]}: {IN_FULL}")


def read_value(metric: str, given: Mapping[str, Any]) -> PublishedValue:
    """One published value; InputError, which begins with the key, for one that cannot be."""
    for key in given:
        if key not in ("mean", "sd", "n"):
            raise InputError(f"{metric}: unknown key '{key}'; write {IN_FULL}")
    if "mean" not in given:
        raise InputError(f"{metric}: no mean; write {IN_FULL}")
    declared, mean = metric_of(metric), read_number(metric, given["mean"])
    if trouble := declared.impossible(mean):
        raise InputError(f"{metric} {trouble}")
    fields: dict[str, Any] = {"mean": mean}
    if "n" in given:
        n = read_number("n", given["n"])
        if n < 1 or not n.is_integer():
            raise InputError(f"n must be a number of runs, not {given['n']!r}")
        fields["n"] = int(n)
    if "sd" in given:
        sd = read_number("sd", given["sd"])
        if trouble := "must be 0 or more" if sd < 0 else declared.impossible(sd):
            raise InputError(f"sd {trouble}")
        fields["sd"] = sd
    try:
        return PublishedValue(**fields)
    except ValidationError as error:
        raise InputError(format_validation_error(error)) from None


def read_number(key: str, text: object) -> float:
    """A number that a float can hold; InputError for any other."""
    if trouble := odd_number(text):
        raise InputError(f"{key} {trouble}")
    try:
        value = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        hint = "; a share is written as a number, like 0.87 for 87%" if str(text).endswith("%") else ""
        raise InputError(f"{key} must be a number, not {text!r}{hint}")
    return value
