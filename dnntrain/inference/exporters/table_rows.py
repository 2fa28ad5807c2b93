"""Rows of a table as inputs of an exported model, which has a copy of this function. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch


def encode_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Mapping[str, Any]],
    missing: Collection[str],
    missing_numbers: Collection[str],
) -> torch.Tensor:
    """Rows as the numbers that the model was trained on, float64 (N, inputs), nan where a number is missing.

    Args:
        rows: The cells of each row by column. Text of a number is read; None and nan are missing.
        columns: The columns in the order of the inputs, with their categories if they are text.
        missing: Texts that mean missing.
        missing_numbers: In a column of numbers, lowercase texts that mean missing too.

    Raises:
        KeyError: A row lacks a column.
        ValueError: A cell in a column of numbers is not a number.
    """
    encoded = []
    for row in rows:
        inputs: list[float] = []
        for column in columns:
            value, categories = row[column["name"]], column.get("categories", ())
            if isinstance(value, float) and value.is_integer() and column["kind"] == "text":
                value = int(value)
            text = "" if value is None or value != value else str(value).strip()
            is_missing = text in missing or (column["kind"] != "text" and text.lower() in missing_numbers)
            if column["kind"] == "text":
                # a text that is no category has 0 everywhere
                inputs += [float(text == category and not is_missing) for category in categories]
            elif is_missing:
                inputs.append(float("nan"))
            elif text in ("True", "TRUE", "true", "False", "FALSE", "false"):
                inputs.append(float(text.lower() == "true"))
            else:
                inputs.append(float(text.replace(column.get("decimal", "."), ".")))
            if column.get("marks_missing"):
                inputs.append(float(is_missing))
        encoded.append(inputs)
    return torch.tensor(encoded, dtype=torch.float64)
