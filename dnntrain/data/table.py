"""Tables: a column to predict, the others encoded as numbers."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.dataset import Dataset
from dnntrain.data.idx import GZIP_MAGIC
from dnntrain.data.own import OwnTargets, Rows, assembled, chosen_rows, cut, left_out, read_targets
from dnntrain.data.source import DataHome
from dnntrain.errors import InputError, did_you_mean
from dnntrain.parameters import parameter

if TYPE_CHECKING:
    from pandas import DataFrame, Series

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
MOST_CATEGORIES = 100
"""Different values up to which a column of text is taken for categories, not for names or remarks."""


class Table(OwnTargets):
    """Rows of numbers and text; identical rows count as separate observations, and may be in different parts."""

    name: ClassVar[str] = "table"
    summary: ClassVar[str] = "a table with a header (.csv, .tsv, either .gz, or .parquet)"

    target: str | None = parameter(None, "the column to predict")
    leave_out: str | None = parameter(None, "columns to leave out: name,ticket")

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(SUFFIXES)

    def read(self, home: DataHome) -> Dataset:
        (path,) = self.files(home)
        frame = read_parquet(path) if path.suffix.casefold() == ".parquet" else read_text(path)
        target, dropped = self.chosen(list(frame.columns))
        unnamed = [str(number) for number, name in enumerate(frame.columns, 1) if not name]
        notes = left_out(unnamed, "column", "without a name; number")
        missing = frame[target].isna().to_numpy()
        without = [str(row) for row in np.flatnonzero(missing) + 1]
        notes += left_out(without, "row", f"without a value of {target}; number")
        frame = frame[~missing]
        values, where = values_of(frame[target]), f"{path}: column '{target}'"
        targets, classes = read_targets(values, self.task, where, chosen=self.classes)
        parts = cut(targets, None, self.test, path, kept=chosen_rows(self.classes, targets, classes))
        inputs, more = encoded(frame.drop(columns=[target, *dropped, ""], errors="ignore"), parts.train, path)
        return assembled(self, home, inputs, targets, classes, parts, notes + more)

    def chosen(self, columns: list[str]) -> tuple[str, list[str]]:
        """The target and the columns to leave out; InputError where one is missing or unknown."""
        if self.target is None:
            raise InputError(
                f"{self.path}: which column is to be predicted? --target COLUMN, one of {', '.join(columns)}"
            )
        dropped = [name.strip() for name in (self.leave_out or "").split(",") if name.strip()]
        for option, name in (("--target", self.target), *(("--leave-out", name) for name in dropped)):
            if not name or name not in columns:
                raise InputError(f"{self.path}: {option} {name}: no such column{did_you_mean(name, columns)}")
        if self.target in dropped:
            raise InputError(f"{self.path}: --leave-out {self.target}: the column to be predicted")
        return self.target, dropped


def read_text(path: Path) -> DataFrame:
    """The columns of a .csv or .tsv file, gzipped or not, by unique names; InputError that says what is wrong where."""
    import pandas as pd

    text = decoded_text(path)
    separator = guess_separator(path, text)
    names = check_lines(path, text, separator)
    try:
        # '?' is how the UCI repository writes a missing value
        frame = pd.read_csv(io.StringIO(text), sep=separator, na_values=["?"], skipinitialspace=True, low_memory=False)
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path}: {error}") from None
    if len(frame.columns) != len(names) or not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}: the lines do not have as many fields as the header, {len(names)}")
    return named(path, frame, names)


def decoded_text(path: Path) -> str:
    """The file's text; InputError that names the line where it is not UTF-8."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise InputError(f"{path}: line {line} is not UTF-8 (byte 0x{byte:02x}); save it as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged or cut-off gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def guess_separator(path: Path, text: str) -> str:
    """Tab or comma, as the file's name says, unless the header has more semicolons or tabs."""
    header = text.lstrip("\r\n").partition("\n")[0]
    return max("\t" if ".tsv" in path.name.casefold() else ",", ";", "\t", key=header.count)


