"""Published figures in a preset: known metrics, and numbers that such a metric can have."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dnntrain.data import DatasetInfo
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import metric_columns, metric_of
from dnntrain.studies.feasibility import check_metric_of
from dnntrain.studies.yaml_document import Document
from dnntrain.utils.fields import odd_number


def read_published(
    document: Document, arms: Mapping[str, object], metric: str, info: DatasetInfo
) -> dict[str, dict[str, float]]:
    """Read a preset's published figures.

    Args:
        document: The preset.
        arms: Its arms, by name.
        metric: What the study is judged by; a standard deviation belongs to it.
        info: The data set, whose task says which metrics there are.

    Returns:
        The figures by arm and metric, with the standard deviation as `sd`.

    Raises:
        InputError: An arm or a metric does not exist, or a figure is impossible; with file, line, and key.
    """
    figures = {}
    for name, given in document.mapping("published").items():
        with document.at("published", name):
            if name not in arms:
                raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
            figures[name] = read_figures(given, metric)
            for key in figures[name].keys() - {"sd"}:
                check_metric_of(key, info)
    return figures


def read_figures(figures: object, metric: str) -> dict[str, float]:
    """One arm's figures by metric, its sd among them, which is of the study's `metric`.

    Raises InputError, which begins with the key, for a figure that cannot be.
    """
    if not isinstance(figures, Mapping):
        raise InputError(f"must be figures like {{val_acc: 0.87}}, not {figures!r}")
    read = {}
    for key, text in figures.items():
        if key not in (*metric_columns(), "sd"):
            raise InputError(f"unknown metric '{key}'{did_you_mean(str(key), metric_columns())}")
        read[key] = read_figure(key, text)
        if trouble := spread_trouble(read[key], metric) if key == "sd" else metric_of(key).impossible(read[key]):
            raise InputError(f"{key} {trouble}")
    return read


def spread_trouble(deviation: float, metric: str) -> str | None:
    """What is wrong with a standard deviation of the metric: it is in the metric's unit, but never negative."""
    return "must be 0 or more" if deviation < 0 else metric_of(metric).impossible(deviation)


def read_figure(key: str, text: object) -> float:
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
