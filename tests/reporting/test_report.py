"""What the report says and exports; hand-made tables, so that every number is known."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dnntrain.analysis.summary import summarize
from dnntrain.reporting.exports.csv_json import to_csv
from dnntrain.reporting.exports.html import html_table, to_html
from dnntrain.reporting.exports.latex import to_latex
from dnntrain.reporting.exports.markdown import markdown_text, to_markdown
from dnntrain.reporting.sparklines import curve_range, forest_range, forest_row, sparkline
from dnntrain.reporting.tables import main_table
from dnntrain.statistics import Interval
from dnntrain.store.study_files import read_study
from dnntrain.utils.text_layout import TextTable
from tests.support.command import error_of, succeeds

SEEDS = range(5)
SAME = [0.860, 0.862, 0.858, 0.861, 0.859]
ARMS: dict[str, list[float]] = {
    "relu": SAME,
    "elu": [0.880, 0.882, 0.879, 0.881, 0.878],
    "worse": [0.800, 0.802, 0.798, 0.801, 0.797],
    "twin": SAME,
    "close": [0.8603, 0.8618, 0.8581, 0.8612, 0.8588],
}


def write_study(folder: Path, values: dict[str, list[float | None]] | dict[str, list[float]], **more: Any) -> Path:
    """A study as `ablate` leaves it; None is a run that diverged."""
    folder.mkdir(parents=True)
    rows = []
    for arm, of_arm in values.items():
        for seed, value in enumerate(of_arm):
            status = "diverged" if value is None else "finished"
            text = "exploding (layer 1, epoch 1)" if value is None else "healthy"
            figures = {f"{part}_acc": value for part in ("val", "test")} | {"val_loss": value and 1 - value}
            rows.append({"study": folder.name, "arm": arm, "seed": seed, "run": f"{len(rows):012x}", "status": status,
                         "epochs_run": 3, "best_epoch": 3, **figures, "health": text, "seconds": 1.0})  # fmt: skip
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    described = [{"name": arm, "settings": {}, "published": {}} for arm in values]
    description = {"name": folder.name, "question": "Which?", "design": "list", "baseline": next(iter(values)),
                   "metric": "val_acc", "note": "", "seeds": [*SEEDS], "arms": described,
                   "data": {"name": "made", "train_examples": 100, "test_examples": 10_000,
                            "classes": [str(number) for number in range(10)]}}  # fmt: skip
    (folder / "study.json").write_text(json.dumps(description | more))
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "runs" / "made", ARMS)


def test_it_says_in_words_what_is_real(study: Path) -> None:
    summary = summarize(read_study(study))
    words = {arm.name: arm.verdict for arm in summary.arms}
    assert words == {"relu": "", "elu": "better", "worse": "worse", "twin": "identical", "close": "equivalent"}
    assert summary.family
    assert summary.family.k == 3  # a twin has no variance
    shown = succeeds("report", study)
    assert "3 comparisons by moderated t" in shown and "Dunnett's correction; δ = 0.3pp." in shown
    assert "Smallest difference that these seeds show with 80 % power" in shown
    assert "10,000 test examples" in shown


def test_delta_is_in_points_and_losses_turn_the_verdict_around(study: Path) -> None:
    records = json.loads(succeeds("report", study, "--json", "--delta", "3pp"))
    [made] = records["studies"]
    assert made["delta"] == pytest.approx(0.03)
    assert {arm["arm"]: arm["verdict"] for arm in made["arms"]}["elu"] == "better, but within ±δ"
    [by_loss] = json.loads(succeeds("report", study, "--json", "--metric", "val_loss"))["studies"]
    assert {arm["arm"]: arm["verdict"] for arm in by_loss["arms"]}["elu"] == "better"
    assert by_loss["delta"] == pytest.approx(0.01 * (1 - 0.86)) and by_loss["margin"] == "1%"
    assert "must be 0 or more" in error_of("report", study, "--delta", "-1")
    assert "did you mean 3pp?" in error_of("report", study, "--delta", "3")


def test_lost_runs_are_counted_and_named(tmp_path: Path) -> None:
    arms: dict[str, list[float | None]] = {"relu": [*SAME], "wild": [0.87, None, 0.88, None, 0.86]}
    shown = succeeds("report", write_study(tmp_path / "made", arms))
    assert "3/5" in shown
    assert "(87.00 finished)" in shown and "inconclusive: 2 of 5 lost" in shown
    # 2 of 5 against 0 of 5: 2 · (5C2 / 10C2) = 4/9
    assert "wild lost 2 of 5 runs (95 % interval of the rate: 5 to 85 %; Fisher's p against relu 0.44)" in shown
    assert "they count as chance (10.00 %)" in shown
    assert "Among the runs of wild that finished:" in shown and "(n = 3, not a verdict)" in shown


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    shown = succeeds("report", write_study(tmp_path / "made", {"relu": [0.86], "elu": [0.88]}, seeds=[0]))
    assert "one seed: no interval" in shown
    assert "[" not in shown.split("each run")[0].replace("[95 %]", "")


def test_a_metric_that_the_study_lacks_is_bad_input(study: Path) -> None:
    told = error_of("report", study, "--metric", "test_rmse")
    assert "has no metric test_rmse; it has" in told and "val_acc" in told


class Reader(HTMLParser):
    """Collects a page's cells and checks that its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not any(name in ("src", "href") and not value.startswith("data:") for name, value in attrs)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


