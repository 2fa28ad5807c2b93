"""`dnntrain ablate --until-resolved`: seeds are added look by look, and whoever stops and starts gets the same."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import dnntrain as dt
from dnntrain.statistics import look_levels
from tests.support.command import dnntrain, environment, error_of, succeeds

PRESET = """
name: grow
base: {hidden: 8, train_size: 300, val: 200, epochs: 2, lr: 0.1}
seeds: until-resolved
max_seeds: 8
factors:
  twin: {replicate: 1}
  still: {lr: 1e-6}
"""
SIZES = (5, 7, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the preset, and with the study that it makes."""
    folder = tmp_path_factory.mktemp("grow")
    (folder / "grow.yaml").write_text(PRESET)
    done = dnntrain("ablate", "grow.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "study.json").read_text())
    return record


def seeds_by_arm(study: Path) -> dict[str, list[int]]:
    seeds: dict[str, list[int]] = {}
    with (study / "results.csv").open() as file:
        for row in csv.DictReader(file):
            seeds.setdefault(row["arm"], []).append(int(row["seed"]))
    return seeds


def test_resolved_arms_get_no_more_seeds(folder: Path) -> None:
    record = record_of(folder / "runs" / "grow")
    assert [look["n"] for look in record["looks"]] == list(SIZES)
    assert [look["level"] for look in record["looks"]] == list(look_levels(SIZES))
    assert record["looks"][0]["resolved"]["still"]["verdict"] == "worse"
    assert record["max_seeds"] == 8
    assert seeds_by_arm(folder / "runs" / "grow") == {
        "baseline": [*range(8)], "twin": [*range(8)], "still": [*range(5)],
    }  # fmt: skip


def test_progress_and_report_name_the_look(folder: Path) -> None:
    progress, shown = (folder / "stderr").read_text(), (folder / "stdout").read_text()
    assert "grow: look 1 of 3: 5 seeds; 2 of 2 arms go on" in progress
    assert "grow: look 2 of 3: 7 seeds; 1 of 2 arms go on" in progress
    level = f"{look_levels(SIZES)[-1]:.3g}".removeprefix("0")
    assert f"look 3 of 3 (n = 8), level {level}; resolved: still at n = 5; not resolved: twin." in " ".join(
        shown.split()
    )
    assert succeeds("report", "runs/grow", cwd=folder) in shown.replace("\nrecords: runs/grow\n", "") + "\n"


def test_running_a_finished_study_again_writes_nothing(folder: Path) -> None:
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("runs/grow/*")}
    again = dnntrain("ablate", "grow.yaml", cwd=folder)
    assert again.stdout == (folder / "stdout").read_text()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("runs/grow/*")} == files


def test_a_killed_study_comes_to_the_same_looks_and_results(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "grow.yaml").write_text(PRESET)
    study, call = (
        tmp_path / "runs" / "grow",
        [sys.executable, "-m", "dnntrain", "ablate", "grow.yaml", "--workers", "1"],
    )
    with subprocess.Popen(
        call, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 100
        while not (study / "study.json").exists() or not record_of(study).get("looks"):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert len(record_of(study)["looks"]) < 3
    succeeds("ablate", "grow.yaml", cwd=tmp_path)
    ours, theirs = record_of(study), record_of(folder / "runs" / "grow")
    for key in ("looks", "levels", "seeds", "arms", "constants"):
        assert ours[key] == theirs[key]
    assert seeds_by_arm(study) == seeds_by_arm(folder / "runs" / "grow")
    assert (study / "history.csv").read_text() == (folder / "runs" / "grow" / "history.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--until-resolved", "--max-seeds", "14"), "max_seeds: grow was judged at 5, 7, 8 seeds"),
        (("--seeds", "10"), "seeds: grow was judged at 5, 7, 8 seeds"),
        (("--delta", "1pp"), "delta: grow was judged at 5, 7, 8 seeds"),
        (("--until-resolved", "--seeds", "5"), "--seeds 5: not with --until-resolved"),
        (("--max-seeds", "6"), "max_seeds 6: at least 7 seeds, not 6"),
        (("--max-seeds", "100001"), "at most 1,000 seeds, not 100,001"),
    ],
)
def test_what_would_break_the_error_rate_is_refused(folder: Path, words: tuple[str, ...], message: str) -> None:
    assert message in " ".join(error_of("ablate", "grow.yaml", *words, cwd=folder).split())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("{lr: 1e-6}", "{lr: 1e-7}", "arms: grow was judged at 5, 7, 8 seeds"),
        ("{lr: 1e-6}", "{lr: 1e-6}\n  more: {lr: 0.2}", "its arms cannot change (more)"),
        ("max_seeds: 8", "max_seeds: 8\nmetric: val_acc", "metric: grow was judged at 5, 7, 8 seeds"),
        ("max_seeds: 8", "max_seeds: 8\nbaseline: twin\ndesign: list", "arms: grow was judged"),
        ("seeds: until-resolved\nmax_seeds: 8", "seeds: [0, 1, 2]", "seeds: grow was judged at 5, 7, 8 seeds"),
        ("seeds: until-resolved", "seeds: 5", "changed.yaml:5: max_seeds 8: only for seeds until-resolved"),
        ("max_seeds: 8", "max_seeds: 5", "changed.yaml:5: max_seeds 5: at least 7 seeds, not 5"),
    ],
)
def test_a_changed_preset_is_refused_after_a_look(folder: Path, before: str, after: str, message: str) -> None:
    assert before in PRESET
    (folder / "changed.yaml").write_text(PRESET.replace(before, after))
    assert message in " ".join(error_of("ablate", "changed.yaml", cwd=folder).split())


