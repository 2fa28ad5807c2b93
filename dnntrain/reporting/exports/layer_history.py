"""The histories of studies as a long table: a row for each run, epoch, and layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from dnntrain.analysis.summary import Summary
from dnntrain.engine.probe import ACTIVATION_FIGURES, WEIGHT_FIGURES
from dnntrain.errors import InputError
from dnntrain.store.study_files import HISTORY_NAMES, Results

LAYER_KEYS = (*HISTORY_NAMES, "epoch", "layer")
"""The columns that say what a row is about."""


def to_layer_csv(summaries: Sequence[Summary]) -> str:
    """The figures of each layer as CSV, such as gradient norms: what history.csv has in one cell for all layers.

    Raises:
        InputError: A study has no history, or it is damaged.
    """
    rows = [row for summary in summaries for row in layer_rows(summary.results)]
    figures = [name for name in (*WEIGHT_FIGURES, *ACTIVATION_FIGURES) if any(name in row for row in rows)]
    text: str = pd.DataFrame(rows, columns=[*LAYER_KEYS, *figures]).to_csv(index=False)
    return text


def layer_rows(results: Results) -> Iterator[dict[str, Any]]:
    """The rows of one study. The figures keep the digits that history.csv has."""
    if results.is_table:
        raise InputError(f"--history: {results.folder} is a table, which has no history by epoch")
    history = results.history()
    for record in history.to_dict("records"):
        layers: dict[str, dict[str, Any]] = {}
        for names, figures in (("weights", WEIGHT_FIGURES), ("activations", ACTIVATION_FIGURES)):
            for figure in figures:
                values = cell_values(record.get(figure))
                named = cell_values(record.get(names))
                named = named if len(named) == len(values) else [str(number) for number in range(1, len(values) + 1)]
                for layer, value in zip(named, values, strict=True):
                    layers.setdefault(layer, {})[figure] = "" if value == "nan" else value
        keys = {name: record[name] for name in (*HISTORY_NAMES, "epoch")}
        yield from (keys | {"layer": layer} | figures for layer, figures in layers.items())


def cell_values(cell: object) -> list[str]:
    """The parts of a cell that has one for each layer; none for an empty one, which pandas reads as nan."""
    return [] if cell is None or cell != cell else str(cell).split()