def check_lines(path: Path, text: str, separator: str) -> list[str]:
    """The names in the header; InputError with the number of a line that has more or fewer fields."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        names = next((row for row in rows if any(row)), [])
        for row in rows:
            if any(row) and len(row) != len(names):
                raise InputError(f"{path}: line {rows.line_num}: {len(row)} fields, where the header has {len(names)}")
    except csv.Error as error:
        raise InputError(f"{path}: line {rows.line_num}: {error}") from None
    if not names:
        raise InputError(f"{path}: empty")
    return names


def read_parquet(path: Path) -> DataFrame:
    """The columns of a Parquet file by unique names; InputError where it is damaged or pyarrow is not installed."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'dnntrain[parquet]'") from None
    except (OSError, ValueError, RuntimeError) as error:  # pyarrow's own errors are among these
        raise InputError(f"{path}: not a sound Parquet file ({error})") from None
    return named(path, frame.reset_index(drop=True), [str(name) for name in frame.columns])


def named(path: Path, frame: DataFrame, names: list[str]) -> DataFrame:
    """The frame with these names, without blanks around them; InputError if it can not be a table to learn from."""
    frame.columns = names = [name.strip() for name in names]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: more than one column is called {', '.join(twice)}")
    if len(names) < 2:
        raise InputError(f"{path}: only one column, {names[0]}; needs one to predict, and others to predict it from")
    if not len(frame):
        raise InputError(f"{path}: a header and no rows")
    return frame


def values_of(column: Series) -> NDArray[np.generic]:
    """A column without missing values as numbers, yes or no, or text: (N,)."""
    if column.dtype.kind in "iufb":
        return column.to_numpy(bool if column.dtype.kind == "b" else np.float64)
    return as_text(column).to_numpy(object)


def as_text(column: Series) -> Series:
    """The column's values as text; missing ones stay missing."""
    return column.astype(object).where(column.notna(), None).map(str, na_action="ignore")


def encoded(frame: DataFrame, train: Rows, path: Path) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The columns as numbers, float32 (N, features), nan where one is missing; and what was left out.

    The training rows decide alone: on categories, on what is constant, and on what has missing values.
    """
    made: list[NDArray[np.float32]] = []
    constant, many = [], []
    for name, values in frame.items():
        is_text = values.dtype.kind not in "iufb"
        column = as_text(values) if is_text else values
        different = column.iloc[train].nunique(dropna=False)
        if different < 2:
            constant.append(str(name))
        elif is_text and different > MOST_CATEGORIES:
            many.append(str(name))
        else:
            made += features(column, train, f"{path}: column '{name}'")
    if not made:
        raise InputError(f"{path}: no column is left to predict from")
    notes = left_out(constant, "column", "the same in every training row")
    return np.stack(made, axis=1), notes + left_out(many, "column", f"text of over {MOST_CATEGORIES} different values")


def features(column: Series, train: Rows, where: str) -> list[NDArray[np.float32]]:
    """A column as numbers, each (N,): its values, or 0 and 1 for each category; then 1 where it is missing, if ever.

    A category that no training row has is 0 everywhere. Raises InputError for an infinite value.
    """
    missing = column.isna().to_numpy()
    if column.dtype.kind in "iufb":
        made = [finite(column, where)]
    else:
        text = column.to_numpy(object)
        made = [(text == category).astype(np.float32) for category in sorted(set(text[train][~missing[train]]))]
    return [*made, missing.astype(np.float32)] if missing[train].any() else made


def finite(column: Series, where: str) -> NDArray[np.float32]:
    """A column of numbers, nan where one is missing; InputError if one is infinite."""
    with np.errstate(over="ignore"):
        numbers = column.to_numpy(np.float64, na_value=np.nan).astype(np.float32)
    if np.isinf(numbers).any():
        raise InputError(f"{where}: row {int(np.isinf(numbers).argmax()) + 1} is infinite, or too large for float32")
    return numbers
