"""Data that Python code gives: arrays, tensors, torch data sets, and pandas DataFrames.

They are kept in the data folder under a digest of their content, `memory:arrays-…` or `memory:table-…`. That name is in
the settings of runs, so that workers, `runs evaluate`, and a later call find the same data again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.array_inputs import AnyArray, Reading
from dnntrain.data.arrays import TypedArraySource, fingerprint
from dnntrain.data.columns import CellGrid, Column
from dnntrain.data.dataset import Dataset
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.data.npz import read_arrays
from dnntrain.data.parquet import frame_grid
from dnntrain.data.returned import ArrayReader
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.data.tabular import Table
from dnntrain.errors import InputError
from dnntrain.utils.files import atomic_folder

if TYPE_CHECKING:
    from pandas import DataFrame

MEMORY = "memory"
"""The folder with what Python code gave, in that of a `DataLocation`."""
MEMORY_PREFIX = f"{MEMORY}:"
SHOWN_DIGITS = 8
"""Digits of the digest in names for people."""
EXPECTED_DATA = (
    "must be (x, y) or (x_train, y_train, x_test, y_test), with x_val, y_val or without, as a tuple or a dict "
    "of arrays; one torch data set, (train, test) or (train, val, test); a DataFrame with target='COLUMN'; a function "
    "that returns arrays or data sets; or a name or path"
)


class InMemory(FileSource):
    """Data from memory, kept by their content. `path` is `memory:NAME`; the name ends in a digest."""

    file: ClassVar[str]
    """The file in the folder of that name."""

    @property
    def key(self) -> str:
        """The name, such as arrays-0123456789abcdef."""
        return str(self.path).removeprefix(MEMORY_PREFIX)

    def display_name(self) -> str:
        kind, _, digest = self.key.partition("-")
        return f"{kind}-{digest[:SHOWN_DIGITS]}"

    def files(self, location: DataLocation) -> list[Path]:
        """The file with the data; InputError if it is not in the data folder."""
        if found := self.find(location):
            return found
        raise InputError(
            f"{self.path}: these data came from memory, and are not kept in {location.folder / MEMORY}; give them "
            "again in Python, or choose the data folder that they were kept in (data_dir)"
        )

    def find(self, location: DataLocation) -> list[Path]:
        path = location.folder / MEMORY / self.key / self.file
        return [path] if path.is_file() else []

    def fingerprint(self, location: DataLocation) -> str:
        """The digest in the name, once the data are found."""
        self.files(location)
        return self.key.partition("-")[2]


class InMemoryArrays(TypedArraySource, InMemory):
    """Arrays that Python code gave.

    Floats are numbers, and keep their shape. Whole numbers are read as in an .npz file: as images if they have the
    shape of images, else as columns of numbers; `inputs='tokens'` reads them as tokens. As targets, integers and text
    are classes, and floats numbers.
    """

    name: ClassVar[str] = "arrays"
    summary: ClassVar[str] = "arrays in memory, from Python"
    decodes: ClassVar[bool] = True
    file: ClassVar[str] = "arrays.npz"

    @classmethod
    def reads(cls, given: str) -> bool:
        return given.startswith(f"{MEMORY_PREFIX}{cls.name}-")

    def reading(self, values: AnyArray, where: str) -> Reading:
        return "numbers" if self.inputs == "auto" and values.dtype.kind == "f" else self.inputs

    def read(self, location: DataLocation) -> Dataset:
        (path,) = self.files(location)
        return self.build(location, read_arrays(path)[0], "data", test_share=self.test)


class InMemoryTable(InMemory, Table):
    """A pandas DataFrame that Python code gave. Its index is not used."""

    name: ClassVar[str] = "frame"
    summary: ClassVar[str] = "a DataFrame in memory, from Python"
    file: ClassVar[str] = "columns.npz"

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.startswith(f"{MEMORY_PREFIX}table-")

    def cells(self, path: Path) -> CellGrid:
        with np.load(path, allow_pickle=False) as file:
            names = json.loads(bytes(file["names"]))
            return CellGrid([Column(name, unpacked(file[str(i)])) for i, name in enumerate(names)])


def keep(value: object, location: DataLocation) -> str:
    """Keep data from memory in the data folder, unless the same are there already.

    Args:
        value: Arrays, tensors, lists, or torch data sets as in `ArrayReader`, or a DataFrame.
        location: Where they are kept.

    Returns:
        What the setting `data` says of them: memory:arrays-DIGEST or memory:table-DIGEST. Equal content has an equal
        digest, whatever object held it.

    Raises:
        InputError: It is something else, or cannot be read.
        DnntrainError: The data folder cannot be written to.
    """
    pandas = sys.modules.get("pandas")
    if pandas and isinstance(value, pandas.DataFrame):
        kind, file, arrays = "table", InMemoryTable.file, packed(value)
    else:
        kind, file = "arrays", InMemoryArrays.file
        read = ArrayReader("data", "", "give", EXPECTED_DATA, one_part=True).read(without_pandas(value))
        arrays = {name: native(array) for name, array in (read[role] for role in sorted(read))}
    folder = location.folder / MEMORY / f"{kind}-{fingerprint(arrays)}"
    if not (folder / file).is_file():
        with exclusive_write(folder, doing="writing"), atomic_folder(folder) as scratch:
            np.savez(scratch / file, **arrays)
    return f"{MEMORY_PREFIX}{folder.name}"


def without_pandas(value: object) -> object:
    """Arrays in which a column of pandas is an array: of text, if its values are text or categories.

    Raises:
        InputError: A part is a DataFrame, whose columns may need to be encoded.
    """
    pandas = sys.modules.get("pandas")
    if not pandas or not isinstance(value, tuple | list | dict):
        return value
    if isinstance(value, dict):
        return dict(zip(value, without_pandas(list(value.values())), strict=True))  # type: ignore[call-overload]
    if any(isinstance(part, pandas.DataFrame) for part in value):
        raise InputError(
            "data: holds a DataFrame; give one that holds the target, too, as data=x.assign(y=y), target='y'; or "
            "numbers as x.to_numpy()"
        )
    columns = pandas.Series | pandas.Index | pandas.api.extensions.ExtensionArray
    return [as_typed(pandas.Series(part)) if isinstance(part, columns) else part for part in value]


def as_typed(series: Any) -> Any:
    """A Series as an array: text as it is, and other values by their type."""
    values = series.tolist()
    return values if all(isinstance(each, str) for each in values) else series.infer_objects().to_numpy()


def native(array: AnyArray) -> AnyArray:
    """The array in this machine's byte order; text as wide as its longest."""
    return np.array(array.tolist()) if array.dtype.kind == "U" else array.astype(array.dtype.newbyteorder("="))


def packed(frame: DataFrame) -> dict[str, Any]:
    """A DataFrame's columns as arrays that .npz files hold: numbers and booleans, and text as JSON.

    Raises:
        InputError: It has no columns.
    """
    columns = frame_grid(frame).columns
    if not columns:
        raise InputError("data: a DataFrame without columns")
    arrays: dict[str, Any] = {"names": as_bytes([column.name for column in columns])}
    for number, column in enumerate(columns):
        arrays[str(number)] = as_bytes(column.values.tolist()) if column.is_text else column.values
    return arrays


def unpacked(array: AnyArray) -> NDArray[Any]:
    """A column's values, as in `Column`."""
    return np.array(json.loads(bytes(array)), object) if array.dtype == np.uint8 else array


def as_bytes(texts: Iterable[str | None]) -> NDArray[np.uint8]:
    """Texts as the bytes of their JSON."""
    return np.frombuffer(json.dumps([*texts]).encode(), np.uint8)