def test_every_export_holds_every_arm(study: Path, tmp_path: Path) -> None:
    names = ("csv", "md", "latex", "html")
    files = [word for name in names for word in (f"--{name}", tmp_path / f"out.{name}")]
    succeeds("report", study, *files, "--figures", tmp_path / "figures")
    for name in names:
        text = (tmp_path / f"out.{name}").read_text()
        assert all(arm in text for arm in ARMS), name
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert float(table[1]["difference"]) == pytest.approx(0.02)
    assert float(table[1]["mean"]) == pytest.approx(0.88)
    latex = (tmp_path / "out.latex").read_text()
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 2  # the second metric has its own
    assert latex.count(r"\begin") == latex.count(r"\end")
    assert r"\toprule" in latex
    assert "Dunnett" in latex
    reader = Reader()
    reader.feed((tmp_path / "out.html").read_text())
    assert not reader.open
    assert {"elu", "better"} <= set(reader.cells)
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".svg", ".pdf"}


def test_exports_escape_what_their_format_would_interpret(tmp_path: Path) -> None:
    odd = "a|b <i>&amp; 50% {{ 7 * 7 }} x_1 --c"
    summary = summarize(read_study(write_study(tmp_path / "made", {"relu": SAME, odd: ARMS["elu"]})))
    assert r"| a\|b \<i>\&amp; 50% {{ 7 * 7 }} x_1 --c |" in to_markdown([summary])
    assert markdown_text("p < .001 & `a <b>`") == "p < .001 & `a <b>`"
    assert r"a\textbar{}b $<$i$>$\&amp; 50\% \{\{ 7 * 7 \}\} x\_1 -{}-c & 5/5" in to_latex([summary])
    table = html_table(main_table(summary, wide=False))
    assert "<td>a|b &lt;i&gt;&amp;amp; 50% {{ 7 * 7 }} x_1 --c</td>" in table
    reader = Reader()
    reader.feed(table)
    assert odd in "".join(reader.cells) and not reader.open


