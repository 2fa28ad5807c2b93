"""How often an arm clips stands in the tables, and what clipping in every step means in the footer."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from dnntrain.analysis.summary import Summary, summarize
from dnntrain.reporting.exports.csv_json import to_csv
from dnntrain.reporting.footer import footer
from dnntrain.reporting.tables import runs_table
from dnntrain.store.study_files import read_study
from tests.support.studies import write_study

SETTINGS = {"rare": {"global_clipnorm": 2.0}, "always": {"clipvalue": 0.01}, "old": {"clipnorm": 1.0}}
HISTORY = {  # by arm and seed: the clipped share and the cosine of each epoch
    "plain": {0: [(0.0, None)], 1: [(0.0, None)]},
    "rare": {0: [(0.02, 1.0), (0.0, 1.0)], 1: [(0.05, 1.0), (0.03, 1.0)]},
    "always": {0: [(1.0, 0.9), (1.0, 0.7)], 1: [(1.0, 0.5)]},
    "old": {0: [(0.5, None)], 1: [(0.7, None)]},
}


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    values = {arm: {"test_acc": [0.8, 0.81]} for arm in HISTORY}
    folder = write_study(tmp_path / "clips", values, settings=SETTINGS)
    lines = ["arm,seed,epoch,clipped,clip_cosine"]
    for arm, runs in HISTORY.items():
        for seed, epochs in runs.items():
            lines += [f"{arm},{seed},{n},{a},{'' if b is None else b}" for n, (a, b) in enumerate(epochs, 1)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    return summarize(read_study(folder))


def test_the_share_of_clipped_steps_stands_in_the_table(summary: Summary) -> None:
    table = runs_table(summary)
    shown = {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}
    assert [shown[arm]["clipped"] for arm in HISTORY] == ["", "2.5 %", "100 %", "60 %"]
    assert [shown[arm]["cosine"] for arm in HISTORY] == ["", "1.00", "0.65", ""]
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(to_csv([summary])))}
    assert float(rows["rare"]["clipped"]) == pytest.approx(0.025)
    assert float(rows["always"]["clip_cosine"]) == pytest.approx(0.65)
    assert rows["plain"]["clipped"] == rows["old"]["clip_cosine"] == ""


def test_the_footer_names_the_arms_that_clip_in_every_step(summary: Summary) -> None:
    [line] = [line for line in footer(summary) if line.startswith("Clipped")]
    assert line == "Clipped 100 % of all steps: always. That is a rescaled gradient, not clipping."
    assert any("1 keeps the direction" in line for line in footer(summary))


def test_a_study_without_clipping_or_history_says_nothing_of_it(tmp_path: Path) -> None:
    values = {arm: {"test_acc": [0.8, 0.81]} for arm in ("plain", "always")}
    study = summarize(read_study(write_study(tmp_path / "none", values, settings=SETTINGS)))
    assert "clipped" not in runs_table(study).headings and study.arm("always").clipped is None
    assert not any("lipped" in line for line in footer(study))
