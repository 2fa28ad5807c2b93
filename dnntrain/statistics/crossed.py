"""The error of a difference over seeds and over test examples, which are crossed: each seed meets each example."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnntrain.statistics.distributions import Array


@dataclass(frozen=True)
class CrossedError:
    """The variance of a mean difference, arm − baseline, in the squared unit of the metric."""

    difference: float
    over_seeds: float
    """With these test examples: what other seeds would change; nan for a single seed."""
    over_examples: float
    """With these seeds' runs as they are: what other test examples would change."""
    over_both: float
    """With other seeds and other examples; nan for a single seed."""
    df: float
    """Degrees of freedom of `over_both` (Satterthwaite 1946)."""

    @property
    def other_test_set(self) -> float:
        """By how much another test set of this size would move the difference of these runs: one standard error.

        This is the ordinary standard error of a mean over examples. `over_examples` less the residual's share would be
        what a test set adds to the error over seeds; as a difference of two estimates it is often zero or less, which
        does not mean that another test set would change nothing.
        """
        return math.sqrt(self.over_examples)


def crossed_error(arm: Array, baseline: Array) -> CrossedError:
    """The variance of arm − baseline when seeds and examples are both random and crossed (Cornfield and Tukey 1956).

    With D the differences, v_both = v_seeds + v_examples − MS_rest / (n N) for n seeds and N examples, where v_seeds is
    the variance of the seeds' means over n, v_examples that of the examples' means over N, and MS_rest the residual
    mean square of the layout seed + example. Either of the two others is at most v_both: where the estimate falls below
    the larger, that one is taken.

    Args:
        arm: [seed, example]: a value of each example whose mean is the metric, such as 1 for a right answer and 0 for a
            wrong one.
        baseline: The same for the baseline, with the same seeds and examples.

    Raises:
        ValueError: If the shapes differ, there are fewer than two examples, or no seed.
    """
    if arm.shape != baseline.shape or arm.ndim != 2 or arm.shape[0] < 1 or arm.shape[1] < 2:
        raise ValueError(
            f"values of shapes {arm.shape} and {baseline.shape}; two equal tables [seed, example] are needed"
        )
    differences = np.asarray(arm, np.float64) - np.asarray(baseline, np.float64)
    seeds, examples = differences.shape
    mean, by_seed, by_example = float(differences.mean()), differences.mean(1), differences.mean(0)
    over_examples = float(by_example.var(ddof=1)) / examples
    if seeds == 1:
        return CrossedError(mean, math.nan, over_examples, math.nan, math.nan)
    over_seeds = float(by_seed.var(ddof=1)) / seeds
    residuals = differences - by_seed[:, None] - by_example + mean
    rest_df = (seeds - 1) * (examples - 1)
    rest = float((residuals**2).sum()) / rest_df / differences.size
    parts = [(over_seeds, seeds - 1), (over_examples, examples - 1), (rest, rest_df)]
    both, df = over_seeds + over_examples - rest, math.nan
    if both < max(over_seeds, over_examples):
        both, df = max(parts[:2])
    elif both > 0:
        df = both**2 / sum(part**2 / part_df for part, part_df in parts)
    return CrossedError(mean, over_seeds, over_examples, both, df)
