"""A store that version 0.1.0 wrote stays valid: nothing in it is trained again, and its figures stay the same.

tests/cases/stores/v0.1 holds three presets, the table that one of them reads, and what this version made of them:

    for study in table images transfer; do dnntrain ablate $study.yaml; done
    dnntrain report runs --csv report.csv

The files in runs/ and report.csv are never written again. A preset changes only where a key gets another name.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from pathlib import Path

import pytest

from dnntrain.config.run_id import run_id
from dnntrain.config.spec import RunSpec
from dnntrain.store.progress import recorded_in_words
from tests.support.command import dnntrain, succeeds

OLD = Path(__file__).parents[1] / "cases" / "stores" / "v0.1"
RUNS = {"table": 4, "images": 4, "transfer-base": 1, "transfer": 4}
"""How many runs each study has."""

JUDGED = {"method", "verdict", "further_seeds"}
"""The columns that say how arms were judged, which is another procedure today: two seeds have no verdict."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the old store, with its presets."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def files(store: Path) -> dict[str, bytes]:
    """The runs' files."""
    runs = store / "runs" / "store"
    return {str(path.relative_to(runs)): path.read_bytes() for path in runs.rglob("*") if path.is_file()}


def agree(old: str, new: str) -> bool:
    """Whether two cells hold the same text, or the same number: its last digits depend on scipy's version."""
    try:
        return math.isclose(float(old), float(new), rel_tol=1e-6)
    except ValueError:
        return old == new


def check_report(store: Path) -> None:
    """The report has the figures that the old version reported."""
    reported = list(csv.DictReader(io.StringIO(succeeds("report", "runs", "--csv", "-", cwd=store))))
    with (OLD / "report.csv").open(encoding="utf-8", newline="") as lines:
        expected = list(csv.DictReader(lines))
    assert [(row["study"], row["arm"]) for row in reported] == [(row["study"], row["arm"]) for row in expected]
    for old, new in zip(expected, reported, strict=True):
        if old["high"] and old["metric"].endswith("acc"):
            old["high"] = str(min(float(old["high"]), 1.0))  # intervals now end at what an accuracy can differ by
        assert [column for column in old.keys() - JUDGED if not agree(old[column], new[column])] == [], (old, new)


def test_an_old_store_is_reported_with_the_same_figures(store: Path) -> None:
    check_report(store)


def test_an_old_store_is_whole(store: Path) -> None:
    assert f"{sum(RUNS.values())} of {sum(RUNS.values())} runs are whole" in succeeds("runs", "verify", cwd=store)


def test_the_studies_of_an_old_store_are_not_trained_again(store: Path) -> None:
    before = files(store)
    said = ""
    for study in ("table", "images", "transfer"):
        done = dnntrain("ablate", f"{study}.yaml", "--workers", 1, cwd=store)
        assert done.returncode == 0, done.stderr
        said += done.stderr
    for study, runs in RUNS.items():
        assert f"{study}: {recorded_in_words(runs, runs)} already" in said
    assert files(store) == before
    check_report(store)


@pytest.mark.parametrize("record", sorted(OLD.glob("runs/store/*/run.json")), ids=lambda path: path.parent.name)
def test_the_recorded_settings_have_the_digest_that_names_the_run(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(OLD)  # the settings name a table there
    run = json.loads(record.read_text(encoding="utf-8"))
    spec = RunSpec.from_record(run["settings"])
    assert run_id(spec, run["data"]["fingerprint"], run["engine"]) == run["run"]


def test_predictions_of_old_runs_are_made_from_their_weights(store: Path) -> None:
    before, count = files(store), sum(RUNS.values())
    assert f"{count} of {count} runs evaluated\n" == succeeds("runs", "evaluate", cwd=store)
    after = files(store)
    assert {name: content for name, content in after.items() if name in before} == before
    assert sum(name.endswith("predictions.npz") for name in after) == count
    assert f"{count} of {count} runs are whole" in succeeds("runs", "verify", cwd=store)
