"""Reads Parquet files, whose columns are typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.columns import CellGrid, Column
from dnntrain.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def read_parquet(path: Path) -> CellGrid:
    """Read a Parquet file; InputError if it is damaged or pyarrow is not installed."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'dnntrain[parquet]'") from None
    except (OSError, ValueError, RuntimeError) as error:  # pyarrow's own errors are among these
        raise InputError(f"{path}: damaged, or not a Parquet file ({error})") from None
    return frame_grid(frame)


def frame_grid(frame: DataFrame) -> CellGrid:
    """The columns of a DataFrame."""
    return CellGrid([Column(str(name).strip(), series_values(column)) for name, column in frame.items()])


def series_values(column: Series) -> NDArray[Any]:
    """Convert a column to values, as in `Column`. Numbers in a column of objects are numbers, whatever marks its gaps.

    A time at midnight is written as its date, as in a CSV file of dates.
    """
    missing = column.isna().to_numpy()
    if column.dtype == object:
        column = column.where(~missing, None).infer_objects()
    if column.dtype.kind == "b" and not missing.any():
        return column.to_numpy(bool)
    if column.dtype.kind in "iufb":
        return column.to_numpy(np.float64, na_value=np.nan)
    midnight = " 00:00:00" if column.dtype.kind == "M" else ""
    texts = (str(value).removesuffix(midnight).strip() for value in column)
    return np.array([None if absent else text for text, absent in zip(texts, missing, strict=True)], object)
