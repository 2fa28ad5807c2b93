"""Plug-ins from files: what they add, which runs they are part of, what goes wrong, and what workers run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dnntrain.cli.main import split_plugins
from dnntrain.config.run_id import run_id
from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.executors.jobs import Event, Job, RunsFinished
from dnntrain.executors.local import LocalExecutor
from dnntrain.metrics import METRICS
from dnntrain.studies.presets import load_preset
from dnntrain.techniques import CATALOGUE
from dnntrain.utils.plugins import load_plugin, loaded_plugins, unload
from tests.support.command import dnntrain, error_of, succeeds

ACTIVATION = """
from __future__ import annotations

from dnntrain.techniques.activations import Activation
from dnntrain.utils.lazy import torch


class Halved(Activation):
    name = "halved"
    summary, paper, formula, advice = "Halves its input.", "none", "z / 2", "never"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return z * 0.5
"""
SWITCH = """
from dnntrain.techniques.base import Switch
from dnntrain.utils.fields import hyperparameter


class Rounding(Switch):
    family, name, primary = "Rounding", "rounding", "digits"
    summary = paper = formula = advice = "Rounds nothing."
    digits: int = hyperparameter(3, "decimal places", ge=1)
"""
METRIC = """
from dnntrain.metrics import ExampleMean, predicted_classes


class Missed(ExampleMean):
    name, tasks, label = "missed", ("classification",), "missed"
    higher_is_better, bounds, unit = False, (0.0, 1.0), "%"

    def per_example(self, outputs, targets, info):
        return (predicted_classes(outputs) != targets).astype(float)
"""
SMALL = {"hidden": 4, "epochs": 1, "train_size": 100, "val": 100}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory. What a test loads is unloaded after it."""
    monkeypatch.chdir(tmp_path)
    before = loaded_plugins()
    yield tmp_path
    for plugin in loaded_plugins():
        if plugin not in before:
            unload(plugin)


def written(name: str, text: str) -> Path:
    Path(name).write_text(text)
    return Path(name)


def id_of(**settings: object) -> str:
    return run_id(RunSpec.parse(SMALL | settings), "data", "5")


def test_what_a_file_declares_is_known_at_once_and_replaced_by_a_newer_version() -> None:
    flat_keys()
    load_plugin(written("mine.py", SWITCH))
    assert "rounding" in flat_keys() and RunSpec.parse({"rounding": 4}).settings()["rounding"] == 4
    load_plugin("mine.py")
    load_plugin(written("mine.py", SWITCH.replace('"rounding"', '"trimming"')))
    assert "trimming" in flat_keys() and "rounding" not in flat_keys() | CATALOGUE.keys()
    assert [*CATALOGUE][-1] == "trimming"  # dnntrain's own come first


def test_only_runs_that_use_a_plugin_have_it_in_their_ids() -> None:
    plain, tanh = id_of(), id_of(act="tanh", early_stop=2)
    load_plugin(written("mine.py", ACTIVATION + SWITCH + METRIC))
    assert (plain, tanh) == (id_of(), id_of(act="tanh", early_stop=2))
    used = (
        {"act": "halved"},
        {"rounding": 2},
        {"early_stop": 2, "early_stop_metric": "val_missed"},
        {"select": "best:val_missed"},
    )
    before = [id_of(**settings) for settings in used]
    assert RunSpec.parse(used[0]).references()[0].module == "mine.py"
    load_plugin(written("mine.py", ACTIVATION + SWITCH + METRIC + "# edited\n"))
    after = [id_of(**settings) for settings in used]
    assert plain == id_of() and not {*before} & {*after} and len({*before, *after}) == 8
    Path("elsewhere").mkdir()
    unload(loaded_plugins()[-1])
    load_plugin(written("elsewhere/mine.py", ACTIVATION + SWITCH + METRIC + "# edited\n"))
    assert after == [id_of(**settings) for settings in used]


