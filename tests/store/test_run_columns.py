"""The table of a study's runs, read without pandas."""

from __future__ import annotations

import math

import pytest

from dnntrain.store.run_columns import RunColumns, read_columns

TABLE = b"arm,seed,val_acc\nNA,1,0.5\n\n010,2,\n1e-3,3,0.75\n"


def test_text_stays_text_and_numbers_have_all_their_digits() -> None:
    runs = read_columns(TABLE, {"seed", "val_acc"})
    assert runs["arm"] == ["NA", "010", "1e-3"] and runs["seed"] == [1, 2, 3]
    assert runs["val_acc"][::2] == [0.5, 0.75] and math.isnan(runs["val_acc"][1])
    assert read_columns(TABLE, {"seed"}, {"seed", "lr"}).columns == ("seed",)
    precise = 0.1 + 0.2
    assert read_columns(f"x\n{precise!r}\n".encode(), {"x"})["x"] == [precise]


def test_rows_are_chosen_and_sorted() -> None:
    runs = read_columns(TABLE, {"seed", "val_acc"})
    assert [*runs.where("arm", "010").rows("seed")] == [(2,)]
    assert [runs.sorted_by("val_acc", descending=high)["seed"] for high in (False, True)] == [[1, 3, 2], [3, 1, 2]]
    assert RunColumns({"a": [math.nan], "b": [0]}).recorded() == ("b",)
    assert runs.frame().dtypes.astype(str).tolist()[1:] == ["int64", "float64"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"a,b\n1,2\n3\n", "row 3 has 1 fields, but the header has 2"),
        (b"a,b\n1,high\n", "column b: 'high' is not a number"),
        (b"a\n\xff\n", "utf-8"),
    ],
)
def test_damage_is_named(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_columns(content, {"b"})
