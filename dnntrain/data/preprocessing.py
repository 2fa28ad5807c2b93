"""How raw data become a network's inputs. Runs record it, so that new data are read as the training data were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from dnntrain.errors import InputError
from dnntrain.utils.fields import format_validation_error


@dataclass(frozen=True, eq=False)
class NewData:
    """New examples for a trained network."""

    where: str
    """The file, the folder, or 'data'; starts messages."""
    inputs: NDArray[Any]
    """(N, *shape), of the training inputs' kind; nan where a number is missing. Not scaled."""
    files: Sequence[str] = ()
    """The path of each image file, with forward slashes; empty if the examples are not files."""
    labels: NDArray[Any] | None = None
    """The targets as they are in the data, (N,): numbers, nan where missing; or class names, None where missing."""
    notes: Sequence[str] = ()
    """What was ignored, or is not as in training, one line each."""


class Preprocessing(BaseModel):
    """How a data source makes inputs from raw data, as recorded. Subclasses read new data in that way."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: ClassVar[str]
    """The kind of data, which the record starts with."""
    kinds: ClassVar[dict[str, type[Preprocessing]]] = {}
    """The subclasses by name."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.kinds[cls.name] = cls

    def read(self, data: object) -> NewData:
        """Read new data.

        Args:
            data: The path of a file or folder, a list of paths of images, an array, a tensor, or a DataFrame.

        Raises:
            InputError: The data do not fit what the network was trained on; names file, column, and line.
        """
        raise NotImplementedError

    def content(self) -> dict[str, Any]:
        """The record, as plain JSON values."""
        return {"reads": self.name} | self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """The preprocessing of a record; InputError if it is of another version."""
        kind = cls.kinds.get(str(content.get("reads")))
        if kind is None or not issubclass(kind, cls):
            raise InputError(f"preprocessing: reads '{content.get('reads')}', which this version of dnntrain does not")
        try:
            return kind.model_validate({key: value for key, value in content.items() if key != "reads"})
        except ValidationError as error:
            raise InputError(f"preprocessing: {format_validation_error(error)}") from None


def existing_path(data: object) -> Path | None:
    """The path that `data` is; None if it is no path, InputError if nothing is there."""
    if not isinstance(data, str | Path):
        return None
    path = Path(data)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    return path


def first_rows(rows: Sequence[int], place: Any, text: Any = None) -> str:
    """The first of some rows and the number of the others: "'Rome' in line 5 and 2 more cells".

    Args:
        rows: Row numbers from 0, at least one.
        place: Maps a row to words, such as 'line 5'.
        text: Maps a row to the cell's text, if it has one.
    """
    more = len(rows) - 1
    first = f"'{text(rows[0])}' in {place(rows[0])}" if text else place(rows[0])
    return first + (f" and {more:,} more" if more else "")


def class_name(value: object) -> str:
    """The name of the class that a target's value stands for: 3.0 is '3'."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are missing, (N,): nan among numbers, None among texts."""
    if values.dtype.kind == "O":
        return np.array([value is None for value in values], bool)
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
