"""How many examples each class has, and notes on rare classes and on a large majority class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dnntrain.data.dataset import Dataset, Targets, join_names, on_one_line

RARE = 3
"""Fewest examples of a class that can be in each of the three parts."""
UNEVEN = 0.1
"""Classes are uneven if the share of the largest exceeds an equal share by more than this."""


def class_counts(targets: Targets, classes: tuple[str, ...]) -> dict[str, int]:
    """How many of the targets, (N,), are of each class."""
    counts = np.bincount(targets.astype(np.int64), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def majority(dataset: Dataset) -> tuple[str, float]:
    """The most frequent class in training, and its share of the test examples: the accuracy of a constant answer."""
    train = class_counts(dataset.train_targets, dataset.classes)
    name = max(train, key=train.__getitem__)
    return name, class_counts(dataset.test_targets, dataset.classes)[name] / len(dataset.test_targets)


def absent_notes(dataset: Dataset, parts: Mapping[str, Targets]) -> list[str]:
    """Notes on the classes of which a part, such as 'validation', has no example in its targets (N,)."""
    notes = []
    for part, targets in parts.items():
        if names := [name for name, count in class_counts(targets, dataset.classes).items() if not count]:
            which = f"class '{names[0]}' has" if len(names) == 1 else f"{len(names):,} classes have"
            named = f": {join_names(names)}" if len(names) > 1 else ""
            notes.append(on_one_line(f"{which} no {part} example{named}"))
    return notes


def with_class_notes(dataset: Dataset) -> Dataset:
    """The data set with notes on classes that are rare or that a part lacks, and on a majority class.

    With a majority class, a constant answer looks good.
    """
    if not dataset.classes:
        return dataset
    everything = class_counts(np.concatenate([dataset.train_targets, dataset.test_targets]), dataset.classes)
    rare = [f"{name} ({count})" for name, count in everything.items() if count < RARE]
    notes = [f"classes with fewer than {RARE} examples: {join_names(rare)}"] if rare else []
    train, n_train = dataset.train_targets, len(dataset.train_targets) - dataset.n_validation
    parts = {"training": train[:n_train], "validation": train[n_train:], "test": dataset.test_targets}
    notes += absent_notes(dataset, {part: targets for part, targets in parts.items() if len(targets)})
    name, share = majority(dataset)
    if share > 1 / len(dataset.classes) + UNEVEN:
        notes.append(f"always answering '{name}' would be right for {100 * share:.1f} % of the test examples")
    return replace(dataset, notes=(*dataset.notes, *notes))
