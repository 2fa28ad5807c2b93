"""`dnntrain compare`: anyone's table of runs gets the tables, verdicts and exit codes that a study gets."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import dnntrain as dt
from dnntrain.statistics.distributions import tail_level
from tests.support.command import dnntrain, environment, succeeds
from tests.support.run_tables import rows_of, write_csv, write_json_lines

GAINS = {"sgd": 0.0, "adam": 0.03, "lion": -0.002}
COLUMNS = ("--arm", "optimizer", "--seed", "seed", "--value", "f1")


def table(*words: object, cwd: Path) -> dict[str, dict[str, str]]:
    """The rows of `compare … --csv -` by arm, for one value column."""
    printed = succeeds("compare", *words, "--csv", "-", cwd=cwd)
    return {row["arm"]: row for row in csv.DictReader(io.StringIO(printed))}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "runs.csv", rows_of(GAINS))


def test_a_table_is_judged_as_a_study_is(runs: Path, tmp_path: Path) -> None:
    arms = table(runs, *COLUMNS, cwd=tmp_path)
    assert list(arms) == ["sgd", "adam", "lion"]
    assert arms["adam"]["verdict"] == "better" and arms["lion"]["verdict"] == "equivalent"
    assert arms["adam"]["baseline"] == "sgd"
    values = {arm: [row["f1"] for row in rows_of(GAINS) if row["optimizer"] == arm] for arm in GAINS}
    assert float(arms["adam"]["mean"]) == pytest.approx(np.mean(values["adam"]), abs=1e-15)
    assert float(arms["adam"]["difference"]) == pytest.approx(np.mean(values["adam"]) - np.mean(values["sgd"]))
    assert table(runs, *COLUMNS, "--baseline", "adam", cwd=tmp_path)["sgd"]["verdict"] == "worse"


def test_the_direction_is_given(runs: Path, tmp_path: Path) -> None:
    rows = [{**row, "loss": 1 - row["f1"], "val/error": 1 - row["f1"]} for row in rows_of(GAINS)]
    write_csv(runs, rows)
    arms = table(runs, "--arm", "optimizer", "--seed", "seed", "--value", "loss:min", cwd=tmp_path)
    assert arms["adam"]["verdict"] == "better" and float(arms["adam"]["difference"]) < 0
    arms = table(runs, "--arm", "optimizer", "--seed", "seed", "--value", "f1:min", cwd=tmp_path)
    assert arms["adam"]["verdict"] == "worse"
    for column in ("loss", "val/error"):
        refused = dnntrain("compare", runs, "--arm", "optimizer", "--value", column, cwd=tmp_path)
        assert refused.returncode == 2 and f"{column}:min or {column}:max" in refused.stderr


@pytest.mark.parametrize("kind", ["tsv", "semicolons.csv", "parquet", "jsonl", "json", "nested.jsonl", "csv.gz"])
def test_every_kind_of_table_gives_the_same_numbers(kind: str, runs: Path, tmp_path: Path) -> None:
    import gzip

    import pandas as pd

    rows, path = rows_of(GAINS), tmp_path / f"other.{kind}"
    columns = COLUMNS
    if kind == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "jsonl":
        write_json_lines(path, rows)
    elif kind == "nested.jsonl":
        write_json_lines(path, [{"params": {"opt": r["optimizer"]}, "seed": r["seed"], "f1": r["f1"]} for r in rows])
        columns = ("--arm", "params.opt", *COLUMNS[2:])
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(runs.read_bytes()))
    else:
        write_csv(path, rows, "\t" if kind == "tsv" else ";")
    expected = table(runs, *COLUMNS, cwd=tmp_path)
    for arm, row in table(path, *columns, cwd=tmp_path).items():
        assert row | {"study": ""} == expected[arm] | {"study": ""}


def test_exports_of_trackers_are_read(tmp_path: Path) -> None:
    rows = rows_of(GAINS)
    wandb = [{"Name": f"run-{i}", "State": "finished", "optimizer": r["optimizer"], "seed": r["seed"],
              "val/f1": r["f1"], "notes": 'a "quoted", word'} for i, r in enumerate(rows)]  # fmt: skip
    mlflow = [{"run_id": f"{i:032x}", "status": "FINISHED", "params.opt": r["optimizer"], "params.seed": r["seed"],
               "metrics.val_f1": r["f1"], "tags.mlflow.runName": "blue-fox"} for i, r in enumerate(rows)]  # fmt: skip
    optuna = [{"number": i, "value": r["f1"], "params_opt": r["optimizer"], "user_attrs_seed": float(r["seed"]),
               "state": "COMPLETE"} for i, r in enumerate(rows)]  # fmt: skip
    layouts = {
        "wandb": (wandb, "optimizer", "seed", "val/f1", "State", "finished"),
        "mlflow": (mlflow, "params.opt", "params.seed", "metrics.val_f1", "status", "FINISHED"),
        "optuna": (optuna, "params_opt", "user_attrs_seed", "value", "state", "COMPLETE,PRUNED"),
    }
    for name, (exported, arm, seed, value, status, ok) in layouts.items():
        path = write_csv(tmp_path / f"{name}.csv", exported)
        arms = table(path, "--arm", arm, "--seed", seed, "--value", value, "--status", status, "--ok", ok, cwd=tmp_path)
        assert [row["verdict"] for row in arms.values()] == ["", "better", "equivalent"], name


def test_names_are_kept_as_they_are_written(tmp_path: Path) -> None:
    names = ("1e-3", "NA", "010", "True")
    path = write_csv(tmp_path / "runs.csv", rows_of(dict.fromkeys(names, 0.0)))
    assert list(table(path, *COLUMNS, cwd=tmp_path)) == [*names]


def test_files_are_arms_where_that_is_said(tmp_path: Path) -> None:
    for arm, gain in GAINS.items():
        rows = rows_of({arm: gain} if arm == "sgd" else {"": 0, arm: gain})[-5:]
        write_csv(tmp_path / f"{arm}.csv", [{"seed": row["seed"], "f1": row["f1"]} for row in rows])
    paths = [f"{arm}.csv" for arm in GAINS]
    arms = table(*paths, "--arm", "file", "--seed", "seed", "--value", "f1", cwd=tmp_path)
    assert list(arms) == [*GAINS] and arms["adam"]["verdict"] == "better"


def test_without_seeds_nothing_is_paired(runs: Path, tmp_path: Path) -> None:
    arms = table(runs, "--arm", "optimizer", "--value", "f1", cwd=tmp_path)
    values = {arm: [row["f1"] for row in rows_of(GAINS) if row["optimizer"] == arm] for arm in GAINS}
    for arm in ("adam", "lion"):
        assert arms[arm]["method"] == "welch" and not arms[arm]["wins"] and not arms[arm]["r"]
        p = 2 * stats.ttest_ind(values[arm], values["sgd"], equal_var=False).pvalue
        assert float(arms[arm]["p"]) == pytest.approx(min(1.0, p), rel=1e-9)
    printed = succeeds("compare", runs, "--arm", "optimizer", "--value", "f1", cwd=tmp_path)
    assert "best: adam; clearly better than all others" in printed and "Unpaired" in printed
    refused = dnntrain("compare", runs, "--arm", "optimizer", "--value", "f1", "--method", "moderated", cwd=tmp_path)
    assert refused.returncode == 2 and "--method moderated: pairs runs by seed" in refused.stderr


def test_several_metrics_are_one_family(runs: Path, tmp_path: Path) -> None:
    write_csv(runs, [{**row, "loss": 1 - row["f1"], "auc": row["f1"] / 2} for row in rows_of(GAINS)])
    words = (*COLUMNS, "--value", "loss:min", "--value", "auc")
    studies = json.loads(succeeds("compare", runs, *words, "--json", cwd=tmp_path))["studies"]
    assert [study["metric"] for study in studies] == ["f1", "loss", "auc"]
    [alone] = json.loads(succeeds("compare", runs, *COLUMNS, "--json", cwd=tmp_path))["studies"]
    width, single = (arms["arms"][1]["high"] - arms["arms"][1]["low"] for arms in (studies[0], alone))
    assert width > 1.05 * single
    assert studies[0]["arms"][1]["high"] == pytest.approx(-studies[1]["arms"][1]["low"])


LAST = "import sys; from dnntrain.__main__ import main\nsys.argv = ['dnntrain', *{words!r}]\n"
HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "jinja2", "dnntrain.config.spec", "dnntrain.executors.base")


def test_seeds_are_planned_at_the_level_of_several_metrics(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [{"arm": arm, "seed": seed, "f1": rng.normal(), "auc": rng.normal()} for arm in "abc" for seed in range(5)]
    write_csv(tmp_path / "runs.csv", rows)

    def planned(*values: str) -> dict[str, Any]:
        options = [word for value in values for word in ("--value", value)]
        text = succeeds(
            "compare", "runs.csv", "--arm", "arm", "--seed", "seed", *options, "--delta", "0.7", "--json", cwd=tmp_path
        )
        study: dict[str, Any] = json.loads(text)["studies"][0]
        return study

    one, two = planned("f1"), planned("f1", "auc")
    for alone, arm in zip(one["arms"][1:], two["arms"][1:], strict=True):
        assert alone["seeds_for_delta_advised"] < arm["seeds_for_delta_advised"]
        for goal, detected in (("delta", power_of_a_difference), ("equivalence", power_of_equivalence)):
            seeds = arm[f"seeds_for_{goal}_advised"]
            powers = [detected(n, arm, 0.7, level=0.975) for n in (seeds - 1, seeds)]
            assert powers[0] < 0.8 <= powers[1]


def power_of_a_difference(n: int, arm: dict[str, Any], delta: float, level: float) -> float:
    """The power of n seeds for one of two arms at the variance that is advised for, by scipy."""
    df = arm["df"] * (n - 1) / 4
    se = (5 * arm["se"] ** 2 * (1 + 1 / arm["df"]) / n) ** 0.5
    return float(stats.nct.sf(stats.t.isf(tail_level(2, n, level) / 2, df), df, delta / se))


def power_of_equivalence(n: int, arm: dict[str, Any], delta: float, level: float) -> float:
    """The same for two one-sided tests where the arms are equal."""
    df = arm["df"] * (n - 1) / 4
    se = (5 * arm["se"] ** 2 * (1 + 1 / arm["df"]) / n) ** 0.5
    return float(2 * stats.t.cdf(delta / se - stats.t.isf(tail_level(2, n, 2 * level - 1) / 2, df), df) - 1)


def test_a_table_is_judged_without_what_trains_or_draws(runs: Path, tmp_path: Path) -> None:
    script = LAST.format(words=["compare", str(runs), *COLUMNS]) + (
        f"try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"assert not set({HEAVY!r}) & set(sys.modules), set({HEAVY!r}) & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "better" in done.stdout and not done.stderr


def test_a_study_folder_is_read_with_what_it_knows(tmp_path: Path) -> None:
    from tests.reporting.test_report import ARMS, write_study

    folder = write_study(tmp_path / "runs" / "made", ARMS)
    for words in ((), ("--value", "test_acc"), ("--value", "val_loss", "--value", "val_acc")):
        [*studies] = json.loads(succeeds("compare", folder, *words, "--json", cwd=tmp_path))["studies"]
        for study in studies:
            reported = json.loads(succeeds("report", folder, "--metric", study["metric"], "--json", cwd=tmp_path))
            same: dict[str, Any] = reported["studies"][0]
            if len(studies) == 1:
                assert study["arms"] == same["arms"]
    wrong = dnntrain("compare", folder, "--value", "val_loss:max", cwd=tmp_path)
    assert wrong.returncode == 2 and "better the other way" in wrong.stderr


def test_the_python_function_gives_what_the_command_prints(runs: Path, tmp_path: Path) -> None:
    report = dt.compare(runs, arm="optimizer", value="f1", seed="seed")
    assert report.to_csv() == succeeds("compare", runs, *COLUMNS, "--csv", "-", cwd=tmp_path)
    assert report.studies[0].verdicts == {"adam": "better", "lion": "equivalent"}
    with pytest.raises(dt.InputError, match=r"optimiser: no such column in .*; did you mean 'optimizer'"):
        dt.compare(runs, arm="optimiser", value="f1")


def test_every_export_knows_several_metrics_of_a_table(runs: Path, tmp_path: Path) -> None:
    write_csv(runs, [{**row, "loss": 1 - row["f1"]} for row in rows_of(GAINS)])
    files = ("--md", "all.md", "--latex", "all.tex", "--html", "all.html", "--figures", "figures")
    printed = succeeds("compare", runs, *COLUMNS, "--value", "loss:min", *files, cwd=tmp_path)
    for text in (printed, *((tmp_path / name).read_text() for name in ("all.md", "all.tex", "all.html"))):
        assert ("runs: f1" in text and "runs: loss" in text) or "tab:runs--loss" in text
        assert "2 metrics are judged" in text and "loss: lower is better" in text
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {f"runs_{metric}-effects.{kind}" for metric in ("f1", "loss") for kind in ("png", "svg", "pdf")}
    assert "health" not in printed and "s/run" not in printed
