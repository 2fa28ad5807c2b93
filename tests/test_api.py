"""The Python API, as scripts and notebooks use it: what it returns, and what it leaves alone."""

from __future__ import annotations

import ast
import importlib
import io
import os
import pkgutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dnntrain as dt
from dnntrain.executors import registry
from dnntrain.studies import build
from dnntrain.studies.study import Study
from tests.support.command import environment
from tests.support.inline import inline

SMALL: dict[str, Any] = {"hidden": "8", "epochs": 2, "train_size": 60, "val": 60}


@pytest.fixture(autouse=True)
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process, unless a test starts a process of its own."""
    monkeypatch.setattr(registry, "EXECUTORS", registry.EXECUTORS)
    for name, executor in registry.EXECUTORS.items():
        monkeypatch.setitem(registry.EXECUTORS, name, inline(executor))


def ablation(folder: Path, **more: Any) -> dt.StudyResult:
    return dt.ablate(arms={"elu": {"act": "elu"}, "bn": {"bn": True}}, seeds=3, out=folder, **SMALL | more)


def test_an_ablation_returns_runs_history_summary_and_verdicts(tmp_path: Path) -> None:
    made = ablation(tmp_path, base={"lr": 0.1})
    assert made.runs["arm"].unique().tolist() == ["base", "elu", "bn"]
    assert made.runs["seed"].tolist() == [0, 1, 2] * 3
    assert len(made.history) == 18 and {"arm", "epoch", "val_acc"} <= {*made.history.columns}
    assert made.metric == "test_acc" and made.folder.parent == tmp_path
    assert made.verdicts.keys() == {"elu", "bn"}
    text = str(made.summary)
    assert text.split()[0] == "arm"
    assert "<table>" in made.summary._repr_html_() and "base" in text and "\x1b" not in text
    assert made.summary.frame["mean"].tolist() == made.runs.groupby("arm", sort=False)["test_acc"].mean().tolist()
    record = next(iter(made.records.values()))
    assert record.settings["lr"] == 0.1


def test_keywords_are_the_settings_of_a_preset_as_with_set(tmp_path: Path) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_text("base: {hidden: 8, train_size: 60, val: 60}\nfactors: {elu: {act: elu}}\nseeds: 2\n")
    made = dt.ablate(preset, seeds=1, epochs=1, metric="test_acc", out=tmp_path)
    assert made.name == "p,epochs=1" and made.metric == "test_acc"
    assert made.runs["epochs_run"].tolist() == [1, 1]


def test_factors_make_a_one_in_design(tmp_path: Path) -> None:
    made = dt.ablate(factors={"elu": {"act": "elu"}}, seeds=1, name="mine", out=tmp_path, **SMALL)
    assert made.name == "mine" and made.runs["arm"].tolist() == ["baseline", "elu"]


def test_factors_may_be_values_of_a_setting_in_any_design(tmp_path: Path) -> None:
    factors = {"lr": (0.1, 0.2), "norm": {"none": {}, "batch": {"bn": True}}}
    made = dt.ablate(factors=factors, design="factorial", seeds=1, out=tmp_path, **SMALL)
    assert made.runs["arm"].tolist() == ["lr=0.1+none", "lr=0.1+batch", "lr=0.2+none", "lr=0.2+batch"]
    assert made.runs["lr"].tolist() == [0.1, 0.1, 0.2, 0.2]


def test_recorded_studies_are_loaded_and_reported(tmp_path: Path) -> None:
    made = ablation(tmp_path)
    loaded = dt.load(made.folder)
    pd.testing.assert_frame_equal(loaded.runs, made.runs)
    assert str(loaded.summary) == str(made.summary)
    reported = dt.report(tmp_path, metric="test_acc", sort="mean", require=["elu >= bn - 100pp"])
    assert [study.metric for study in reported.studies] == ["test_acc"]
    assert [gate.answer.name for gate in reported.gates] == ["HOLDS"]
    assert len(pd.read_csv(io.StringIO(reported.to_csv()))) == 3


def test_a_trained_run_is_transferred(tmp_path: Path) -> None:
    source = dt.train(classes="0,1,2", out=tmp_path, **SMALL)
    made = dt.transfer(source, classes="sandal,shirt", seeds=1, out=tmp_path, train_size=40, val=60, epochs=2)
    assert made.runs["arm"].tolist() == ["scratch", "transfer"] and made.metric == "test_acc"
    base = source.runs["run"][0]
    for typed, named in ((source.folder, f"{source.folder} (run {base})"), (base, base)):
        study = build.transfer_study(str(typed), {}, build.TransferDesign(), out=tmp_path)
        assert study.question == f"What does reusing {named} gain?"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dt.train(hiden="8"), "unknown setting 'hiden'; did you mean 'hidden'?"),
        (lambda: dt.train(lr=0), "lr '0': must be greater than 0"),
        (lambda: dt.train(device="gpu"), "unknown device 'gpu'; did you mean 'cuda' or 'mps'?"),
        (lambda: dt.train(predictions="no"), "predictions 'no': must be True or False"),
        (lambda: dt.train(workers=0), "workers 0: must be a whole number from 1 to 1024"),
        (lambda: dt.ablate(), "give one of preset, arms and factors"),
        (lambda: dt.ablate("vanishing", arms={"a": {}}), "give one of preset, arms and factors"),
        (lambda: dt.ablate("vanishin"), "no preset 'vanishin'; did you mean 'vanishing'?"),
        (lambda: dt.ablate("vanishing", base={"lr": 1}), "base: the preset has its own"),
        (lambda: dt.ablate("vanishing", lr=-1), "settings: lr '-1': must be greater than 0"),
        (lambda: dt.ablate(arms={}), "arms: must be settings by name"),
        (lambda: dt.ablate(arms={"base": {}}), "arms: 'base' is the arm without changes"),
        (
            lambda: dt.ablate(arms={"a": {"act": "eluu"}}),
            "ablate(): arms.a: unknown activation 'eluu'; did you mean 'elu'?",
        ),
        (lambda: dt.ablate(factors={"a": {"acts": "elu"}}), "ablate(): factors.a: unknown key 'acts'"),
        (lambda: dt.ablate(arms={"a": {}}, base={"lr": 1}, lr=2), "lr: given both in base and as a keyword"),
        (lambda: dt.ablate(arms={"a": {}}, metric="ac"), "ablate(): metric: unknown metric 'ac'"),
        (lambda: dt.ablate(arms={"a": {}}, design="list"), "design list: says how factors make arms"),
        (lambda: dt.ablate(arms={"a": {"classes": "0,1"}}), "ablate(): arms.a: classes differs from the baseline"),
        (lambda: dt.ablate("vanishing", varies=["act"]), "varies: the preset has its own"),
        (lambda: dt.transfer("nowhere"), "nowhere"),
        (lambda: dt.load("nowhere"), "nowhere"),
        (lambda: dt.report("nowhere"), "nowhere: no such folder"),
        (lambda: dt.report(".", metric=["acc"]), "metric ['acc']: must be a name, such as val_acc or macro_f1"),
        (lambda: dt.report(sort="x"), "unknown sort 'x'"),
    ],
)
def test_wrong_values_raise_input_error(
    call: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dt.InputError) as caught:
        call()
    assert message in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_nothing_is_printed_and_the_process_stays_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ablation(tmp_path)
    assert (dict(os.environ), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_on_stderr_where_it_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dt.train(out=tmp_path, progress=True, **SMALL)
    out, err = capfd.readouterr()
    assert not out and "validation accuracy" in err


def test_a_callback_follows_a_study(tmp_path: Path) -> None:
    class Follower(dt.StudyCallback):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def start(self, study: Study, recorded: Any, names: Any) -> None:
            self.seen.append("start")

        def progress(self, event: Any) -> None:
            self.seen.append("epoch")

        def stop(self) -> None:
            self.seen.append("stop")

    follower = Follower()
    dt.train(out=tmp_path, progress=follower, **SMALL)
    assert follower.seen == ["start", "epoch", "epoch", "stop"]


def test_a_setting_without_effect_raises_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="constant in effect"):
        dt.train(schedule="step:every=9ep", out=tmp_path, **SMALL)


def test_no_module_hides_a_public_function(tmp_path: Path) -> None:
    for module in pkgutil.walk_packages(dt.__path__, "dnntrain."):
        if module.name != "dnntrain.__main__":
            importlib.import_module(module.name)
    for _ in range(2):
        run = dt.train(out=tmp_path, **SMALL)
        dt.ablate(factors={"elu": {"act": "elu"}}, seeds=1, out=tmp_path, **SMALL)
        dt.transfer(run, out=tmp_path, seeds=1, scratch=False, epochs=2)
        assert dt.report(tmp_path).studies and dt.load(run.folder).name == run.name


def test_public_names_are_listed_and_unknown_ones_are_errors() -> None:
    assert {*dt.__all__} <= {*dir(dt)}
    imports = ast.walk(ast.parse(Path(dt.__file__).read_text()))
    for_type_checkers = [name.asname for node in imports if isinstance(node, ast.ImportFrom) for name in node.names]
    assert sorted(name for name in for_type_checkers if name and not name.startswith("_")) == dt.__all__
    for name in dt.__all__:
        assert getattr(dt, name).__doc__
    with pytest.raises(AttributeError, match="tarin"):
        dt.tarin  # type: ignore[attr-defined]  # noqa: B018


# In processes of their own


def script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python script to its end."""
    path = folder / "script.py"
    path.write_text(text)
    command = [sys.executable, str(path)]
    env = environment(PYTHONPATH=str(Path(__file__).parents[1]))
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_import_is_quick(tmp_path: Path) -> None:
    timed = "import time\nstart = time.process_time()\nimport dnntrain\nprint(time.process_time() - start)\n"
    loaded = "import sys\nassert not {'torch', 'numpy', 'pandas', 'pydantic', 'rich'} & {*sys.modules}\n"
    assert min(float(script(timed + loaded, tmp_path).stdout) for _ in range(3)) < 0.1


