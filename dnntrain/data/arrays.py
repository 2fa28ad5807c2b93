"""Arrays of inputs and targets, from a file or a function: what they hold, and the data set made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dnntrain.data.array_inputs import AnyArray, Reading, as_column, as_inputs
from dnntrain.data.array_preprocessing import ArrayPreprocessing
from dnntrain.data.copies import Indices, copy_groups
from dnntrain.data.dataset import Dataset, Targets
from dnntrain.data.image_preprocessing import ImagePreprocessing
from dnntrain.data.levels import bit_depth, check_scales
from dnntrain.data.npz_file import Role
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.data.source import DataLocation
from dnntrain.data.user_data import (
    FEW_VALUES,
    LabelledSource,
    build_dataset,
    chosen_rows,
    read_targets,
    split_rows,
)
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.words import count_noun

Arrays = dict[Role, tuple[str, AnyArray]]
"""Maps roles to names and arrays."""

MANY_VALUES = 1000
"""A target with up to this many distinct whole numbers is classes, if there are twice as many examples."""


class ArraySource(LabelledSource):
    """Arrays of inputs, of any shape, and of targets, one per example."""

    inputs: Reading = hyperparameter(
        "auto", "how arrays of inputs are read: numbers, tokens (indices into an embedding), or as they suggest"
    )

    def reading(self, values: AnyArray, where: str) -> Reading:
        """How inputs, (N, ...), are read; `where` starts error messages."""
        return self.inputs

    def classes_or_numbers(self, column: AnyArray, where: str) -> tuple[Targets, tuple[str, ...]]:
        """Targets, (N,), as class numbers with their names, or as numbers with (); see `read_targets`."""
        few = max(FEW_VALUES, min(MANY_VALUES, len(column) // 2))
        return read_targets(column, self.task, where, few, self.classes)

    def build(
        self, location: DataLocation, arrays: Arrays, where: str, notes: tuple[str, ...] = (), test_share: float = 0
    ) -> Dataset:
        """Build the data set.

        Args:
            location: Where the data are kept.
            arrays: The arrays of each part.
            where: The start of error messages: the file or the function.
            notes: What was left out.
            test_share: The share of the training rows that is held out if there is no test part.

        Raises:
            InputError: The arrays do not fit each other or the options.
        """
        (inputs_key, values), (targets_key, labels), given = concatenate_parts(arrays, where)
        column, target_notes = as_column(labels, targets_key, where)
        targets, classes = self.classes_or_numbers(column, f"{where}: {targets_key}")
        if self.task == "auto" and column.dtype.kind in "iuf" and not self.classes and len(classes) > FEW_VALUES:
            hint = "--task regression predicts the number"
            target_notes += (f"{targets_key}: {len(classes)} different whole numbers, read as classes; {hint}",)
        kept = chosen_rows(self.classes, targets, classes)
        reading = self.reading(values, f"{where}: {inputs_key}")
        inputs, input_notes = as_inputs(values, inputs_key, where, kept, reading)
        parts = split_rows(targets, given, test_share, where, copy_groups(inputs), kept)
        if inputs.dtype.kind == "f" and (gaps := int(np.isnan(inputs[kept]).sum())):
            input_notes += (f"{inputs_key}: {count_noun(gaps, 'value')} missing (nan); replaced by the column's mean",)
        notes = target_notes + notes + input_notes
        dataset = build_dataset(self, location, inputs, targets, classes, parts, notes)
        preprocessing: Preprocessing
        if dataset.is_image:
            preprocessing = ImagePreprocessing(shape=dataset.shape, depth=bit_depth(int(values.max())))
        else:
            preprocessing = ArrayPreprocessing(
                shape=dataset.shape, channels_first=reading == "auto", n_tokens=dataset.n_tokens
            )
        return replace(dataset, preprocessing=preprocessing)


class TypedArraySource(ArraySource):
    """Arrays from Python code, where the type of the targets says what they are: floats are numbers, others classes."""

    def classes_or_numbers(self, column: AnyArray, where: str) -> tuple[Targets, tuple[str, ...]]:
        task = self.task
        if task == "auto":
            task = "regression" if column.dtype.kind == "f" and not self.classes else "classification"
        return read_targets(column, task, where, chosen=self.classes)


def concatenate_parts(arrays: Arrays, where: str) -> tuple[tuple[str, AnyArray], tuple[str, AnyArray], Indices]:
    """Concatenate the parts.

    Returns:
        The keys and values of the inputs, (N, ...); those of the targets, (N, ...); and each row's part, (N,).
    """
    parts = sorted({part for part, _ in arrays})
    result = []
    for kind in (0, 1):
        keys = [arrays[part, kind][0] for part in parts]
        names = ", ".join(keys)
        values = [decode_bytes(arrays[part, kind][1], f"{where}: {names}") for part in parts]
        shapes = [array.shape[1:] if array.ndim else None for array in values]
        if None in shapes or len(set(shapes)) > 1:
            raise InputError(f"{where}: {names}: examples of shapes {', '.join(map(str, shapes))}")
        check_types(values, f"{where}: {names}")
        if kind == 0:
            check_scales(dict(zip(keys, values, strict=True)), where)
        result.append((names, np.concatenate(values) if len(values) > 1 else values[0]))
    counts = [[len(arrays[part, kind][1]) for part in parts] for kind in (0, 1)]
    if counts[0] != counts[1]:
        raise InputError(f"{where}: {counts[0]} inputs, but {counts[1]} targets (in each part)")
    return result[0], result[1], np.repeat(parts, counts[0])


def decode_bytes(values: AnyArray, where: str) -> AnyArray:
    """Decode bytes as UTF-8; other types stay as they are."""
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError:
        raise InputError(f"{where}: text is not UTF-8") from None


def check_types(values: Sequence[AnyArray], where: str) -> None:
    """Raise InputError if the parts mix text and numbers, or integer and float images."""
    if len({array.dtype.kind in "UO" for array in values}) > 1:
        raise InputError(f"{where}: both text and numbers")
    if values[0].ndim > 2 and len({array.dtype.kind == "f" for array in values}) > 1:
        types = ", ".join(str(array.dtype) for array in values)
        raise InputError(f"{where}: {types}; images must be whole numbers in each part, or floats in each part")


def fingerprint(arrays: Mapping[str, AnyArray]) -> str:
    """16 hexadecimal digits of the SHA-256 of the arrays' names, types, shapes, and values, in this order."""
    digest = hashlib.sha256()
    for name, values in arrays.items():
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    return digest.hexdigest()[:16]
