"""Which examples each run trains on and which it is validated on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.balance import absent_notes
from dnntrain.data.split import split
from dnntrain.nn.random import generator

Splits = Sequence[tuple[np.ndarray, np.ndarray]]
"""Each member's training and validation examples, as indices."""


def splits_of(dataset: Dataset, specs: Sequence[RunSpec]) -> Splits:
    """Each run's training and validation examples."""
    streams = [generator(0 if spec.subset == "shared" else spec.stream_seed, "split") for spec in specs]
    return [
        split(dataset, s.val, s.train_size, stream, first=s.val_from == "first")
        for s, stream in zip(specs, streams, strict=True)
    ]


def validation_notes(dataset: Dataset, spec: RunSpec) -> list[str]:
    """Notes on the classes that a run's settings leave without training or validation examples.

    There are none where the data have a validation part of their own, which the data set's own notes speak of, or where
    the run trains on a sample, whose size says what to expect.
    """
    if not dataset.classes or dataset.n_validation or spec.train_size is not None:
        return []
    ((train, validation),) = splits_of(dataset, [spec])
    parts = {"training": dataset.train_targets[train], "validation": dataset.train_targets[validation]}
    return [note for note in absent_notes(dataset, parts) if note not in dataset.notes]