def test_listed_seeds_cannot_be_added_to(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("seeds: [3, 7]\nfactors: {elu: {act: elu}}\n")
    message = error_of("ablate", "p.yaml", "--until-resolved", cwd=tmp_path)
    assert "they count from 0, but the preset lists 3, 7" in " ".join(message.split())
    assert "needs an arm to compare with" in error_of("ablate", "one.yaml", "--until-resolved", cwd=one_arm(tmp_path))


def one_arm(folder: Path) -> Path:
    (folder / "one.yaml").write_text("design: list\nfactors: {elu: {act: elu}}\n")
    return folder


def test_the_plan_says_what_the_seeds_can_find(folder: Path, tmp_path: Path) -> None:
    shown = " ".join(succeeds("ablate", "grow.yaml", "--plan", cwd=folder).split())
    assert "seeds are added until every arm is resolved: looks at 5, 7, 8 seeds" in shown
    assert "With 8 seeds and 80 % power, judging by the spread of the 21 runs so far:" in shown
    assert "the smallest difference that shows is twin" in shown
    assert "seeds to show a difference of δ = 0.3pp: twin" in shown
    (folder / "like.yaml").write_text(PRESET.replace("name: grow", "name: like").replace("epochs: 2", "epochs: 3"))
    shown = " ".join(succeeds("ablate", "like.yaml", "--plan", cwd=folder).split())
    assert "judging by the spread of the 21 runs of grow, on the same data" in shown
    one = PRESET.replace("name: grow", "name: one").replace("seeds: until-resolved\nmax_seeds: 8", "seeds: 1")
    (folder / "one.yaml").write_text(one.replace("epochs: 2", "epochs: 3"))
    assert "One seed shows no difference" in succeeds("ablate", "one.yaml", "--plan", cwd=folder)
    (tmp_path / "grow.yaml").write_text(PRESET)
    assert "8 seeds can show is not known" in " ".join(succeeds("ablate", "grow.yaml", "--plan", cwd=tmp_path).split())


def test_the_function_takes_the_same(tmp_path: Path) -> None:
    study = dt.ablate(
        arms={"still": {"lr": 1e-6}}, base={"hidden": 8, "train_size": 300, "val": 200, "epochs": 2, "lr": 0.1},
        seeds="until-resolved", max_seeds=9, delta="1pp", out=tmp_path, workers=1,
    )  # fmt: skip
    record = record_of(study.folder)
    assert (record["max_seeds"], record["delta"], len(record["looks"])) == (9, "1pp", 1)
    assert study.summary.analysis.margin.text == "1pp"
    with pytest.raises(dt.InputError, match="max_seeds 9: only for seeds until-resolved"):
        dt.ablate(arms={"still": {"lr": 1e-6}}, max_seeds=9, out=tmp_path)
