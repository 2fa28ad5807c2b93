"""Class counts, and notes on rare classes and on a majority class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dnntrain.data.dataset import Dataset, Targets, escape_unprintable, join_names

MIN_CLASS_EXAMPLES = 3
"""A class with fewer examples than this cannot be in all three parts."""
MAJORITY_MARGIN = 0.1
"""A majority class gets a note if its share exceeds an equal share by more than this."""


def class_counts(targets: Targets, classes: tuple[str, ...]) -> dict[str, int]:
    """Count the targets, (N,), of each class."""
    counts = np.bincount(targets.astype(np.int64), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def majority(dataset: Dataset) -> tuple[str, float]:
    """The most frequent training class, and its share of the test examples (the accuracy of predicting it always)."""
    train = class_counts(dataset.train_targets, dataset.classes)
    name = max(train, key=train.__getitem__)
    return name, class_counts(dataset.test_targets, dataset.classes)[name] / len(dataset.test_targets)


def absent_notes(dataset: Dataset, parts: Mapping[str, Targets]) -> list[str]:
    """Notes on classes without an example in a part; `parts` maps names such as 'validation' to targets (N,)."""
    notes = []
    for part, targets in parts.items():
        if names := [name for name, count in class_counts(targets, dataset.classes).items() if not count]:
            which = f"class '{names[0]}' has" if len(names) == 1 else f"{len(names):,} classes have"
            named = f": {join_names(names)}" if len(names) > 1 else ""
            notes.append(escape_unprintable(f"{which} no {part} example{named}"))
    return notes


def with_class_notes(dataset: Dataset) -> Dataset:
    """Add notes on rare classes, classes missing from a part, and a majority class, which a constant would predict."""
    if not dataset.classes:
        return dataset
    everything = class_counts(np.concatenate([dataset.train_targets, dataset.test_targets]), dataset.classes)
    rare = [f"{name} ({count})" for name, count in everything.items() if count < MIN_CLASS_EXAMPLES]
    notes = [f"classes with fewer than {MIN_CLASS_EXAMPLES} examples: {join_names(rare)}"] if rare else []
    train, n_train = dataset.train_targets, len(dataset.train_targets) - dataset.n_validation
    parts = {"training": train[:n_train], "validation": train[n_train:], "test": dataset.test_targets}
    notes += absent_notes(dataset, {part: targets for part, targets in parts.items() if len(targets)})
    name, share = majority(dataset)
    if share > 1 / len(dataset.classes) + MAJORITY_MARGIN:
        notes.append(f"always answering '{name}' would be right for {100 * share:.1f} % of the test examples")
    return replace(dataset, notes=(*dataset.notes, *notes))
