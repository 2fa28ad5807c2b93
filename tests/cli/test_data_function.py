"""`--data module:FILE.py:NAME` through the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import error_of, succeeds

CODE = """
from pathlib import Path

import numpy as np

print("a message of their own")


def load(n=120):
    with Path("calls").open("a") as file:
        file.write("x")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + 60, 2, 3)).astype(np.float32)
    y = np.where(x[:, 0, 0] > 0, "up", "down")
    return x[:n], y[:n], x[n:], y[n:]


def tokens():
    x = np.arange(400).reshape(100, 4)
    return x[:80], x[:80, 0] % 3, x[80:], x[80:, 0] % 3


def stop():
    raise ValueError("no such measurement")
"""
BRIEF = ("--hidden", "8", "--epochs", "2", "--data-dir", "home")
DATA = ("--data", "module:mydata.py:load")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mydata.py").write_text(CODE)
    return tmp_path


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text())


def records(folder: Path) -> dict[str, dict[str, object]]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("runs/store/*/run.json")}


def test_a_function_is_called_once_for_its_code_and_runs_are_kept(folder: Path) -> None:
    shown = succeeds("train", *DATA, *BRIEF, cwd=folder, process=True)
    assert "accuracy" in shown and "a message" not in shown  # results only
    [(first, record)] = records(folder).items()
    assert record["settings"]["data"] == "module:mydata.py:load"  # type: ignore[index]
    data = record["data"]
    assert (data["name"], data["shape"], data["classes"]) == ("mydata.py:load", [2, 3], ["down", "up"])  # type: ignore[index]

    succeeds("train", *DATA, *BRIEF, "--seeds", "3", "--workers", "2", cwd=folder, process=True)  # workers share it
    assert calls(folder) == 1 and len(records(folder)) == 3
    listed = succeeds("runs", "list", "--all", cwd=folder)
    assert first in listed
    report = succeeds("report", "runs", cwd=folder)
    assert "mydata.py:load (120 training and 60 test examples)" in report.replace("\n", " ")
    assert calls(folder) == 1

    (folder / "mydata.py").write_text(CODE + "# edited\n")
    succeeds("train", *DATA, *BRIEF, "--yes", cwd=folder)  # one seed instead of three
    assert calls(folder) == 2 and len(records(folder)) == 3  # the same contents: the run is known

    (folder / "mydata.py").write_text(CODE.replace("default_rng(0)", "default_rng(1)"))
    succeeds("train", *DATA, *BRIEF, cwd=folder)
    assert calls(folder) == 3 and len(records(folder)) == 4
    succeeds("train", *DATA, *BRIEF, "--reload-data", cwd=folder)
    assert calls(folder) == 4 and len(records(folder)) == 4


def test_the_path_is_not_part_of_a_run(folder: Path) -> None:
    """Neither are the arguments: the contents say all."""
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "other.py").write_text(CODE.replace("def load(n=120)", "def other(n=9)"))
    for given in ("module:mydata.py:load", "module:elsewhere/other.py:other:n=120"):
        succeeds("train", "--data", given, *BRIEF, cwd=folder)
    assert calls(folder) == 2 and len(records(folder)) == 1


def test_a_preset_names_a_file_beside_it(folder: Path) -> None:
    (folder / "study").mkdir()
    (folder / "mydata.py").rename(folder / "study" / "mydata.py")
    (folder / "study" / "own.yaml").write_text(
        "base: {data: 'module:mydata.py:load', hidden: 8, epochs: 2}\nfactors: {elu: {act: elu}}\nseeds: 2\n"
    )
    succeeds("ablate", "study/own.yaml", "--plan", "--data-dir", "home", cwd=folder)
    assert "elu" in succeeds("ablate", "study/own.yaml", "--data-dir", "home", cwd=folder)
    assert calls(folder) == 1 and len(records(folder)) == 4


def test_the_card_of_a_function(folder: Path) -> None:
    shown = succeeds("data", "info", "module:mydata.py:load:n=90", "--data-dir", "home", cwd=folder)
    assert "90 training, 60 test" in shown and "2 × 3 (6 inputs)" in shown and "up" in shown
    shown = succeeds("data", "info", "module:mydata.py:tokens", "--data-dir", "home", cwd=folder)
    assert "tokens from 0 to 399" in shown
    cached = succeeds("data", "cache", "--data-dir", "home", "--clear", cwd=folder)
    assert cached.count("called") == cached.count("decoded") == 2 and not (folder / "home" / "called").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "module:mydata.py:laod"), "'load'"),
        (("--data", "module:mydata.py"), "names no callable"),
        (("--data", "module:mydta.py:load"), "mydta.py"),
        (("--data", "module:mydata.py:load:m=3"), "has no parameter 'm'"),
        (("--data", "module:mydata.py:stop"), "ValueError: no such measurement"),
        (("--data", "module:mydata.py:tokens"), "net mlp: takes numbers, but the inputs are tokens"),
        (("--data", "module:mydata.py:tokens", "--scale", "standard"), "scale standard: the inputs are tokens"),
        (("--data", "module:mydata.py:load", "--classes", "up,dwon"), "did you mean 'down'"),
        (("--data", "module:mydata.py:load", "--test", "0.3"), "test is for npz, table, folder, not for data set"),
        (("--reload-data",), "this study's data do not come from a function"),
    ],
)
def test_bad_input_is_one_message(words: tuple[str, ...], message: str, folder: Path) -> None:
    assert message in error_of("train", *words, *BRIEF, cwd=folder)
    assert not (folder / "runs").exists()