SCRIPT = """
import os, signal
import dnntrain as dt
state = dict(os.environ), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
s = dt.ablate("vanishing", seeds=2, epochs=1, hidden="2x16", train_size=200, val=200)
print(s.summary)
assert state == (dict(os.environ), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
"""


def test_a_script_without_a_main_guard_prints_only_the_table(tmp_path: Path) -> None:
    done = script(SCRIPT, tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    table = str(dt.report(tmp_path / "runs").studies[0].summary)
    assert done.stdout == f"{table}\n"


def test_a_notebook_prints_the_table(tmp_path: Path) -> None:
    pytest.importorskip("ipykernel")
    client = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cell = nbformat.v4.new_code_cell(SCRIPT)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    client.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, timeout=300).execute()
    printed = [output["text"] for output in cell.outputs if output.get("name") == "stdout"]
    assert "".join(printed).rstrip("\n") == str(dt.report(tmp_path / "runs").studies[0].summary)


@pytest.mark.parametrize("settings", [{"seed": 3}, {"draw": "seed"}, {"progress": "yes"}], ids=lambda s: next(iter(s)))
def test_arguments_that_would_be_ignored_or_fail_later_are_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(dt.InputError, match=r"give seeds|renamed to subset|must be 'auto'"):
        dt.train(out=tmp_path / "runs", hidden="4", **settings)
    assert not (tmp_path / "runs").exists()


