"""How settings are read from text."""

from __future__ import annotations

import pytest

from dnntrain.utils.fields import read_names, write_names


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("name,ticket", ["name", "ticket"]),
        (" name , ticket ", ["name", "ticket"]),
        ('"Length, cm",ticket', ["Length, cm", "ticket"]),
        ('"say ""a, b""", c', ['say "a, b"', "c"]),
        ('a"b', ['a"b']),
        (["Length, cm", 3], ["Length, cm", "3"]),
        (7, ["7"]),
        ("", []),
    ],
)
def test_a_list_of_names_is_read_and_written(value: object, names: list[str]) -> None:
    assert read_names(value) == names
    assert read_names(write_names(names)) == names


@pytest.mark.parametrize("value", ['a,"b', "a,,b", "a\nb", ["a", True], ["a", None], [" "], False])
def test_what_is_no_list_of_names_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"name|not text"):
        read_names(value)
