"""Every argument of every public function: a wrong type is an error that names the argument, never a traceback."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import dnntrain as dt
from dnntrain.api import range_test, training
from dnntrain.config.spec import flat_keys


class Odd:
    def __repr__(self) -> str:
        return "odd"


WRONG = [Odd(), [Odd()], {"a": Odd()}, b"x", object, 3.5, True, np.zeros(3)]
FUNCTIONS = {name: getattr(dt, name) for name in dt.__all__ if inspect.isfunction(getattr(dt, name))}
PARAMETERS = [
    (name, parameter)
    for name, function in FUNCTIONS.items()
    for parameter in inspect.signature(function).parameters.values()
    if parameter.kind is not parameter.VAR_KEYWORD and parameter.annotation != "object"
]


class Trained(Exception):
    """The arguments are right: training would begin."""


def refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise Trained


@pytest.fixture(autouse=True)
def nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "run_with_progress", refuse)
    monkeypatch.setattr(range_test, "run_rates", refuse)
    yield
    assert not [*tmp_path.iterdir()]


def refusal(function: Any, **arguments: Any) -> str:
    """The message of the error, in which flags stand in commands only; empty if training would begin."""
    message = ""
    try:
        function(**arguments)
    except dt.InputError as error:
        message = str(error)
    except Trained:
        pass
    assert "--" not in re.sub("`[^`]*`", "", message)
    return message


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=[f"{name}-{p.name}" for name, p in PARAMETERS])
def test_arguments_of_a_wrong_type_are_named(name: str, parameter: inspect.Parameter) -> None:
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    needed = {p.name: "nowhere" for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    messages = [refusal(FUNCTIONS[name], **needed | {parameter.name: wrong}) for wrong in WRONG]
    named = [message for message in messages if message.startswith(f"{parameter.name} ")]
    assert len(named) >= 5, "at least five of these values fit no parameter"


OPTIONS = [field.name for field in fields(dt.RunOptions) if field.name not in ("out", "workers")]
MEANT_BY_CONTENT = ("data", "net", "act", "classes", "init", "optimizer", "schedule", "loss", "executor_options")
"""Settings whose messages may name what their value means instead."""


@pytest.mark.parametrize("key", [*flat_keys(), *OPTIONS])
def test_settings_of_a_wrong_type_are_named(key: str) -> None:
    for wrong in (*WRONG, (1, 2), float("nan"), 10**400, "\ud800", -1, "", "\0", None):
        message = refusal(dt.train, **{key: wrong})
        assert not message or isinstance(wrong, str) or key in MEANT_BY_CONTENT or key in message


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: dt.report("nowhere", population=True, require="a >= b"), "population: not with require"),
        (lambda: dt.report("nowhere", allow_partial=True), "nowhere: no such folder"),
        (lambda: dt.compare("nowhere"), "arm: needed to read nowhere"),
        (lambda: dt.compare([], arm="model", value="f1"), "tables: none are given"),
        (lambda: dt.report([]), "paths: none are given"),
        (lambda: dt.ablate(arms={"x": 3}), r"arms \{'x': 3\}: must be a dict of settings by name, such as"),
        (lambda: dt.report(metric=3), "metric 3: must be a name, such as val_acc or macro_f1"),
        (lambda: dt.report(require=[3]), r"require \[3\]: must be text or a list of text"),
        (lambda: dt.train(seeds="x"), "seeds: 'x' must be a count"),
        (lambda: dt.train(seeds=[1.5]), r"seeds \[1.5\]: must be a whole number, a list of whole numbers, or text"),
        (lambda: dt.train(workers=True), "workers True: must be a whole number or None"),
        (lambda: dt.train(join=1), "join 1: must be True or False"),
        (lambda: dt.transfer("nowhere"), "source nowhere: neither a run nor a pretrained network"),
        (lambda: dt.lr_find(low="1e-6"), "low '1e-6': must be a number"),
        (lambda: dt.load(np.zeros(40)), "path of type ndarray: must be text or a path"),
    ],
)
def test_messages_are_in_the_terms_of_python(call: Any, said: str) -> None:
    with pytest.raises(dt.InputError, match=said):
        call()


def test_numbers_of_numpy_and_ranges_are_numbers() -> None:
    numbers = {"lr": np.float64(0.1), "hidden": np.array([8, 8]), "epochs": np.int64(2), "seeds": np.int64(3)}
    for settings in (numbers, {"seeds": range(3)}, {"data_dir": Path("nowhere")}):
        with pytest.raises(Trained):
            dt.train(**settings)


def test_missing_and_unknown_arguments_are_pythons_errors() -> None:
    with pytest.raises(TypeError, match=r"load\(\) missing a required argument: 'path'"):
        dt.load()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"report\(\) got an unexpected keyword argument 'metrics'"):
        dt.report(metrics="x")  # type: ignore[call-arg]
