"""Copies: examples with equal inputs stay in one part, and are counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dnntrain.data.balance import with_class_notes
from dnntrain.data.copies import MIN_DISTINCT, boundary_between_copies, copy_groups, copy_notes
from dnntrain.data.dataset import Dataset
from dnntrain.data.split import split
from dnntrain.data.user_data import TEST, TRAIN, VALIDATION, split_rows

ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=12, max_size=60)


@given(ROWS, st.floats(0.05, 0.9), st.floats(0.05, 0.9), st.booleans())
@settings(max_examples=100, deadline=None)
def test_copies_are_in_one_part(rows: list[tuple[int, int]], share: float, val: float, first: bool) -> None:
    values, labels = np.array(rows).T
    inputs = np.stack([values, values % 3], axis=1).astype(np.float64)
    assume(len(set(values)) >= MIN_DISTINCT)
    parts = split_rows(labels, None, max(share, 1 / len(rows)), "here", copy_groups(inputs))
    assert sorted([*parts.train, *parts.test]) == list(range(len(rows)))
    pairs = np.array([f"{value}{label}" for value, label in rows])
    assert not set(pairs[parts.train]) & set(pairs[parts.test])
    assume(len(set(values[parts.train])) > 1)
    x = inputs[parts.train]
    made = Dataset("made", x, labels[parts.train], inputs[parts.test], labels[parts.test], ("a", "b"), "", "")
    fraction = min(max(val, 1 / len(x)), 1 - 1 / len(x))
    training, validation = split(made, fraction, None, np.random.default_rng(0), first=first)
    assert sorted([*training, *validation]) == list(range(len(x)))
    of_train = pairs[parts.train]
    assert not set(of_train[training]) & set(of_train[validation])


def test_without_copies_the_cut_is_as_ever() -> None:
    groups = copy_groups(np.arange(20.0)[:, None])
    assert split_rows(np.arange(20) % 2, None, 0.25, "here", groups).test.tolist() == [14, 7, 8, 1, 2]
    assert not split_rows(np.arange(20) % 2, None, 0.25, "here", groups).notes


@pytest.mark.parametrize(("different", "copies"), [(12, 10), (20, 10), (30, 4)])
def test_groups_of_copies_are_held_out_class_by_class(different: int, copies: int) -> None:
    values = np.random.default_rng(3).permutation(np.repeat(np.arange(different), copies))
    parts = split_rows(values % 2, None, 0.2, "here", copy_groups(values))
    each = round(different * copies / 10 / copies) * copies  # half of a fifth, in whole groups
    assert np.bincount(values[parts.test] % 2).tolist() == [each, each]
    last = values[parts.train[-2 * copies :]]
    assert np.bincount(last % 2).tolist() == [copies, copies]  # so a validation part has both classes too


def test_a_large_group_does_not_keep_the_smaller_ones_out_of_the_test_part() -> None:
    values = np.r_[np.arange(10), np.full(50, 10), np.arange(100, 160)]
    labels = (values >= 100).astype(int)
    assert np.bincount(labels[split_rows(labels, None, 0.1, "here", copy_groups(values)).test]).tolist() == [6, 6]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_a_class_of_one_group_of_copies_is_trained_and_its_absence_noted(share: float) -> None:
    values = np.r_[np.arange(60.0), np.full(40, 99.0)][:, None]
    labels = (values[:, 0] == 99).astype(int)
    parts = split_rows(labels, None, share, "here", copy_groups(values))
    assert np.bincount(labels[parts.train]).tolist() == [60 - round(60 * share), 40]
    train, test = parts.train, parts.test
    made = Dataset("made", values[train], labels[train], values[test], labels[test], ("a", "b"), "", "")
    assert "class 'b' has no test example" in with_class_notes(made).notes


def test_large_groups_leave_neither_part_empty() -> None:
    numbers = np.repeat(np.arange(10.0), 10)
    for share in (0.02, 0.98):
        parts = split_rows(numbers, None, share, "here", copy_groups(numbers))
        assert min(len(parts.train), len(parts.test)) == 10


def test_copies_in_given_parts_are_left_out_of_the_earlier_part() -> None:
    inputs = np.array([0, 1, 2, 2, 3, 4, 1, 4, 0, 5, 6, 7, 8, 9])
    given = np.array([TRAIN] * 5 + [VALIDATION] * 2 + [TEST] * 7)
    labels = np.array([0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1])
    parts = split_rows(labels, given, 0.5, "here", copy_groups(inputs))
    assert sorted(parts.train[:-1]) == [0, 2, 3, 4] and parts.train[-1] == 6 and parts.n_validation == 1
    assert parts.test.tolist() == list(range(7, 14))
    assert parts.notes == (
        "2 rows left out of training or validation, with the same inputs as rows of a later part",
        "1 row is an exact copy of another; copies are kept in the same part",
        "2 rows have equal inputs but different labels",
    )


def test_very_few_different_inputs_are_in_every_part() -> None:
    inputs, labels = np.arange(40) % 3, np.arange(40) % 2
    parts = split_rows(labels, None, 0.25, "here", copy_groups(inputs))
    assert parts.test.tolist() == split_rows(labels, None, 0.25, "here").test.tolist()
    assert parts.notes[0].endswith("with only 3 different inputs, copies are in training and test")


def test_copies_and_disagreements_are_counted() -> None:
    others = [[number, number] for number in range(3, 12)]
    inputs = np.array([[0.0, np.nan], [-0.0, np.nan], [0.0, np.nan], [1, 1], [1, 1], [2, 2], *others])
    groups = copy_groups(inputs)
    assert groups.tolist() == [0, 0, 0, 3, 3, *range(5, 15)]
    none = np.zeros(len(inputs), bool)
    assert copy_notes(groups, np.array([0, 1, 1] + [0] * 12), none) == (
        "2 rows are exact copies of others; copies are kept in the same part",
        "3 rows have equal inputs but different labels",
    )
    numbers = copy_notes(groups, np.array([0.5, 1.5, 2.5] + [1.0] * 12), none)
    assert numbers[1] == "3 rows have equal inputs but different targets"


@pytest.mark.parametrize(
    ("values", "boundary", "expected"),
    [([1, 2, 3], 1, 1), ([1, 1, 1, 2], 2, 3), ([1, 2, 2, 2, 2, 3], 2, 1), ([1, 1, 1], 1, 1), ([1, 2], 0, 0)],
)
def test_a_boundary_moves_to_the_nearest_end_of_copies(values: list[int], boundary: int, expected: int) -> None:
    assert boundary_between_copies(np.array(values), np.zeros(len(values)), boundary) == expected
    assert boundary_between_copies(np.array(values), np.arange(len(values)), boundary) == boundary


def test_equal_inputs_with_other_targets_are_no_copies() -> None:
    groups = copy_groups(np.arange(60) % 15)
    numbers = np.linspace(0, 1, 60)
    parts = split_rows(numbers, None, 0.25, "here", groups)
    assert parts.test.tolist() == split_rows(numbers, None, 0.25, "here").test.tolist()
    assert parts.notes == ("60 rows have equal inputs but different targets",)