def test_no_name_can_put_a_script_into_a_page_or_markdown(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    data = {"name": script, "train_examples": 100, "test_examples": 100, "classes": [script, "b"], "license": script}
    arms = {"relu": SAME, script: ARMS["elu"]}
    folder = write_study(tmp_path / "made", arms, question=script, note=script, datasets=[data], command=script)
    results = folder / "results.csv"
    head, *rows = results.read_text().splitlines()
    results.write_text("\n".join([f"{head},{script}", *(f"{row},{script}" for row in rows)]) + "\n")
    summary = summarize(read_study(folder))
    page, markdown = to_html([summary]), to_markdown([summary])
    assert page.count("<script>") == 1 and page.count("&lt;script&gt;alert(1)") > 10
    assert markdown.count(r"\<script>alert(1)\</script>") == markdown.count("alert(1)") > 3


def test_html_has_true_minus_signs_in_its_numbers_alone() -> None:
    row = ["-5 to 1e-05", "-1.20 [-2, -.5]", "2026-11-27", "-"]
    table = TextTable("", ["arm", "Δ", "day", "none"], [row], frozenset({"Δ", "day", "none"}))
    assert re.findall("<td[^>]*>(.*?)</td>", html_table(table)) == [row[0], "−1.20 [−2, −.5]", *row[2:]]


def test_the_page_opens_in_a_browser(study: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = tmp_path / "page.html"
    succeeds("report", study, "--html", page)
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [browser, *flags, profile, "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout
    assert shown.count("<img") == (page.read_text()).count("<img") > 0
    assert "better" in shown


def test_an_arm_may_be_called_na(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "made", {"NA": SAME, "null": ARMS["elu"]})
    assert [arm.finished for arm in summarize(read_study(folder)).arms] == [5, 5]


def test_what_looks_like_a_number_or_nothing_stays_text(tmp_path: Path) -> None:
    names = ["NA", "null", "None", "nan", "1e-3", "010", "true"]
    folder = write_study(tmp_path / "010", dict.fromkeys(names, SAME))
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    path = folder / "results.csv"
    header, *lines = path.read_text().splitlines()
    settings = [f"{line},{rows[number]['arm']}" for number, line in enumerate(lines)]  # a setting that the arms vary
    path.write_text("\n".join([f"{header},missing", *settings]) + "\n")
    history = [f"010,{name},{seed},{epoch},0.5\n" for name in names for seed in range(2) for epoch in range(2)]
    (folder / "history.csv").write_text("study,arm,seed,epoch,val_loss\n" + "".join(history))
    results = read_study(folder)
    assert results.runs["arm"] == results.runs["missing"] == [n for n in names for _ in SEEDS]
    assert set(results.runs["study"]) == {"010"}
    assert list(results.validation_curves("val_loss")) == names
    exported = list(csv.DictReader(io.StringIO(to_csv([summarize(results)]))))
    assert [row["arm"] for row in exported] == names and {row["study"] for row in exported} == {"010"}


def test_two_studies_stand_side_by_side(study: Path, tmp_path: Path) -> None:
    other = write_study(tmp_path / "elsewhere" / "made", ARMS | {"elu": [v + 0.01 for v in ARMS["elu"]]})
    for folder, version in ((study, "2.13"), (other, "2.14")):
        described = json.loads((folder / "study.json").read_text())
        for arm in described["arms"]:
            arm["settings"] = {"act": arm["name"]}
        (folder / "study.json").write_text(json.dumps(described | {"environment": {"torch": version}}))
    shown = succeeds("report", tmp_path / "runs", "--against", "made", other)
    row = next(line for line in shown.splitlines() if line.strip().startswith("elu"))
    assert "+1.00 [+1.00, +1.00]" in row
    assert "0/5" in row
    assert "5/5" in next(line for line in shown.splitlines() if line.strip().startswith("relu"))
    assert "environment, torch: 2.13 | 2.14" in shown
    assert "no study at this path" in error_of("report", tmp_path / "runs", "--against", "made", "nothing")


def test_sketches_show_what_they_are_given() -> None:
    assert sparkline([0.0, 0.5, 1.0, float("nan")], 0.0, 1.0) == "▁▅█×"
    assert len(sparkline([0.1] * 100, 0.0, 1.0)) == 12
    curves = [0.9, 0.7, 0.6, 0.5, 0.8, 0.6, 0.5, float("nan")]
    assert curve_range(curves) == (0.5, 0.9) and curve_range([]) == (0.0, 1.0)
    low, high = curve_range([*curves, 1e6])  # one loss that goes astray does not flatten all others
    assert low == 0.5 and high < 2 and sparkline([0.5, 1e6], low, high) == "▁█"
    assert curve_range([0.1] * 9 + [0.8]) == (0.1, 0.8)
    assert forest_range([Interval(-1.0, -6.0, 4.0)]) == (-6.0, 4.0)  # a single arm's whole interval
    assert forest_range([Interval(1.0, 0.0, 2.0), Interval(2.0, 1.0, 3.0), Interval(1.0, -50.0, 52.0)]) == (-6.0, 6.0)
    assert forest_range([]) == (0.0, 0.0)
    assert forest_row(Interval(1.0, 0.5, 1.5), -1.0, 2.0, 31) == "          │    ├────●────┤"
    assert forest_row(Interval(0.0, -9.0, 9.0), -1.0, 1.0, 5) == "◄─●─►"
    assert forest_row(Interval(0.5, float("nan"), float("nan")), 0.0, 1.0, 5) == "│ ●"


DAMAGE: dict[str, tuple[str, str]] = {
    "a list": ("study.json", "[]"),
    "arms that are a word": ("study.json", '{"name": "x", "metric": "val_acc", "seeds": [0], "arms": "relu"}'),
    "no arms": ("study.json", '{"name": "x", "metric": "val_acc", "seeds": [0], "arms": []}'),
    "an unknown baseline": (
        "study.json",
        '{"name": "x", "metric": "val_acc", "seeds": [0], "arms": [{"name": "relu"}], "baseline": "b"}',
    ),
    "a word for a figure": (
        "results.csv",
        "study,arm,seed,run,status,val_acc,health,seconds\nx,relu,0,a,finished,high,healthy,1\n",
    ),
    "a word for a seed": (
        "results.csv",
        "study,arm,seed,run,status,val_acc,health,seconds\nx,relu,zero,a,finished,0.8,healthy,1\n",
    ),
    "a row twice": (
        "results.csv",
        "study,arm,seed,run,status,val_acc,health,seconds\n" + "x,relu,0,a,finished,0.8,healthy,1\n" * 2,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_with_its_file(damage: str, study: Path) -> None:
    file, text = DAMAGE[damage]
    (study / file).write_text(text)
    assert f"{file}: " in error_of("report", study)


def test_an_export_follows_a_link_and_leaves_a_pipe_a_pipe(study: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    succeeds("report", study, "--csv", tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert "elu" in (tmp_path / "real.csv").read_text()
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        succeeds("report", study, "--csv", tmp_path / "pipe")
        assert "elu" in reader.communicate(timeout=10)[0]
