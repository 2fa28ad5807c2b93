"""`--keep-if` and `--looks`, for scripts that decide whether a change stays; and what `compare` refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dnntrain as dt
from dnntrain.statistics import look_levels
from tests.support.command import dnntrain, error_of, succeeds
from tests.support.run_tables import rows_of, write_csv

COLUMNS = ("--arm", "optimizer", "--seed", "seed", "--value", "f1")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "runs.csv", rows_of({"base": 0.0, "new": 0.03, "old": -0.03, "same": 0.0}))


@pytest.mark.parametrize(
    ("requirement", "word", "code"),
    [
        ("new >= base", "keep", 0),
        ("new > old", "keep", 0),
        ("old >= base", "discard", 1),
        ("same > base", "undecided", 3),
        ("same >= base - 1%", "keep", 0),
        ("new.f1 >= 0.8", "keep", 0),
    ],
)
def test_a_loop_gets_one_word_and_an_exit_code(requirement: str, word: str, code: int, runs: Path) -> None:
    decided = dnntrain("compare", runs, *COLUMNS, "--keep-if", requirement, cwd=runs.parent)
    assert (decided.stdout, decided.stderr, decided.returncode) == (f"{word}\n", "", code)


def test_every_metric_has_to_agree(runs: Path) -> None:
    rows = [{**row, "acc": row["f1"], "recall": 1 - float(row["f1"])} for row in rows_of({"base": 0.0, "new": 0.03})]
    write_csv(runs, rows)
    words = ("compare", runs, *COLUMNS)
    assert dnntrain(*words, "--value", "acc", "--keep-if", "new >= base", cwd=runs.parent).stdout == "keep\n"
    assert dnntrain(*words, "--value", "recall", "--keep-if", "new >= base", cwd=runs.parent).stdout == "discard\n"
    assert dnntrain(*words, "--value", "recall", "--keep-if", "new.f1 >= base", cwd=runs.parent).stdout == "keep\n"


def test_files_are_written_along_with_the_word(runs: Path) -> None:
    decided = succeeds("compare", runs, *COLUMNS, "--keep-if", "new >= base", "--csv", "arms.csv", cwd=runs.parent)
    assert decided == "keep\n" and "better" in (runs.parent / "arms.csv").read_text()


@pytest.mark.parametrize("column", ["test_f1", "metrics/test/f1", "TestF1"])
def test_deciding_by_the_test_set_is_warned_of(column: str, runs: Path) -> None:
    write_csv(runs, [{"optimizer": r["optimizer"], "seed": r["seed"], column: r["f1"], "latest_f1": r["f1"]}
                     for r in rows_of({"base": 0.0, "new": 0.03})])  # fmt: skip
    words = ("compare", runs, "--arm", "optimizer", "--seed", "seed")
    decided = dnntrain(*words, "--value", column, "--keep-if", "new >= base", cwd=runs.parent)
    assert decided.stdout == "keep\n" and f"{column}: a loop that decides by the test set overfits it" in decided.stderr
    assert not dnntrain(*words, "--value", "latest_f1", "--keep-if", "new >= base", cwd=runs.parent).stderr
    assert not dnntrain(*words, "--value", column, cwd=runs.parent).stderr


def test_a_table_that_comes_back_is_judged_at_the_level_of_its_look(runs: Path) -> None:
    levels = look_levels((5, 10, 20))
    for n, level in ((5, levels[0]), (10, levels[1])):
        write_csv(runs, rows_of({"base": 0.0, "new": 0.005, "same": 0.0}, seeds=n))
        [plain] = json.loads(succeeds("compare", runs, *COLUMNS, "--json", cwd=runs.parent))["studies"]
        words = (*COLUMNS, "--looks", "5,10,20")
        [study] = json.loads(succeeds("compare", runs, *words, "--json", cwd=runs.parent))["studies"]
        arm, before = study["arms"][1], plain["arms"][1]
        assert arm["p"] == before["p"] and arm["high"] - arm["low"] > 1.1 * (before["high"] - before["low"])
        assert (arm["verdict"] in ("better", "worse")) == (arm["p"] < level)
        assert (arm["low"] > 0) == (arm["p"] < level)
        assert any(f"(n = {n}), level " in note for note in study["notes"])
        gate = dt.compare(
            runs, arm="optimizer", seed="seed", value="f1", looks=[5, 10, 20], keep_if="new >= base"
        ).gates[0]
        assert gate.finding.error_rate == pytest.approx(level / 2)


def test_one_number_of_looks_is_the_largest(runs: Path) -> None:
    one = succeeds("compare", runs, *COLUMNS, "--looks", "20", "--json", cwd=runs.parent)
    assert one == succeeds("compare", runs, *COLUMNS, "--looks", "5,7,10,14,20", "--json", cwd=runs.parent)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs.csv",), "--arm: needed to read runs.csv"),
        (("runs.csv", "--arm", "optimizer"), "--value: needed"),
        (("runs.csv", "--arm", "optimiser", "--value", "f1"), "no such column in runs.csv; did you mean 'optimizer'?"),
        (("runs.csv", "--arm", "optimizer", "--value", "f2"), "--value f2: no such column; known: f1, file"),
        (("runs.csv", *COLUMNS, "--value", "f1:min"), "--value f1: given twice"),
        (("runs.csv", *COLUMNS[:4], "--value", "f1:mim"), "after the colon comes max or min; did you mean 'min'?"),
        (("runs.csv", *COLUMNS[:4], "--value", "optimizer"), "runs.csv: line 2: optimizer 'base' is not a number"),
        (("runs.csv", *COLUMNS[:4], "--value", "note"), "line 3: note '0,8' is not a plain number; write 0.8"),
        (("runs.csv", *COLUMNS[:4], "--value", "nothing"), "no number in any row of runs.csv"),
        (("runs.csv", *COLUMNS, "--seed", "some"), "runs.csv: line 3: column some is empty (--seed)"),
        (("runs.csv", "--arm", "task", "--value", "f1"), "the only arm in runs.csv is 'a', but two are needed"),
        (("runs.csv", *COLUMNS, "--baseline", "bsae"), "--baseline bsae: runs has no such arm; did you mean 'base'?"),
        (("runs.csv", *COLUMNS, "--status", "task"), "say with --ok which values have a result; there are a"),
        (("runs.csv", *COLUMNS, "--status", "task", "--ok", "b"), "--ok b: no run has this task; there are a"),
        (("runs.csv", *COLUMNS, "--ok", "b"), "--ok: needs --status"),
        (("runs.csv", *COLUMNS, "--lost-value", "f2=0"), "--lost-value f2: not one of the values; known: f1"),
        (("runs.csv", *COLUMNS, "--lost-value", "0.1"), "--lost-value 0.1: must be METRIC=X"),
        (("runs.csv", *COLUMNS[:4], "--value", "huge"), "line 3: huge 1e+200 is too large to compare"),
        (("runs.csv", *COLUMNS, "--lost-value", "f1=nan"), "'nan' is no number that a run could have"),
        (("runs.csv", *COLUMNS, "--looks", "5;10"), "--looks 5;10: must be numbers of seeds"),
        (("runs.csv", *COLUMNS, "--looks", "10,5"), "--looks: looks are increasing numbers"),
        (("runs.csv", *COLUMNS, "--looks", "4,10"), "--looks 4,10: the table has 5 seeds; it is judged only at "),
        (("runs.csv", "--arm", "optimizer", "--value", "f1", "--looks", "5,10"), "--looks: needs runs that are paired"),
        (("runs.csv", "--arm", "optimizer", "--value", "f1", "--pairs"), "--pairs: compares runs with the same seed"),
        (("runs.csv", *COLUMNS, "--delta", "0.3pp"), "--delta: '0.3pp': points are for shares"),
        (("runs.csv", *COLUMNS, "--method", "paird"), "unknown method 'paird'; did you mean 'paired'?"),
        (("runs.csv", *COLUMNS, "--keep-if", "nwe >= base"), "--keep-if 'nwe >= base': no arm 'nwe'"),
        (("runs.csv", *COLUMNS, "--keep-if", "new >= base", "--json"), "--keep-if: prints one word"),
        (("runs.csv", *COLUMNS, "--keep-if", "new >= base", "--require", "new > base"), "--keep-if: prints one word"),
        (("runs.csv", *COLUMNS, "--allow-partial"), "--allow-partial: is about requirements"),
        (("runs.csv", "runs.csv", *COLUMNS), "arm base has seed 0 twice, before at runs.csv: line 2"),
        (("nothing.csv", *COLUMNS), "nothing.csv: no such file"),
        (("runs.xlsx", *COLUMNS), "runs.xlsx: unknown kind of table '.xlsx'; known: .csv, .tsv"),
        (("empty.csv", *COLUMNS), "empty.csv: empty"),
        (("header.csv", *COLUMNS), "header.csv: no rows"),
        (("broken.jsonl", *COLUMNS), "broken.jsonl: line 2: not JSON"),
        (("list.jsonl", *COLUMNS), "list.jsonl: line 1: not an object"),
        (("object.json", *COLUMNS), "object.json: must be an array of objects"),
        (("broken.parquet", *COLUMNS), "broken.parquet: damaged, or not a Parquet file"),
        (("curve.csv", *COLUMNS), "curve.csv: the curve of one run"),
        (("folder", *COLUMNS), "folder: no study in it"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_by_name(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    rows = [{**row, "task": "a", "note": "0,8" if i == 1 else row["f1"], "nothing": "",
             "huge": "1e200" if i == 1 else 1, "some": "" if i == 1 else i}
            for i, row in enumerate(rows_of({"base": 0.0, "new": 0.03}))]  # fmt: skip
    write_csv(tmp_path / "runs.csv", rows)
    files = {"runs.xlsx": "PK", "empty.csv": "", "header.csv": "optimizer,seed,f1\n",
             "broken.jsonl": '{"a": 1}\n{"a": ',
             "list.jsonl": "[1]\n", "object.json": '{"a": [1, 2]}', "broken.parquet": "PAR1",
             "curve.csv": "Wall time,Step,Value\n1,2,3\n"}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "folder").mkdir()
    assert said in error_of("compare", *words, cwd=tmp_path)


def test_no_table_of_odd_cells_ends_in_a_traceback(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    cells = [
        "a",
        "b",
        "0.5",
        "1e400",
        "-inf",
        "nan",
        "",
        "1_0",
        "0,5",
        "é",
        "[/x]",
        '"q"',
        "1" * 400,
        "\u0661",
        "base.f1",
    ]
    for _ in range(60):
        rows = [{name: str(random.choice(cells)) for name in ("optimizer", "seed", "f1", "state")} for _ in range(6)]
        path = write_csv(tmp_path / "odd.csv", rows)
        words = [*COLUMNS, "--lost-value", "f1=0"] if random.random() < 0.5 else ["--arm", "optimizer", "--value", "f1"]
        words += ["--block", "state"] if random.random() < 0.3 else []
        done = dnntrain("compare", path, *words, "--wide", cwd=tmp_path)
        assert done.returncode in (0, 2) and (done.returncode == 0 or done.stderr.startswith("error: "))


def test_a_requirement_by_columns_of_both_directions_names_one(tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{0.8 + 0.1 * (arm == 'b') + seed / 1000},{0.5 - 0.1 * (arm == 'b') + seed / 900}"
            for arm in "ab" for seed in range(5)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["arm,seed,f1,loss", *rows]))
    columns = ("t.csv", "--arm", "arm", "--seed", "seed", "--value", "f1", "--value", "loss:min")
    assert "such as ARM.f1" in error_of("compare", *columns, "--keep-if", "b > a", cwd=tmp_path)
    assert dnntrain("compare", *columns, "--keep-if", "b.f1 > a", cwd=tmp_path).stdout == "keep\n"
