"""Which runs of a table count, and as what: lost ones, missing ones, and those of several data sets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import dnntrain as dt
from dnntrain.reporting.gates import GateStatus
from tests.support.command import dnntrain, succeeds
from tests.support.run_tables import rows_of, write_csv

COLUMNS = ("--arm", "optimizer", "--seed", "seed", "--value", "f1")
STATUS = ("--status", "state", "--ok", "finished,success")


def table(*words: object, cwd: Path) -> dict[str, dict[str, str]]:
    printed = succeeds("compare", *words, "--csv", "-", cwd=cwd)
    return {row["arm"]: row for row in csv.DictReader(io.StringIO(printed))}


def losing(arms: dict[str, int], seeds: int = 10, gain: float = 0.1) -> list[dict[str, Any]]:
    """Rows of a base and of arms that gain in the runs that they do not lose, with how many each loses."""
    rows = rows_of({"base": 0.0, **dict.fromkeys([arm for arm in arms if arm != "base"], gain)}, seeds)
    for row in rows:
        is_lost = row["seed"] < arms.get(row["optimizer"], 0)
        row["state"] = "crashed" if is_lost else ("finished", "success")[row["seed"] % 2]
        row["f1"] = 0.99 if is_lost else row["f1"]  # what was logged before the crash
    return rows


def test_an_arm_that_loses_most_runs_is_not_better(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", losing({"wild": 8}))
    words = (path, *COLUMNS, *STATUS, "--lost-value", "f1=0.1")
    arm = table(*words, cwd=tmp_path)["wild"]
    assert arm["verdict"].startswith("worse") and "8 of 10 lost" in arm["verdict"]
    assert float(arm["mean"]) == pytest.approx((8 * 0.1 + 2 * 0.9) / 10, abs=0.01)
    for requirement in ("wild >= base", "wild > base", "wild.f1 >= base - 1%"):
        assert dnntrain("compare", *words, "--require", requirement, cwd=tmp_path).returncode == 1
    assert dnntrain("compare", *words, "--keep-if", "wild >= base", cwd=tmp_path).stdout == "discard\n"


def test_a_baseline_that_loses_runs_is_counted_too(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", losing({"base": 10, "good": 0}))
    arms = table(path, *COLUMNS, *STATUS, "--lost-value", "f1=0.1", cwd=tmp_path)
    assert arms["good"]["verdict"] == "better: the baseline never finishes"
    path = write_csv(tmp_path / "other.csv", losing({"base": 2, "good": 0}))
    arms = table(path, *COLUMNS, *STATUS, "--lost-value", "f1=0.1", cwd=tmp_path)
    assert "the baseline lost 2 of 10" in arms["good"]["verdict"]


def test_without_the_value_of_a_lost_run_its_arm_gets_no_verdict(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", losing({"wild": 2, "good": 0}))
    arms = table(path, *COLUMNS, *STATUS, cwd=tmp_path)
    assert arms["wild"]["verdict"].startswith("no verdict: 2 of 10 lost")
    assert arms["good"]["verdict"] == "better"
    decided = dnntrain("compare", path, *COLUMNS, *STATUS, "--keep-if", "wild >= base", cwd=tmp_path)
    assert (decided.returncode, decided.stdout) == (3, "undecided\n")


def test_a_finished_run_is_never_worse_than_a_lost_one(tmp_path: Path) -> None:
    rows = losing({"wild": 2})
    rows[3]["f1"] = 0.05
    path = write_csv(tmp_path / "runs.csv", rows)
    arm = table(path, *COLUMNS, *STATUS, "--lost-value", "f1=0.1", cwd=tmp_path)["wild"]
    assert min(map(float, arm["values"].split())) == 0.05


@pytest.mark.parametrize("empty", ["", "nan", "NaN", "None", "inf"])
def test_without_a_status_an_empty_value_is_lost(empty: str, tmp_path: Path) -> None:
    rows = rows_of({"base": 0.0, "other": 0.1})
    rows[-1]["f1"] = empty
    path = write_csv(tmp_path / "runs.csv", rows)
    arms = table(path, *COLUMNS, "--lost-value", "f1=0", cwd=tmp_path)
    assert arms["other"]["finished"] == "4" and "1 of 5 lost" in arms["other"]["verdict"]
    with_status = [{**row, "state": "finished"} for row in rows]
    arms = table(write_csv(path, with_status), *COLUMNS, *STATUS, cwd=tmp_path)
    assert ("lost" in arms["other"]["verdict"]) == (empty == "inf")  # finished, but not measured


def test_missing_seeds_are_named_and_leave_requirements_open(tmp_path: Path) -> None:
    rows = [
        row for row in rows_of({"base": 0.0, "new": 0.1, "third": 0.1}) if (row["optimizer"], row["seed"]) != ("new", 3)
    ]
    path = write_csv(tmp_path / "runs.csv", rows)
    assert "1 of 5 runs of new" in succeeds("compare", path, *COLUMNS, cwd=tmp_path)
    arms = table(path, *COLUMNS, cwd=tmp_path)
    assert float(arms["new"]["n"]) == 4 and arms["new"]["verdict"] == "better" == arms["third"]["verdict"]
    report = dt.compare(path, arm="optimizer", seed="seed", value="f1", require=["new >= base", "third >= base"])
    assert [gate.answer for gate in report.gates] == [GateStatus.INCONCLUSIVE, GateStatus.HOLDS]
    assert "new lacks 1 of 5 runs" in report.gates[0].reason
    allowed = dnntrain("compare", path, *COLUMNS, "--keep-if", "new >= base", "--allow-partial", cwd=tmp_path)
    assert (allowed.returncode, allowed.stdout) == (0, "keep\n")


def in_data_sets(difficulty: dict[str, float]) -> list[dict[str, Any]]:
    """Rows on several data sets, two seeds each, where the difference of two arms depends on the data set."""
    rows = []
    for i, (name, base) in enumerate(difficulty.items()):
        gain = {"base": 0.0, "new": 0.02 + 0.004 * (i % 3), "old": -0.01 * (-1) ** i}
        for row in rows_of(gain, seeds=2):
            rows.append({**row, "f1": row["f1"] - base, "data": name})
    return rows


DATA_SETS = {"mnist": 0.0, "cifar": 0.3, "svhn": 0.1, "tiny": 0.5, "texts": 0.2}


@pytest.mark.parametrize("seed", [("--seed", "seed"), ()])
def test_data_sets_are_blocks(seed: tuple[str, ...], tmp_path: Path) -> None:
    rows = in_data_sets(DATA_SETS)
    path = write_csv(tmp_path / "runs.csv", rows)
    words = (path, "--arm", "optimizer", *seed, "--value", "f1", "--block", "data")
    arms = table(*words, cwd=tmp_path)
    assert float(arms["new"]["n"]) == 5 and arms["new"]["verdict"] == "better" and float(arms["new"]["wins"]) == 5
    assert arms["old"]["verdict"] == "inconclusive"
    means = [sum(row["f1"] for row in rows if (row["optimizer"], row["data"]) == ("new", d)) / 2 for d in DATA_SETS]
    assert [*map(float, arms["new"]["values"].split())] == pytest.approx(means)
    if seed:
        refused = dnntrain("compare", path, *COLUMNS, cwd=tmp_path)
        assert refused.returncode == 2 and "arm base has seed 0 twice" in refused.stderr and "--block" in refused.stderr


def test_the_mean_rank_is_shown_but_decides_nothing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", in_data_sets(DATA_SETS))
    words = (path, "--arm", "optimizer", "--value", "f1", "--block", "data")
    table = succeeds("compare", *words, cwd=tmp_path).partition("mean ranks over 5 blocks")[2]
    ranks = {line.split()[0]: line.split()[-1] for line in table.splitlines()[4:7]}
    assert ranks["new"] == "1.00" and float(ranks["base"]) + float(ranks["old"]) == pytest.approx(5)
    [study] = json.loads(succeeds("compare", *words, "--json", cwd=tmp_path))["studies"]
    assert study["mean_ranks"]["new"] == 1.0


def test_lost_runs_count_within_their_block(tmp_path: Path) -> None:
    rows = in_data_sets(DATA_SETS)
    next(row for row in rows if row["optimizer"] == "new")["f1"] = None
    path = write_csv(tmp_path / "runs.csv", rows)
    words = (path, "--arm", "optimizer", "--seed", "seed", "--value", "f1", "--block", "data")
    arm = table(*words, "--lost-value", "f1=0", cwd=tmp_path)["new"]
    assert "1 of 10 lost" in arm["verdict"] and float(arm["n"]) == 5
    assert float(arm["values"].split()[0]) == pytest.approx(0.41, abs=0.02)
    assert table(*words, cwd=tmp_path)["new"]["verdict"].startswith("no verdict: 1 of 10 lost")


def test_a_file_may_be_a_block(tmp_path: Path) -> None:
    rows = in_data_sets(DATA_SETS)
    for name in DATA_SETS:
        write_csv(tmp_path / f"{name}.csv", [row for row in rows if row["data"] == name])
    paths = [f"{name}.csv" for name in DATA_SETS]
    arms = table(*paths, *COLUMNS, "--block", "file", cwd=tmp_path)
    write_csv(tmp_path / "all.csv", rows)
    together = table("all.csv", *COLUMNS, "--block", "data", cwd=tmp_path)
    assert {arm: row["values"] for arm, row in arms.items()} == {arm: row["values"] for arm, row in together.items()}


@pytest.mark.parametrize(
    ("scale", "words"), [(1e300, "too large"), (1e100, "too large"), (1e-100, "too small"), (1e-300, "too small")]
)
def test_numbers_that_cannot_be_squared_are_refused(scale: float, words: str, tmp_path: Path) -> None:
    rows = [{"optimizer": arm, "seed": seed, "f1": (seed + 2) * scale} for arm in "ab" for seed in range(5)]
    refused = dnntrain("compare", write_csv(tmp_path / "t.csv", rows), *COLUMNS, cwd=tmp_path)
    assert refused.returncode == 2 and words in refused.stderr and "rescale the column" in refused.stderr
    assert refused.stderr.count("\n") == 1 and not refused.stdout


@pytest.mark.parametrize("option", ["--csv", "--md", "--latex", "--html"])
def test_a_report_never_replaces_its_table(option: str, tmp_path: Path) -> None:
    rows = [{"optimizer": arm, "seed": seed, "f1": seed} for arm in "ab" for seed in range(5)]
    file = write_csv(tmp_path / "t.csv", rows)
    before = file.read_bytes()
    refused = dnntrain("compare", "t.csv", *COLUMNS, option, file, cwd=tmp_path)
    assert refused.returncode == 2 and f"{option} {file}: would replace the table" in refused.stderr
    assert file.read_bytes() == before


def test_a_report_never_replaces_a_study(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "study.json").write_text("{}")
    rows = [{"optimizer": arm, "seed": seed, "f1": seed} for arm in "ab" for seed in range(5)]
    file = write_csv(tmp_path / "t.csv", rows)
    for command in (("compare", file, *COLUMNS), ("report", study)):
        refused = dnntrain(*command, "--csv", study / "results.csv", cwd=tmp_path)
        assert refused.returncode == 2 and "would replace a study's record" in refused.stderr
    assert not (study / "results.csv").exists()
