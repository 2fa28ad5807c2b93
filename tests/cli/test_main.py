"""The command line on the embedded data: results, exit codes, streams, interrupts."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dnntrain as dnntrain_package
from dnntrain.techniques import CATALOGUE
from tests.support.command import QUICK, dnntrain, environment, error_of, succeeds

PRESET = """
name: small
question: Does the test work?
base: {hidden: 3x16, train_size: 300, val: 300, epochs: 2, lr: 1e-1}
factors:
  elu: {act: elu}
  clipped: {clipnorm: 1e-1}
  too fast: {lr: 1e6, act: selu}
seeds: 2
"""


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(PRESET)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def without_times(path: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows(path)]


def test_train_prints_loss_accuracy_health_and_record(tmp_path: Path) -> None:
    printed = succeeds("train", "--act", "elu", "--bn", "--clipnorm", 1, *QUICK, cwd=tmp_path)
    for word in ("loss", "accuracy", "health:", "record:"):
        assert word in printed
    folder, run = printed.split("record:")[1].strip().removesuffix(")").split(" (run ")
    assert (tmp_path / folder / "study.json").exists()
    record = tmp_path / "runs" / "store" / run
    stored = json.loads((record / "run.json").read_text())
    assert stored["settings"]["act"] == "elu"
    assert stored["settings"]["clipnorm"] == 1
    assert stored["data"]["train_examples"] == 10_000
    assert stored["environment"]["torch"]
    assert (record / "weights.safetensors").stat().st_size > 784 * 16 * 4


def test_the_version_stands_in_one_place() -> None:
    assert succeeds("--version", process=True) == f"dnntrain {dnntrain_package.__version__}\n"


def test_train_prints_its_record_as_json(tmp_path: Path) -> None:
    [record] = json.loads(succeeds("train", *QUICK, "--json", cwd=tmp_path))
    assert record["status"] == "finished"
    assert [row["epoch"] for row in record["history"]] == [1, 2]
    assert record["results"]["val_acc"] == record["history"][record["best_epoch"] - 1]["val_acc"]


def test_a_run_is_the_same_alone_among_seeds_and_with_any_number_of_workers(tmp_path: Path) -> None:
    def weights(out: str, *more: object, process: bool = False) -> dict[str, bytes]:
        words = ("train", *QUICK, "--dropout", 0.2, "--json", "--out", out, *more)
        records = json.loads(succeeds(*words, cwd=tmp_path, process=process))
        stored = {r["settings"]["seed"]: tmp_path / out / "store" / r["run"] / "weights.safetensors" for r in records}
        return {str(seed): path.read_bytes() for seed, path in stored.items()}

    alone = weights("a", "--seeds", "2-2")
    many = weights("b", "--seeds", 5, "--workers", 1)
    spread = weights("c", "--seeds", 5, "--workers", 3, process=True)
    assert many == spread
    assert alone["2"] == many["2"]


def test_ablate_records_every_run_and_trains_only_what_is_missing(preset: Path, tmp_path: Path) -> None:
    printed = succeeds("ablate", preset, cwd=tmp_path)
    assert "Does the test work?" in printed
    folder = tmp_path / "runs" / "small"
    results = rows(folder / "results.csv")
    assert [(row["arm"], row["seed"]) for row in results[:3]] == [("baseline", "0"), ("baseline", "1"), ("elu", "0")]
    assert len(results) == 8
    diverged = [row for row in results if row["arm"] == "too fast"]
    assert {row["status"] for row in diverged} == {"diverged"}
    assert all("exploding" in row["health"] and not row["test_acc"] for row in diverged)
    assert {row["status"] for row in results if row["arm"] != "too fast"} == {"finished"}
    assert (folder / "preset.yaml").read_text() == PRESET
    history = rows(folder / "history.csv")
    assert len([row for row in history if row["arm"] == "elu"]) == 4
    assert len(history[0]["grad_norm"].split()) == 4
    assert {row["lr"] for row in history if row["arm"] == "elu"} == {"0.1"}
    assert history[0]["weights"] == "1 2 3 output" and history[0]["activations"] == "1 2 3"

    before = (folder / "results.csv").read_bytes()
    again = dnntrain("ablate", preset, cwd=tmp_path)
    assert "8 of 8 runs are recorded already" in again.stderr
    assert (folder / "results.csv").read_bytes() == before

    more = dnntrain("ablate", preset, "--seeds", 3, "--workers", 1, cwd=tmp_path)
    assert "8 of 12 runs are recorded already" in more.stderr
    first_seeds = [row for row in without_times(folder / "results.csv") if row["seed"] != "2"]
    assert first_seeds == [{k: v for k, v in row.items() if k != "seconds"} for row in results]


def test_ablate_plans_without_training(preset: Path, tmp_path: Path) -> None:
    printed = succeeds("ablate", preset, "--plan", "--set", "bn=on", cwd=tmp_path)
    assert "4 arms × 2 seeds = 8 runs" in printed
    assert "bn=on" in printed
    assert not (tmp_path / "runs").exists()


def test_shipped_presets_are_found_by_name_from_anywhere(tmp_path: Path) -> None:
    assert "vanishing" in succeeds("ablate", "vanishing", "--plan", cwd=tmp_path)


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    preset = tmp_path / "slow.yaml"
    preset.write_text(
        "name: slow\nbase: {hidden: 16, train_size: 300, val: 300, epochs: 1}\n"
        "factors: {long: {epochs: 100000, hidden: 20x100}}\nseeds: 1\n"
    )
    command = [sys.executable, "-m", "dnntrain", "ablate", str(preset), "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell that runs the tests in the background has interrupts ignored, and that is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    store = tmp_path / "runs" / "store"
    deadline = time.monotonic() + 60
    while not list(store.glob("*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    [row] = rows(tmp_path / "runs" / "slow" / "results.csv")
    assert (row["arm"], row["status"]) == ("baseline", "finished")
    assert not list(store.glob(".new-*"))


def test_report_shows_studies_and_writes_csv(preset: Path, tmp_path: Path) -> None:
    succeeds("ablate", preset, cwd=tmp_path)
    printed = succeeds("report", "runs", cwd=tmp_path)
    assert "small" in printed
    assert "\x1b" not in printed
    for words in (["exploding", "2/2"], ["0/2"], ["baseline"], ["too fast lost 2 of 2 runs"]):
        assert all(word in printed for word in words)
    assert succeeds("report", "runs/small", cwd=tmp_path) == printed
    table = list(
        csv.DictReader(io.StringIO(succeeds("report", "runs", "--csv", "-", "--metric", "val_loss", cwd=tmp_path)))
    )
    assert [row["arm"] for row in table] == ["baseline", "elu", "clipped", "too fast"]
    assert table[3]["diverged"] == "2"
    losses = [float(row["val_loss"]) for row in rows(tmp_path / "runs/small/results.csv")[2:4]]
    assert float(table[1]["mean"]) == pytest.approx(sum(losses) / 2)
    done = dnntrain("report", "runs", "--csv", "out.csv", "--md", "-", "--sort", "mean", cwd=tmp_path)
    assert done.stderr == "wrote out.csv\n"
    assert rows(tmp_path / "out.csv")[-1]["arm"] == "too fast"


def test_on_a_terminal_the_display_is_live_and_leaves_a_report(preset: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dnntrain", "ablate", str(preset), "--workers", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(TERM="xterm"), stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "val acc" in text
    assert "━" in text
    assert "Does the test work?" in text


@pytest.mark.parametrize("technique", CATALOGUE)
def test_every_technique_has_a_card_and_stands_in_help(technique: str, tmp_path: Path) -> None:
    from dnntrain.cli.techniques import card, find_technique, overview

    assert find_technique(technique) is CATALOGUE[technique]
    from rich.console import Console

    console = Console(file=io.StringIO(), width=80)
    console.print(card(technique), overview())
    assert isinstance(console.file, io.StringIO)
    shown = " ".join(console.file.getvalue().split())
    assert " ".join(CATALOGUE[technique].summary.split()[:3]) in shown


def test_help_and_techniques_and_report_do_without_torch(preset: Path, tmp_path: Path) -> None:
    succeeds("ablate", preset, cwd=tmp_path)
    light = (["--help"], ["report", "runs"])
    slow = {"pandas", "pyarrow", "matplotlib", "jinja2", "scipy.stats", "dnntrain.data", "dnntrain.techniques"}
    commands = (*light, ["train", "--help"], ["techniques"], ["techniques", "power"],
                ["watch", "runs"], ["runs", "list", "--all"], ["runs", "verify"],
                ["ablate", str(preset), "--plan"], ["ablate", str(preset)])  # fmt: skip
    script = (
        "import sys\nfrom dnntrain.__main__ import main\n"
        f"for words in {commands!r}:\n"
        "    sys.argv = ['dnntrain', *words]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        code = end.code\n"
        "    assert code == 0, (words, code)\n"
        "    assert not {'torch', 'torchvision'} & set(sys.modules), words\n"
        f"    found = {slow!r} & set(sys.modules)\n"
        f"    assert words not in {light!r} or not found, (words, found)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "--lrr", "1"], "--lr"),
        (["train", "--lr", "0"], "lr '0': must be greater than 0"),
        (["train", "--lr", "fast"], "lr 'fast'"),
        (["train", "--lr", "nan"], "finite"),
        (["train", "--act", "reluu"], "did you mean 'relu'"),
        (["train", "--act", "elu:alpha=-1"], "alpha"),
        (["train", "--act", "relu,elu,tanh"], "3 activations for"),
        (
            ["train", "--net", "cnn:channels=4", "--act", "relu,elu,tanh"],
            "2 layers (1 block below 1 hidden); name one, or one per layer",
        ),
        (["train", "--net", "cnn:32/64"], "cnn: '32/64' is not of the form parameter=value (parameters: channels,"),
        (["train", "--net", "cnn:channels=32,64"], "parameter=value; join the values of a list by slashes"),
        (["train", "--net", "cnn:channels=32/"], "cnn: channels: '32/' must be whole numbers from 1 to 4096 joined"),
        (["train", "--net", "cnn:padding=wide"], "cnn: padding 'wide': must be same, valid, or a number of pixels"),
        (["train", "--dropout", "0.2", "--dropout-where", "lastK"], "dropout_where 'lastK': must be input, hidden,"),
        (["train", "--hidden", "3,x"], "invalid layer width 'x'"),
        (["train", "--clipnorm", "1", "--clipvalue", "1"], "exclude each other"),
        (["train", "--bn-place", "after"], "bn is off"),
        (["train", "--mc-dropout", "10"], "needs dropout"),
        (["train", "--schedule", "powr:s=1"], "did you mean 'power'"),
        (["train", "--schedule", "power:s=0"], "is not a length"),
        (["train", "--optimizer", "sgd:nesterov=on"], "momentum"),
        (["train", "--data", "fashion-minni"], "did you mean 'fashion-mini'"),
        (["train", "--data-dir", "nowhere", "--data", "fashion-mnist"], "fashion-mini"),
        (["train", "--seeds", "0"], "seeds"),
        (["train", "--seeds", "1,1"], "seeds"),
        (["train", "--train-size", "9999"], "train_size = 9999"),
        (["train", "--val", "10000"], "val = 10000"),
        (["train", "--device", "gpu"], "did you mean 'cuda'"),
        (["ablate", "vanishin"], "did you mean 'vanishing'"),
        (["ablate", "vanishing", "--set", "lr"], "KEY=VALUE"),
        (["ablate", "vanishing", "--set", "lrr=1"], "did you mean 'lr'"),
        (["ablate", "vanishing", "--set", "lr=-1"], "lr '-1'"),
        (["ablate", "vanishing", "--seeds", "x"], "seeds"),
        (["report", "nothing-here"], "no such folder"),
        (["report", "."], "no study in it"),
        (["report"], "paths"),
        (["techniques", "powerr"], "did you mean 'power'"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_bad_input_is_answered_with_what_would_be_right(words: list[str], expected: str, tmp_path: Path) -> None:
    if "fashion-mnist" in words and Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("the full data is installed on this machine")
    assert expected in error_of(*words, cwd=tmp_path)
    assert not list(tmp_path.iterdir()) or list(tmp_path.iterdir()) == [tmp_path / "nowhere"]


def test_the_program_writes_results_to_stdout_and_errors_to_stderr_and_says_how_it_ended(tmp_path: Path) -> None:
    planned = dnntrain("ablate", "vanishing", "--plan", cwd=tmp_path, process=True)
    assert planned.returncode == 0 and "vanishing" in planned.stdout and not planned.stderr
    for words in (["trian"], ["train", "--lr", "0"], ["report", "nothing-here"]):
        refused = dnntrain(*words, cwd=tmp_path, process=True)
        here = dnntrain(*words, cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (here.returncode, here.stdout) == (2, "")
        assert refused.stderr.partition(" (see ")[0] == here.stderr.partition(" (see ")[0]


def test_damaged_and_foreign_records_are_named(preset: Path, tmp_path: Path) -> None:
    succeeds("ablate", preset, cwd=tmp_path)
    folder = tmp_path / "runs" / "small"
    results = (folder / "results.csv").read_text()
    (folder / "results.csv").write_text("a,b\n1,2\n")
    assert "results.csv" in error_of("report", "runs", cwd=tmp_path)
    (folder / "results.csv").unlink()
    assert "results.csv" in error_of("report", "runs", cwd=tmp_path)
    (folder / "results.csv").write_text(results)
    (folder / "study.json").write_text("{")
    assert "study.json" in error_of("report", "runs", cwd=tmp_path)
    run = next((tmp_path / "runs" / "store").glob("*/run.json"))
    run.write_text(run.read_text()[:100])
    assert "run.json" in error_of("ablate", preset, cwd=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(preset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in error_of("ablate", preset, "--out", "file", cwd=tmp_path)
    error_of("ablate", preset, "--out", "x" * 300, code=1, cwd=tmp_path)