def test_a_helper_of_a_plugin_is_part_of_it() -> None:
    written("halves.py", ACTIVATION)
    load_plugin(written("mine.py", "import halves\n"))
    before = id_of(act="halved")
    written("halves.py", ACTIVATION.replace("0.5", "0.25"))
    load_plugin("mine.py")
    assert before != id_of(act="halved")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", r"mine\.py:1: no valid Python"),
        ("\nimport nonsense\n", r"plug-in mine\.py: .*No module named 'nonsense' \(.*/mine\.py:2\)"),
        ("x = 1\n", r"plug-in mine\.py: declares no technique"),
        (ACTIVATION.replace("halved", "tanh"), r"two techniques are named 'tanh'.* in dnntrain \(.*mine\.py:8\)"),
        (ACTIVATION.replace("halved", "swish"), r"two techniques are named 'swish'"),
        (METRIC.replace('"missed"', '"acc"', 1), r"two metrics are named 'acc'.* \(.*mine\.py:5\)"),
        (ACTIVATION + "raise SystemExit(3)\n", r"SystemExit: 3 \(.*mine\.py:14\)"),
        (ACTIVATION + "print(1 / 0)\n", r"ZeroDivisionError: division by zero \(.*mine\.py:14\)"),
        ("from dnntrain.executors.registry import register\nfrom dnntrain.executors.local import LocalExecutor\n"
         "@register\nclass Own(LocalExecutor):\n    summary = 'x'\n",
         r"two executors are named 'local'.* in dnntrain \(.*mine\.py:3\)"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_is_named_with_file_and_line_and_leaves_nothing(text: str, message: str) -> None:
    known, metrics = [*CATALOGUE], [*METRICS]
    with pytest.raises(InputError, match=message):
        load_plugin(written("mine.py", text))
    assert ([*CATALOGUE], [*METRICS]) == (known, metrics)


def test_a_key_that_exists_is_refused() -> None:
    load_plugin(written("mine.py", SWITCH.replace('"rounding"', '"epochs"')))
    with pytest.raises(InputError, match=r"plug-in mine\.py: technique epochs: the key epochs exists already"):
        flat_keys()


def test_a_technique_declares_a_whole_card_and_a_name_that_can_be_a_flag() -> None:
    for text, message in (
        (ACTIVATION.replace("summary, paper, formula", "_, paper, formula"), "'halved' has no summary"),
        (ACTIVATION.replace('"halved"', '"Half it!"'), "'Half it!': a name has small letters"),
    ):
        with pytest.raises(InputError, match=message):
            load_plugin(written("half.py", text))
        assert "halved" not in CATALOGUE and "Half it!" not in CATALOGUE


def test_a_link_to_itself_is_refused() -> None:
    Path("loop.py").symlink_to("loop.py")
    with pytest.raises(InputError, match=r"plug-in loop\.py: a symbolic link that leads to itself"):
        load_plugin("loop.py")


def test_two_plugins_with_one_name_are_both_named() -> None:
    load_plugin(written("one.py", ACTIVATION))
    with pytest.raises(InputError, match=r"plug-in two\.py: .*'halved'; the other is in plug-in one\.py"):
        load_plugin(written("two.py", ACTIVATION + "\n"))


def test_a_preset_may_name_plugins_next_to_it() -> None:
    Path("p").mkdir()
    written("p/mine.py", ACTIVATION)
    text = "plugins: [mine.py]\nbase: {hidden: 4}\nfactors: {halved: {act: halved}}\n"
    study = load_preset(str(written("p/own.yaml", text)))
    assert str(study.arms[1].spec.act[0]) == "halved"
    written("p/own.yaml", text.replace("mine.py", "other.py"))
    with pytest.raises(InputError, match=r"own\.yaml:1: plugins: plug-in p/other\.py: no such file"):
        load_preset("p/own.yaml")


def test_the_option_may_stand_anywhere() -> None:
    words = ["--plugin", "a.py", "train", "--plugin=b.py", "--act", "elu", "--", "--plugin", "c.py"]
    assert split_plugins(words) == (["a.py", "b.py"], ["train", "--act", "elu", "--", "--plugin", "c.py"])
    with pytest.raises(InputError, match="--plugin: needs a file"):
        split_plugins(["train", "--plugin"])


def test_a_new_process_runs_the_code_that_a_job_was_made_with() -> None:
    load_plugin(written("mine.py", ACTIVATION))
    spec = RunSpec.parse(SMALL | {"act": "halved"})
    job = Job((spec,), DataLocation())
    written("mine.py", "raise ValueError('edited')\n")
    events: list[Event] = []
    LocalExecutor(1).run([job], events.append)
    [finished] = [event for event in events if isinstance(event, RunsFinished)]
    assert finished.runs[0].spec == spec and finished.runs[0].status == "finished"
    assert pickle.loads(pickle.dumps(job)).specs == (spec,)
    broken = replace(job.plugins[-1].code, files={"mine.py": b"raise ValueError('broken')\n"})  # type: ignore[type-var]
    Path("job").write_bytes(pickle.dumps(replace(job, plugins=(replace(job.plugins[-1], code=broken),))))
    load = "import pickle; import dnntrain.executors.worker; pickle.load(open('job', 'rb'))"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=False)
    assert "PluginError: plug-in mine.py: cannot be loaded: ValueError: broken" in done.stderr


def test_records_keep_a_plugin_and_say_what_they_need() -> None:
    written("mine.py", ACTIVATION + METRIC)
    preset = "base: {hidden: 4, epochs: 1, train_size: 100, val: 100, act: halved}\nfactors: {bn: {bn: on}}\nseeds: 1\n"
    written("own.yaml", f"metric: test_missed\n{preset}")
    shown = succeeds("ablate", "own.yaml", "--workers", 1, process=True, DNNTRAIN_PLUGINS=f"mine.py{os.pathsep}")
    assert "test_missed %" in shown
    [run, other] = [path.parent.name for path in Path("runs/store").glob("[!.]*/run.json")]
    assert "missed" not in METRICS  # this process has not loaded it
    assert "plug-in mine.py, which is not loaded; this is test_acc instead" in " ".join(
        succeeds("report", "runs").split()
    )
    assert run in succeeds("runs", "list", "--study", "own") and "2 of 2 runs are whole" in succeeds("runs", "verify")
    for each in (run, other):
        Path(f"runs/store/{each}/predictions.npz").unlink()
    assert "1 of 1 runs evaluated" in succeeds("runs", "evaluate", run)  # the file here is the recorded one
    unload(loaded_plugins()[-1])
    Path("mine.py").rename("moved.txt")
    for words in (("runs", "evaluate", other), ("transfer", "--from", other, "--epochs", 1)):
        assert "the plug-in mine.py, which is not here; load it with --plugin mine.py, or" in error_of(*words)
    assert "1 of 1 runs evaluated" in succeeds("runs", "evaluate", other, "--trust-code")
    assert dnntrain("techniques", "halved").returncode == 0  # the recorded source is loaded now
