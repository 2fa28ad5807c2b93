"""The command that a study records: what a user would type again, without secrets."""

from __future__ import annotations

import shlex
import sys

import pytest

from dnntrain.utils.command_line import command_line


@pytest.mark.parametrize(
    ("typed", "recorded"),
    [
        ("ablate study.yaml --join -n 5", "ablate study.yaml -n 5"),
        ("ablate s.yaml --executor ray --address 10.0.0.5:6379 -n 5", "ablate s.yaml --executor ray -n 5"),
        ("ablate s.yaml --address=10.0.0.5:6379", "ablate s.yaml"),
        ("ablate s.yaml --track mlflow:https://me:p@ss@host:5000/x", "ablate s.yaml --track 'mlflow:https://…@host:5000/x'"),
        ("ablate s.yaml --set data=me@home.csv", "ablate s.yaml --set data=me@home.csv"),
    ],
)  # fmt: skip
def test_neither_secrets_nor_plumbing_are_recorded(typed: str, recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/dnntrain", *shlex.split(typed)])
    assert command_line() == f"dnntrain {recorded}"
    monkeypatch.setattr(sys, "argv", ["/bin/pytest", *shlex.split(typed)])
    assert command_line() == ""
