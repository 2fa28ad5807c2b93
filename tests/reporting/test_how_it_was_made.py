"""Every report says how its study was made, and every export says the same."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dnntrain.analysis.clipping import CLIPPING, clipping_keys
from dnntrain.analysis.summary import Summary, summarize
from dnntrain.cli.plan import own_settings
from dnntrain.config.shown import USUAL_SETTINGS, split_settings, usual_settings
from dnntrain.config.spec import RunSpec
from dnntrain.errors import InputError
from dnntrain.reporting.exports.csv_json import to_json
from dnntrain.reporting.exports.html import to_html
from dnntrain.reporting.exports.latex import aligned_numbers, to_latex
from dnntrain.reporting.exports.layer_history import to_layer_csv
from dnntrain.reporting.exports.markdown import to_markdown
from dnntrain.reporting.footer import OPTION_ADVICE
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.terminal import study_report
from dnntrain.store.provenance import Provenance, busy_time
from dnntrain.store.study_files import read_study
from dnntrain.studies.build import preset_study
from dnntrain.utils.console import as_text
from dnntrain.utils.fields import format_value
from tests.support.command import error_of, succeeds
from tests.support.records import made_record
from tests.support.studies import write_study

START = datetime(2026, 11, 27, 10, tzinfo=UTC)
COMMAND = "dnntrain ablate rates.yaml --seeds 3"
ARMS = {"plain": {}, "steep": {"lr": 0.1}, "bn": {"bn": True, "bn_place": "after"}}


@pytest.fixture
def study(tmp_path: Path) -> Summary:
    settings = {name: RunSpec.parse({"data": "fashion-mini"} | own).settings() for name, own in ARMS.items()}
    environment = {"engine": "5", "torch": "2.13.0", "python": "3.11.7", "cpu": "Xeon", "device": "cpu", "runs": 9}
    training = {"runs": 9, "dnntrain": ["0.2.0"], "started": START.isoformat(), "wall_seconds": 600.0,
                "ended": (START + timedelta(minutes=90)).isoformat(), "cpu_seconds": 480.0}  # fmt: skip
    values = {name: {"test_acc": [0.8 + 0.01 * seed for seed in range(3)]} for name in ARMS}
    folder = write_study(
        tmp_path / "rates", values, settings=settings, environments=[environment], training=training, command=COMMAND
    )
    return summarize(read_study(folder))


def test_a_short_text_says_what_a_reader_needs(study: Summary) -> None:
    lines = dict(provenance_lines(study))
    common = lines["settings of all arms"].split(", ")
    assert {"data=fashion-mini", "epochs=10", "act=relu"} <= {*common}
    # neither what differs, nor a seed, nor hyperparameters of techniques that are off, nor what is off
    assert not [each for each in common if each.startswith(("lr=", "bn", "seed=", "dropout", "l2"))]
    assert lines["settings that differ"] == "lr, bn, bn_place (--wide has those of each arm)"
    assert lines["software"] == "dnntrain 0.2.0, engine 5, PyTorch 2.13.0, Python 3.11.7"
    assert lines["machine"] == "Xeon, cpu" and lines["command"] == COMMAND
    assert lines["training"] == ("9 runs, 2026-11-27 10:00 to 11:30 UTC, 10 min of wall time")


def test_every_export_says_it(study: Summary) -> None:
    text = as_text(study_report(study))
    documents = to_markdown([study]), to_html([study]), to_latex([study])
    for each in (text, *documents):
        assert each.count(COMMAND) == 1 and "PyTorch 2.13.0" in each and "2026-11-27 10:00" in each
    for each in documents:  # which are read without the records
        assert "lr=0.1" in each and "bn=on, bn_place=after" in each
    comments = [line for line in documents[2].splitlines() if line.startswith("%")]
    assert any(COMMAND in line for line in comments)
    [data] = json.loads(to_json([study]))["studies"]
    assert data["settings"]["by_arm"]["steep"]["lr"] == 0.1 and data["settings"]["common"]["epochs"] == 10
    assert data["command"] == COMMAND and data["training"]["recorded"]["dnntrain"] == ["0.2.0"]


def test_an_arm_shows_what_is_on_in_it_or_in_the_baseline(study: Summary) -> None:
    table = settings_table(study)
    assert table and dict(table.rows) == {
        "plain": "lr=0.01", "steep": "lr=0.1", "bn": "lr=0.01, bn=on, bn_place=after",
    }  # fmt: skip


def test_what_is_off_on_a_module_is_as_in_the_module(tmp_path: Path) -> None:
    values = {name: {"test_acc": [0.5, 0.6]} for name in ("wet", "plain")}
    module = {"net": "module:mynet.py:Net", "lr": 0.1}
    settings = {"wet": module | {"dropout": 0.4, "bn": False}, "plain": module | {"dropout": None, "bn": True}}
    table = settings_table(summarize(read_study(write_study(tmp_path / "made", values, settings=settings))))
    assert table and dict(table.rows) == {"wet": "dropout=0.4", "plain": "dropout=as in the module, bn=on"}

    study = preset_study("own-module", {})
    baseline = own_settings(study, next(arm for arm in study.arms if arm.name == study.baseline))
    assert baseline["dropout"] == "as in the module" and "off" not in map(format_value, baseline.values())


def test_old_records_say_what_they_do_not_know(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "old", {"a": {"test_acc": [0.5]}})
    assert dict(provenance_lines(summarize(read_study(folder)))) == {
        "data": "made (5,000 training and 2,000 test examples)",
        "training": "1 run, 1 s of training time in all; the records do not say when",
    }


def test_settings_of_techniques_that_are_not_here_are_split_as_well() -> None:
    arms: dict[str, dict[str, Any]] = {
        "a": {"lr": 0.1, "seed": 0, "shake": None, "shake_rate": 3.0},
        "b": {"lr": 0.1, "seed": 5, "shake": 0.5, "shake_rate": 3.0},
    }
    split = split_settings(arms)
    assert split.common == {"lr": 0.1, "shake_rate": 3.0}
    assert split.by_arm == {"a": {"shake": None}, "b": {"shake": 0.5}} and split.varied == ["shake"]


def test_what_reports_know_without_the_catalogue_is_what_the_catalogue_says() -> None:
    assert usual_settings() == USUAL_SETTINGS
    assert clipping_keys() == CLIPPING


def test_wall_time_has_no_gaps_and_counts_nothing_twice() -> None:
    spans = [(0, 10), (5, 20), (6, 8), (100, 101)]
    moments = [(START + timedelta(minutes=a), START + timedelta(minutes=b)) for a, b in spans]
    assert busy_time(moments) == timedelta(minutes=21)


def test_times_are_those_of_the_records_that_have_them() -> None:
    provenance, end = Provenance(), START + timedelta(minutes=3)
    provenance.add("a", made_record("0" * 12))
    assert provenance.training is None
    provenance.add("a", made_record("1" * 12, dnntrain="0.2.0", started=START, ended=end, cpu_seconds=7.0))
    training = provenance.training
    assert training and (training.runs, training.dnntrain, training.cpu_seconds) == (1, ["0.2.0"], 7.0)
    assert (training.started, training.ended, training.wall_seconds) == (START, end, 180.0)


def test_the_numbers_of_a_latex_column_are_aligned() -> None:
    assert aligned_numbers(["+1.25 [-0.5, +10.0]", "-12.5 [-20.25, -5.0]", "baseline"]) == [
        r"\phantom{1}$+$1.25 [\phantom{2}$-$0.5\phantom{5}, $+$10.0]",
        r"$-$12.5\phantom{5} [$-$20.25, \phantom{1}$-$5.0]",
        "baseline",
    ]
    assert aligned_numbers(["25,173 ± 904", "904 ± 12"]) == [
        r"25,173 $\pm$ 904",
        r"\phantom{25,}904 $\pm$ \phantom{9}12",
    ]
    assert aligned_numbers(["< .001", "0.5"]) == ["$<$ .001", "0.5"]


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        (
            "Another test set would move Δ by: bn 1.1. --population judges over both.",
            "Another test set would move Δ by: bn 1.1.",
        ),
        (
            "a is the baseline because it comes first; --baseline names another.",
            "a is the baseline because it comes first.",
        ),
        ("It hides that; see --metric macro_f1 or balanced_acc.", "It hides that."),
        ("about 8 to 10 %. From the start, --until-resolved keeps it at 5 %.", "about 8 to 10 %."),
        ("Runs: 1 diverged; they are left out, because --lost-value is not given.", ""),
    ],
)
def test_a_caption_gives_no_advice_on_options(line: str, printed: str) -> None:
    assert OPTION_ADVICE.sub("", line) == (printed or line)


def test_latex_has_the_effects_with_their_notes(tmp_path: Path) -> None:
    arms = [{"name": name, "settings": {}, "levels": levels} for name, levels in {
        "base": {"act": "", "bn": ""}, "act": {"act": "act", "bn": ""},
        "bn": {"act": "", "bn": "bn"}, "act+bn": {"act": "act", "bn": "bn"},
    }.items()]  # fmt: skip
    values = {
        arm["name"]: {"test_acc": [0.1 * k + 0.01 * ((7 * s + 3 * k) % 5) for s in range(4)]}
        for k, arm in enumerate(arms)
    }
    folder = write_study(tmp_path / "made", values, arms=arms, design="factorial", question="Which?")
    text = to_latex([summarize(read_study(folder))])
    main, effects = text.split(r"\begin{table}")[1:]
    assert (
        r"\caption{Which?}" in main and r"$\Delta$ from base in points" in main
    )  # the caption is short, the notes are below
    assert r"\label{tab:made-effects}" in effects and r"$\times$" in effects
    assert "difference of differences" in effects.split(r"\end{tabular}")[1]


def test_the_page_colors_verdicts_and_works_without_other_files(study: Summary, tmp_path: Path) -> None:
    arms = {"base": [0.5, 0.51, 0.52], "good": [0.81, 0.8, 0.82], "bad": [0.21, 0.22, 0.2]}
    folder = write_study(tmp_path / "made", {name: {"test_acc": values} for name, values in arms.items()})
    page = to_html([summarize(read_study(folder)), study])
    assert '<td class="green">better</td>' in page and '<td class="red">worse</td>' in page
    assert "http://" not in page and "https://" not in page and 'src="data:' in page
    assert '<a href="#study-2">rates</a>' in page and "@media print" in page


HISTORY = """study,arm,seed,run,epoch,lr,grad_norm,dead,weights,activations
made,a,0,r0,1,0.1,1.5e-09 nan 2,0.25 0,h1 h2 output,h1 h2
made,a,0,r0,2,0.1,1 2 3,0 0,h1 h2 output,h1 h2
"""


def test_the_history_of_layers_has_a_row_for_each(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "made", {"a": {"test_acc": [0.5]}})
    (folder / "history.csv").write_text(HISTORY)
    text = succeeds("report", folder, "--history", "-")
    assert text == to_layer_csv([summarize(read_study(folder))])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["epoch"], row["layer"]) for row in rows] == [(e, n) for e in "12" for n in ("h1", "h2", "output")]
    assert [row["grad_norm"] for row in rows] == ["1.5e-09", "", "2", "1", "2", "3"]
    assert [row["dead"] for row in rows][:3] == ["0.25", "0", ""]
    (folder / "history.csv").write_text(HISTORY.replace(",weights,activations", "").replace(",h1 h2 output,h1 h2", ""))
    numbered = list(csv.DictReader(io.StringIO(to_layer_csv([summarize(read_study(folder))]))))
    assert [row["layer"] for row in numbered][:3] == ["1", "2", "3"]  # as old histories have it
    (tmp_path / "table.csv").write_text("arm,seed,f1\na,0,1\nb,0,2\na,1,2\nb,1,3\n")
    assert "is a table" in error_of(
        "compare", tmp_path / "table.csv", "--arm", "arm", "--value", "f1", "--history", "-"
    )
    (folder / "history.csv").unlink()
    summary = summarize(read_study(folder))
    with pytest.raises(InputError, match=r"history\.csv"):
        to_layer_csv([summary])
