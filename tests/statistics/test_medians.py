"""The interval of a median is that of SciPy's quantile test, and only as narrow as the level allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dnntrain.statistics.medians import FEWEST_FOR_MEDIAN, median_interval


@pytest.mark.parametrize("n", [6, 7, 15, 30, 31])
def test_it_is_the_interval_of_the_sign_test(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n).tolist()
    found, expected = median_interval(values), stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert found.mean == np.median(values)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_too_few_values_have_none() -> None:
    assert math.isnan(median_interval([1.0] * (FEWEST_FOR_MEDIAN - 1)).low)
    assert median_interval([1.0] * FEWEST_FOR_MEDIAN).low == 1.0
    assert math.isnan(median_interval([]).mean)
