"""Old names of settings: an error in what a user gives, understood in what older versions recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnntrain.config.keys import flag
from dnntrain.config.renamed import NEW_VALUES, RENAMED, to_new_names, to_old_names
from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.errors import InputError
from dnntrain.studies.presets import read_preset
from tests.support.inline import answer

VALUES = [(key, old, new) for key, values in NEW_VALUES.items() for old, new in values.items()]


def test_the_table_names_keys_that_exist() -> None:
    assert RENAMED.keys() <= flat_keys().keys()
    assert not {old for old, _ in RENAMED.values()} & flat_keys().keys()


@pytest.mark.parametrize("new", RENAMED)
def test_an_old_key_is_refused_with_the_new_one(new: str, tmp_path: Path) -> None:
    old = RENAMED[new][0]
    given = answer(["train", flag(old), "1"], tmp_path)
    assert given.code == 2 and given.err.startswith(f"error: {flag(old)}: renamed to {flag(new)}")
    (tmp_path / "p.yaml").write_text("factors: {bn: {bn: on}}\n")
    given = answer(["ablate", "p.yaml", "--plan", "--set", f"{old}=1"], tmp_path)
    assert (given.code, given.err) == (2, f"error: --set {old}: renamed to {new}\n")
    with pytest.raises(InputError, match=f"^p.yaml:2: base: {old}: renamed to {new}$"):
        read_preset(f"factors: {{bn: {{bn: on}}}}\nbase: {{{old}: 1}}\n", "p.yaml")


@pytest.mark.parametrize(("key", "old", "new"), VALUES)
def test_an_old_value_is_refused_with_the_new_one(key: str, old: str, new: str) -> None:
    with pytest.raises(InputError, match=f"^{key} {old}: renamed to {new}$"):
        RunSpec.parse({"data": "photos/" if key == "color" else "fashion-mini", key: old})


def test_recorded_names_go_both_ways() -> None:
    new = {"subset": "shared", "freeze_epochs": 3, "color": "color", "lr": 0.1, "drop_columns": "draw"}
    old = {"draw": "same", "freeze": 3, "colour": "colour", "lr": 0.1, "leave_out": "draw"}
    assert to_old_names(new) == old
    assert to_new_names(old) == to_new_names(new) == new