OWN_CODE = """
import functools
import numpy as np
import torch
import dnntrain as dt

SIZE = 4

class Net(torch.nn.Module):
    def __init__(self, n_outputs, width=4):
        super().__init__()
        self.first, self.last = torch.nn.Linear(SIZE, width), torch.nn.Linear(width, n_outputs)
        self.act = torch.nn.ReLU()

    def forward(self, x):
        return self.last(self.act(self.first(x)))

def load(classes=2):
    rng = np.random.default_rng(0)
    y = np.arange(90) % classes
    x = rng.normal(size=(90, SIZE)).astype(np.float32) + y[:, None]
    return x[:60], y[:60], x[60:], y[60:]

settings = {"data": load, "epochs": 2, "val": 20, "batch_size": 8, "lr": 0.1}
study = dt.ablate(net=Net, arms={"wide": {"net": functools.partial(Net, width=8)}, "elu": {"act": "elu"}}, seeds=1,
                  **settings)
run = dt.train(net=Net, **settings | {"data": functools.partial(load, classes=3)})
for record in [*study.records.values(), *run.records.values()]:
    print(record.status, len(record.data.classes), record.settings["act"], record.settings["net"])
"""


@pytest.mark.extras  # takes long; test_user_code.py has a worker that runs code that the job carries
def test_a_script_sends_its_own_classes_and_functions(tmp_path: Path) -> None:
    done = script(OWN_CODE, tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    status, classes, acts, nets = zip(*(line.split(" ", 3) for line in done.stdout.splitlines()), strict=True)
    assert {*status} == {"finished"} and classes == ("2", "2", "2", "3")
    assert acts.count("elu") == 1 and [net.endswith(":Net:width=8") for net in nets].count(True) == 1
    assert all(":Net" in net and net.startswith("module:__main__@") for net in nets)
