"""The arms that are without a clear difference from the best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics import best_set
from dnntrain.statistics.distributions import tail_level
from tests.statistics.formulas import moderated
from tests.statistics.tables import STUDY, at_most, by_seed, normal, table

small = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


def named(values: np.ndarray) -> dict[str, dict[int, float]]:
    return {f"arm {i}": by_seed(row) for i, row in enumerate(values)}


def test_the_worked_example() -> None:
    assert best_set(table(STUDY), higher_is_better=True) == ["a", "c"]
    turned = {name: [-value for value in row] for name, row in STUDY.items()}
    assert best_set(table(turned), higher_is_better=False) == ["a", "c"]


def test_an_arm_is_out_where_another_is_better_by_the_formulas() -> None:
    for seed in range(12):
        values = normal(1, 5, (1, 1, 1, 2), effect=2.0, seed=seed)[0]
        inside = []
        for i in range(4):
            gains = np.delete(values, i, 0) - values[i]
            errors = moderated(gains.tolist())
            critical = stats.t.isf(tail_level(3, 5, 0.9) / 2, errors["df"])
            if not (gains.mean(1) > critical * np.array(errors["se"])).any():
                inside.append(f"arm {i}")
        assert best_set(named(values), higher_is_better=True) == inside


def test_two_arms_are_compared_by_a_one_sided_paired_t_test() -> None:
    for seed in range(20):
        values = normal(1, 5, (1, 1), effect=1.5, seed=seed)[0]
        p = stats.ttest_rel(values[1], values[0], alternative="greater").pvalue
        assert best_set(named(values), higher_is_better=True) == (["arm 1"] if p < 0.05 else ["arm 0", "arm 1"])


@settings(deadline=None, max_examples=80)
@given(st.integers(2, 6), st.integers(3, 6), st.booleans(), st.data())
def test_the_best_mean_is_always_in(arms: int, n: int, higher: bool, data: st.DataObject) -> None:
    rows = st.lists(small, min_size=n, max_size=n)
    values = np.array(data.draw(st.lists(rows, min_size=arms, max_size=arms)))
    with np.errstate(all="raise", under="ignore"):
        found = best_set(named(values), higher_is_better=higher)
    means = values.mean(1)
    assert found and f"arm {int(means.argmax() if higher else means.argmin())}" in found


def test_duplicates_and_constant_differences_leave_no_arm_out() -> None:
    row = [1.0, 2.0, 4.0, 3.0]
    alike = {"a": row, "same": row, "more": [x + 1 for x in row]}
    with np.errstate(all="raise"):
        assert best_set(table(alike), higher_is_better=True) == ["a", "same", "more"]
        worse = table({**alike, "worse": [-9.0, -8.5, -5.5, -7.0]})
        assert best_set(worse, higher_is_better=True) == ["a", "same", "more"]
        assert best_set(table({"a": [1.0] * 3, "b": [1.0] * 3}), higher_is_better=True) == ["a", "b"]


def test_only_shared_seeds_count() -> None:
    values = table(STUDY)
    values["a"][7] = 1e6
    assert best_set(values, higher_is_better=True) == ["a", "c"]
    values["b"] = {0: 70.0, 1: 73.0}
    assert best_set(values, higher_is_better=True) is None  # two shared seeds
    assert best_set({"a": values["a"]}, higher_is_better=True) is None
    assert best_set({}, higher_is_better=True) is None
    with pytest.raises(ValueError, match="not finite"):
        best_set({"a": by_seed([1, 2, np.inf]), "b": by_seed([1, 2, 3])}, higher_is_better=True)


@pytest.mark.parametrize("wild", [1.0, 4.0])
def test_the_best_arm_is_in_the_set_in_95_of_100_studies(wild: float) -> None:
    """All equal, the hardest case: any arm may count as the best; here it is the first."""
    values = normal(500, 5, (1, 1, 1, 1, wild), seed=8)
    left_out = np.mean(["arm 0" not in (best_set(named(each), higher_is_better=True) or []) for each in values])
    assert left_out <= at_most(0.05, 500)
