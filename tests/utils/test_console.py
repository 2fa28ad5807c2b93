"""What is printed is what is meant, letter for letter."""

from __future__ import annotations

import pytest

from dnntrain.utils import console


def test_names_between_colons_stay_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.console().print("module:mydata.py:star:n=5 [bold]")
    assert capsys.readouterr().out == "module:mydata.py:star:n=5 [bold]\n"
