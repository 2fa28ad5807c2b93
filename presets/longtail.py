"""Data of preset class-imbalance: the embedded Fashion-MNIST with a long tail of rare classes."""

import numpy as np

from dnntrain.data import DataLocation, find_source


def load(most: int = 800, factor: float = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images whose class c of 10 has most · factor^(-c/9) examples, and the whole test part.

    Such a profile is what class-balanced losses are usually measured on (Cui et al. 2019, arXiv:1901.05555).
    """
    mini = find_source("fashion-mini").load(DataLocation())
    counts = (most * factor ** (-np.arange(10) / 9)).astype(int)
    kept = np.concatenate([np.flatnonzero(mini.train_targets == c)[:count] for c, count in enumerate(counts)])
    kept = np.random.default_rng(0).permutation(kept)  # validation is the last part
    names = np.array(mini.classes)
    return mini.train_inputs[kept], names[mini.train_targets[kept]], mini.test_inputs, names[mini.test_targets]
