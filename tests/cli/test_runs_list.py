"""`dnntrain runs list`: studies first, then runs, one line each at any width."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.store.run_store import RunStore
from dnntrain.utils.text_layout import one_line_each
from dnntrain.utils.times import parse_since
from tests.support.command import error_of, succeeds
from tests.support.inline import answer
from tests.support.records import made_record
from tests.support.studies import DIVERGED, FAILED, NOT_RUN, write_study

ORPHAN = "feedfeedfeed"
ARM = "an arm with a name of its own as well, as long as it may be (0.0001)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two studies, one of which is not complete, and a run that neither uses."""
    folder = tmp_path_factory.mktemp("listed")
    write_study(folder / "runs" / "whole", {"a": {"test_acc": [0.5, DIVERGED, FAILED]}, ARM: {"test_acc": [0.75] * 3}})
    write_study(folder / "runs" / "part", {"a": {"val_r2": [0.25, NOT_RUN]}}, metric="val_r2")
    store = RunStore(folder / "runs")
    for number in range(5):
        store.write(made_record(f"{number:012x}"), {"w": np.zeros(1, np.float32)})
    store.write(made_record(ORPHAN), {"w": np.zeros(1, np.float32)})
    old = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    os.utime(store.folder("0" * 12) / "run.json", (old, old))
    return folder


def lines(*words: str, folder: Path) -> list[list[str]]:
    _, *rows = succeeds("runs", "list", *words, cwd=folder).splitlines()
    return [line.split("\t") for line in rows]


def rows(*words: str, folder: Path) -> list[dict[str, Any]]:
    content: dict[str, list[dict[str, Any]]] = json.loads(succeeds("runs", "list", "--json", *words, cwd=folder))
    return next(iter(content.values()))


def test_studies_come_first(folder: Path) -> None:
    assert [line[:5] for line in lines(folder=folder)] == [
        ["part", "1", "1/2", "incomplete", "val_r2"],
        ["whole", "2", "4/6", "complete", "test_acc"],
    ]
    assert [(row["study"], row["finished"], row["planned"]) for row in rows(folder=folder)] == [
        ("part", 1, 2),
        ("whole", 4, 6),
    ]


def test_a_study_has_a_line_for_each_run(folder: Path) -> None:
    listed = lines("--study", "whole", folder=folder)
    assert [line[1:6] for line in listed] == [
        ["whole", "a", "0", "finished", "test_acc 50.00 %"],
        ["whole", "a", "1", "diverged", ""],
        *(["whole", ARM, str(seed), "finished", "test_acc 75.00 %"] for seed in range(3)),
        ["whole", "a", "2", "failed", ""],
    ]
    assert [line[0] for line in listed[:2]] == ["0" * 12, "0" * 11 + "1"] and listed[-1][0] == "-"


def test_all_includes_runs_that_no_study_uses(folder: Path) -> None:
    listed = lines("--all", folder=folder)
    assert len(listed) == 8 and listed[-1][:6] == [ORPHAN, "", "", "0", "finished", "val_acc 50.00 %"]


def test_runs_are_chosen_by_status_and_time(folder: Path) -> None:
    assert [row["seed"] for row in rows("--status", "diverged", folder=folder)] == [1]
    assert rows("--status", "running", folder=folder) == []
    recent = {row["run"] for row in rows("--since", "2d", folder=folder)}
    assert ORPHAN in recent and "0" * 12 not in recent
    assert "0" * 12 in {row["run"] for row in rows("--since", "2025-12-31", folder=folder)}


def test_csv_has_every_field(folder: Path) -> None:
    shown = succeeds("runs", "list", "--study", "part", "--csv", "-", cwd=folder)
    [row] = csv.DictReader(io.StringIO(shown))
    assert (row["study"], row["metric"], row["value"], row["status"]) == ("part", "val_r2", "0.25", "finished")
    assert datetime.fromisoformat(row["when"]).tzinfo
    assert succeeds("runs", "list", "--csv", "list.csv", cwd=folder) == succeeds("runs", "list", cwd=folder)
    assert (folder / "list.csv").read_text().startswith("study,arms,finished,planned,")


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wrapped_and_no_name_is_cut(width: int, folder: Path) -> None:
    done = answer(["runs", "list", "--study", "whole"], folder, width=width)
    printed = done.out.splitlines()
    assert done.code == 0 and len(printed) == 7
    assert sum(ARM in line for line in printed) == 3 and sum(f"{2:012x}" in line for line in printed) == 1
    if width < 120:  # all columns, separated by tabs, because id and arm do not fit
        assert printed == succeeds("runs", "list", "--study", "whole", cwd=folder).splitlines()
    else:
        assert max(map(len, printed)) <= width
        assert ("no room for: where, when" in done.err) == (width == 120)


def test_columns_are_left_out_in_order() -> None:
    table = (["run", "arm", "when"], [["abc", "one", "today"]])
    assert one_line_each(*table, width=15, droppable=["when", "arm"]) == (["run  arm  when", "abc  one  today"], [])
    assert one_line_each(*table, width=14, droppable=["when", "arm"]) == (["run  arm", "abc  one"], ["when"])
    assert one_line_each(*table, width=2, droppable=["when", "arm"]) == (["run\tarm\twhen", "abc\tone\ttoday"], [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--study", "whol"), "--study whol: no such study in runs; near it: whole"),
        (("--study", "zzz"), "`dnntrain runs list --out runs` lists the studies"),
        (("--status", "runing"), "--status runing: unknown; did you mean 'running'?"),
        (("--study", ""), "--study : no such study in runs"),
        (("--since", ""), "--since '': must be a duration"),
        (("--since", "yesterday"), "--since 'yesterday': must be a duration such as 2d"),
        (("--since", "999999w"), "--since '999999w': must be a duration"),
        (("--all", "--study", "whole"), "--all: not with --study whole"),
        (("--json", "--csv", "-"), "only one of --json and --csv - can go to stdout"),
    ],
)
def test_wrong_words_are_named(words: tuple[str, ...], message: str, folder: Path) -> None:
    assert message in error_of("runs", "list", *words, cwd=folder)


def test_a_wrong_id_is_never_answered_by_all_ids(folder: Path) -> None:
    error = error_of("runs", "show", "ffffffffffff", cwd=folder)
    assert "no study and no run 'ffffffffffff'" in error and ORPHAN not in error
    assert '"run": "feedfeedfeed"' in succeeds("runs", "show", "feed", cwd=folder)
    assert '"run": "000000000000"' in succeeds("runs", "show", "whole", cwd=folder)


def test_since_is_before_now() -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert parse_since("2d", now) == datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert parse_since("30m", now) == datetime(2026, 11, 27, 11, 30, tzinfo=UTC)
    assert parse_since("2026-11-01T00:00+00:00", now) == datetime(2026, 11, 1, tzinfo=UTC)
