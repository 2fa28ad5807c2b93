"""How many examples each class has, and what is said where some have few or one has many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dnntrain.data.dataset import Dataset, Targets, listed

RARE = 3
"""Examples of a class below which it can not be in each of the three parts."""
UNEVEN = 0.1
"""How much the share of the largest class exceeds an equal share where classes are called uneven."""


def class_counts(targets: Targets, classes: tuple[str, ...]) -> dict[str, int]:
    """How many of the targets, (N,), are of each class."""
    counts = np.bincount(targets.astype(np.int64), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def majority(dataset: Dataset) -> tuple[str, float]:
    """The class that most training examples have, and its share of the test examples: what a constant answer gets."""
    train = class_counts(dataset.train_targets, dataset.classes)
    name = max(train, key=train.__getitem__)
    return name, class_counts(dataset.test_targets, dataset.classes)[name] / len(dataset.test_targets)


def with_class_notes(dataset: Dataset) -> Dataset:
    """The data set with notes on rare classes, and on a majority class that makes a constant answer look good."""
    if not dataset.classes:
        return dataset
    everything = class_counts(np.concatenate([dataset.train_targets, dataset.test_targets]), dataset.classes)
    rare = [f"{name} ({count})" for name, count in everything.items() if count < RARE]
    notes = [f"classes with fewer than {RARE} examples: {listed(rare)}"] if rare else []
    name, share = majority(dataset)
    if share > 1 / len(dataset.classes) + UNEVEN:
        notes.append(f"always answering '{name}' would be right for {100 * share:.1f} % of the test examples")
    return replace(dataset, notes=(*dataset.notes, *notes))
