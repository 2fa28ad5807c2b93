"""Nothing printed is cut: every name is whole and every figure is in the JSON, at every width of a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from dnntrain.analysis.summary import Summary, summarize
from dnntrain.analysis.transfer import sized_pairs
from dnntrain.metrics import METRICS
from dnntrain.reporting import formatting
from dnntrain.reporting.against import compared_arms, comparison_table
from dnntrain.reporting.exports.csv_json import to_csv, to_json
from dnntrain.reporting.exports.html import html_table
from dnntrain.reporting.exports.latex import to_latex
from dnntrain.reporting.exports.markdown import to_markdown
from dnntrain.reporting.tables import main_table
from dnntrain.reporting.terminal import study_report
from dnntrain.reporting.training import training_report
from dnntrain.reporting.transfer import cost_table, size_notes, size_table, supported
from dnntrain.statistics import Interval
from dnntrain.store.study_files import read_study
from dnntrain.utils.text_layout import TextTable
from tests.support.command import environment
from tests.support.inline import answer
from tests.support.records import made_record

WIDTHS = (40, 60, 80, 120)
FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")

NAMES = ["baseline", "slow-rate", "adam, its own rate and decay", "批归一化和很长的名字" * 3, "x" * 80]


def figures(base: float, spread: float, arms: list[str], seeds: int = 5) -> dict[str, list[float]]:
    """Made-up runs of some arms; those of the last differ by a millionth."""
    rng = np.random.default_rng(1)
    made = {arm: (base + spread * (i + rng.normal(size=seeds))).tolist() for i, arm in enumerate(arms)}
    made[arms[-1]] = [base * (1 + 1e-6 * i) for i in range(seeds)]
    return made


def write_study(folder: Path, metric: str, values: dict[str, list[float]], **more: Any) -> Path:
    """A study as `ablate` leaves it; nan is a run that diverged."""
    folder.mkdir(parents=True)
    rows, history = [], []
    for arm, of_arm in values.items():
        for seed, value in enumerate(of_arm):
            lost = math.isnan(value)
            row = {"study": folder.name, "arm": arm, "seed": seed, "run": f"{len(rows):012x}"}
            outcome = {metric: "" if lost else value, "test_acc": 0.8 + seed / 1234, "mc_test_acc": 0.81 + seed / 4321}
            rows.append(row | {"status": "diverged" if lost else "finished", "val_loss": 0.5, **outcome,
                               "health": "exploding" if lost else "healthy", "seconds": 0.0123 + seed})  # fmt: skip
            history += [row | {"epoch": 1} | {f"val_{name}": 0.1 * seed for name in METRICS}]
    for name, table in (("results.csv", rows), ("history.csv", history)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
    data = {"name": "houses.csv", "train_examples": 16_384, "test_examples": 4_096, "notes": ["17 rows left out"],
            "task": "regression"}  # fmt: skip
    description = {"name": folder.name, "question": "Which?", "baseline": next(iter(values)), "metric": metric,
                   "seeds": list(range(5)), "arms": [{"name": arm, "settings": {"act": arm}} for arm in values],
                   "datasets": [data]}  # fmt: skip
    (folder / "study.json").write_text(json.dumps(description | more))
    return folder


def factorial(folder: Path) -> Path:
    """Two factors, each on and off."""
    cells = {"none": ("", ""), "a": ("a", ""), "b": ("", "b"), "a+b": ("a", "b")}
    arms = [{"name": name, "levels": {"a": a, "b": b}} for name, (a, b) in cells.items()]
    return write_study(folder, "val_loss", figures(1e-5, 3e-7, [*cells]), design="factorial", arms=arms)


def regression(folder: Path) -> Path:
    """Long names, a lost run, an optimistic metric, published figures, two data sets, two environments."""
    values = figures(25172.7235, 903.6, NAMES)
    values["slow-rate"][2] = math.nan
    settings = {"epochs": 3, "train_size": 100, "early_stop": 2}
    arms = [{"name": name, "settings": settings | {"act": name}, "implied": ["1,201 parameters, not 1,141"],
             "published": {"val_rmse": 24000.5, "test_acc": 0.8125}} for name in NAMES]  # fmt: skip
    datasets = [{"name": f"{name}.csv", "train_examples": 1234, "test_examples": 567, "task": "regression",
                 "notes": [f"{n} rows left out"], "arms": NAMES[i::2]}
                for i, (name, n) in enumerate([("north", 31), ("south", 77)])]  # fmt: skip
    trained = [{"torch": torch, "runs": n} for torch, n in (("2.13.0", 19), ("2.12.1", 6))]
    constants = {name: {"val_rmse": 31_234.5} for name in NAMES}
    return write_study(
        folder, "val_rmse", values, arms=arms, datasets=datasets, environments=trained, constants=constants
    )


STUDIES = {
    "regression": regression,
    "factorial": factorial,
    "in and out": lambda folder: write_study(
        folder, "val_rmse", figures(1e12, 3e10, ["none", "a", "b", "all", "no a", "no b"]), design="in-and-out",
        baseline="none",
    ),
    "shares": lambda folder: write_study(folder, "test_acc", figures(0.85, 0.01, NAMES[:3])),
    "ladder": lambda folder: write_study(folder, "test_acc", figures(0.55, 0.1, ["scratch", "frozen", "unfreeze 1"])),
    "sizes": lambda folder: write_study(
        folder, "test_rmse", figures(2e4, 700, [f"{arm} ({n})" for n in (20, 1000) for arm in ("scratch", "transfer")]),
        baseline=None,
    ),
    "one seed": lambda folder: write_study(folder, "val_rmse", figures(25172.7235, 903.6, NAMES, seeds=1)),
}  # fmt: skip


def shown(what: RenderableType, width: int) -> str:
    """What a terminal of that width shows."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def report_of(summary: Summary) -> Iterator[RenderableType]:
    """Everything that `report --wide` prints of a study."""
    yield study_report(summary, wide=True)
    if sized_pairs(summary):
        yield size_table(summary)
        yield "\n".join(size_notes(summary))
    elif "scratch" in {arm.name for arm in summary.arms}:
        yield cost_table(summary)
        yield supported(summary)


def numbers(value: object) -> Iterator[float]:
    """All numbers in a JSON document, those in its texts included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers([key, item])
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, str):
        yield from (float(text.replace(",", "")) for text in FIGURE.findall(value))
    elif isinstance(value, int | float):
        yield value


def is_among(text: str, known: np.ndarray) -> bool:
    """Whether a printed figure is one of these numbers, rounded to its last digit; shares may be in percent."""
    mantissa, _, exponent = text.replace(",", "").partition("e")
    place = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    value = float(text.replace(",", ""))
    return any(bool((abs(x - value) <= 0.5001 * place).any()) for x in (known, 100 * known))


@pytest.mark.parametrize("name", STUDIES)
def test_every_figure_printed_is_in_the_json_and_every_name_is_whole(name: str, tmp_path: Path) -> None:
    summary = summarize(read_study(STUDIES[name](tmp_path / "made")))
    written = json.loads(to_json([summary]))
    known = np.array([*numbers(written), *numbers(str(summary.results.folder))])
    for width in WIDTHS:
        lines = "".join(shown(part, width) for part in report_of(summary)).splitlines()
        assert max(map(cell_len, lines)) <= width
        text = re.sub(r"< \.001|> 1,000|in 95 of 100 studies", "", " ".join(lines))  # bounds that are not measured
        assert "…" not in text
        missing = [figure for figure in FIGURE.findall(text) if not is_among(figure, known)]
        assert not missing, width
        squeezed = "".join(text.split())
        assert all("".join(arm.name.split()) in squeezed for arm in summary.arms), width
    csv_rows = list(csv.DictReader(io.StringIO(to_csv([summary]))))
    assert [float(row["mean"]) for row in csv_rows] == [arm.mean for arm in summary.arms]
    assert [row["values"].split() for row in csv_rows] == [
        [repr(v) for v in arm.values.values()] for arm in summary.arms
    ]


def plain_latex(text: str) -> str:
    """LaTeX without what aligns the numbers of a column, and with the terminal's signs."""
    text = re.sub(r"\\phantom\{[^}]*\}", "", text)
    return text.replace(r"$\pm$", "±").replace("$-$", "-").replace("$+$", "+")


def test_all_documents_use_the_words_of_the_terminal(tmp_path: Path) -> None:
    summary = summarize(read_study(regression(tmp_path / "made")))
    arm = summary.arms[1]
    cells = [formatting.spread(arm, "val_rmse"), formatting.against_baseline(arm, summary)]
    assert re.fullmatch(r"\d\d,\d{3} ± [\d,]+ \([\d,]+ finished\)", cells[0])
    documents = to_markdown([summary]), plain_latex(to_latex([summary]))
    page = html_table(main_table(summary, wide=True)).replace("−", "-")  # pages have true minus signs
    for text in (*documents, page):
        assert all(cell in text for cell in cells)
    for text in documents:
        assert "north.csv: 31 rows left out" in text and "south.csv: 77 rows left out" in text
        assert "2 environments" in text and "torch 2.12.1 (6 runs)" in text


def test_two_studies_side_by_side_are_whole_too(tmp_path: Path) -> None:
    first, second = (read_study(regression(tmp_path / name)) for name in "ab")
    arms = compared_arms(first, second, "val_rmse")
    written = json.loads(answer(["report", ".", "--against", "a", "b", "--json"], tmp_path).out)
    known = np.array(list(numbers(written)))
    for width in WIDTHS:
        text = shown(comparison_table(arms, "val_rmse"), width)
        assert all(is_among(figure, known) for figure in FIGURE.findall(text.replace("[95 %]", "")))
        assert "…" not in text and max(map(cell_len, text.splitlines())) <= width
        assert all("".join(name.split()) in "".join(text.split()) for name in NAMES)


@pytest.mark.parametrize(
    ("mean", "deviation", "said"),
    [
        (25172.7235, 903.601, "25,173 ± 904"),
        (0.3412345, 0.00213, "0.3412 ± 0.0021"),
        (-0.0001, 3.0, "0.0 ± 3.0"),
        (1e-5, 1.23e-7, "1.000e-05 ± 1.2e-07"),
        (1.23e12, 4.5e10, "1,230,000,000,000 ± 45,000,000,000"),
        (1.234e20, 4.5e18, "1.234e+20 ± 4.5e+18"),
        (0.3, 0.0, "0.3 ± 0"),
        (25172.7235, math.nan, "25,173"),
        (99999.7, math.nan, "100,000"),
        (1.2345678e-5, math.nan, "1.2346e-05"),
        (math.nan, math.nan, "-"),
        (math.inf, math.nan, "inf"),
    ],
)
def test_figures_have_the_digits_of_their_deviation(mean: float, deviation: float, said: str) -> None:
    assert formatting.mean_and_deviation(mean, deviation, "val_rmse") == said


def test_differences_have_them_too_and_shares_are_in_percent() -> None:
    wide = Interval(-1204.3, -2310.2, -98.1)
    assert formatting.difference(wide, "val_rmse", 903.6, math.nan) == "-1,204 [-2,310, -98]"
    assert formatting.difference(replace(wide, low=math.nan, high=math.nan), "val_rmse") == "-1,204.3"
    assert formatting.difference(Interval(0.02, -0.001, 0.041), "val_acc", 0.3) == "+2.00 [-0.10, +4.10]"
    assert formatting.mean_and_deviation(0.8712, 0.00513, "val_acc") == "87.12 ± 0.51"


def test_one_run_is_printed_with_its_digits() -> None:
    results = {"train_loss": 1.25e-5, "train_rmse": 1234567.8, "test_r2": -0.5, "test_acc": 0.0}
    text = " ".join(training_report([made_record(results=results, seconds=0.04)], Path("runs")).split())
    assert "loss 1.25e-05 RMSE 1,234,568" in text and "accuracy 0.00 % R² -0.5" in text and "time: 0.04 s" in text
    once = training_report([made_record(results=results).model_copy(update={"epochs": 1})], Path("runs"))
    assert "after 1 epoch, kept" in once
    assert once.endswith(f"record:   runs (run {made_record().run})")


def test_several_runs_are_printed_with_their_spread_and_settings() -> None:
    first = made_record(results={"train_acc": 0.9, "test_acc": 0.80})
    second = made_record(results={"train_acc": 0.9, "test_acc": 0.84}).model_copy(
        update={"settings": first.settings | {"seed": 1}, "health": "dead units (layer 1)", "epochs": 2}
    )
    lines = training_report([first, second], Path("runs/small")).splitlines()
    assert lines[0] == "seeds:    0, 1" and lines[-1] == "records:  runs/small"
    assert "test:     accuracy 82.00 ± 2.83 %" in lines
    assert "health:   1 healthy, 1 dead units (layer 1)" in lines
    diverged = first.model_copy(update={"results": {"train_acc": 0.1}})
    assert "test:     accuracy 82.00 ± 2.83 % (2 of 3 runs)" in training_report([first, second, diverged], Path("runs"))
    [settings] = [line for line in lines if line.startswith("settings:")]
    assert "optimizer=sgd" in settings and "lr=" in settings and "seed" not in settings


def test_a_table_is_whole_or_in_blocks_or_a_paragraph_per_row() -> None:
    table = TextTable("", ["arm", "mean", "Δ"], [["relu", "1,234 ± 5", "+12 [-3, +27]"]], frozenset({"mean", "Δ"}))
    heads = [line.split() for line in shown(table, 40).splitlines() if line.split()[:1] == ["arm"]]
    assert heads == [["arm", "mean", "Δ"]]
    heads = [line.split() for line in shown(table, 30).splitlines() if line.split()[:1] == ["arm"]]
    assert heads == [["arm", "mean"], ["arm", "Δ"]]
    lines = [line.rstrip() for line in shown(table, 17).splitlines()]
    assert lines == ["arm: relu", "  mean: 1,234 ± 5", "  Δ:", "    +12 [-3, +27]", ""]
    keyed = TextTable("", ["arm", "of", "mean", "Δ"], [["relu", "loss", "1,234 ± 5", "+12 [-3, +27]"]], keys=2)
    heads = [line.split() for line in shown(keyed, 36).splitlines() if line.split()[:1] == ["arm"]]
    assert heads == [["arm", "of", "mean"], ["arm", "of", "Δ"]]


def test_a_terminal_has_a_width_and_a_pipe_has_none(tmp_path: Path) -> None:
    folder = regression(tmp_path / "made")
    piped = answer(["report", "made"], tmp_path).out  # with COLUMNS=80
    assert all(any(name in line and "±" in line for line in piped.splitlines()) for name in NAMES)

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dnntrain", "report", str(folder)]
    with subprocess.Popen(command, env=environment(COLUMNS="60", TERM="xterm"), stdout=theirs) as process:
        os.close(theirs)
        text = b""
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            try:
                while part := terminal.read(4096):
                    text += part
            except OSError:
                pass  # Linux says so at the end
    assert process.returncode == 0
    lines = without_style(text.decode()).splitlines()
    assert max(map(cell_len, lines)) <= 60
    assert any(line.startswith(f"arm: {NAMES[0]}") for line in lines)


LONG = "a data set whose name goes on and on and on until it fits no column of a table.csv"
PRESET = f"""
base: {{data: "{LONG}", target: town, hidden: 3, epochs: 1}}
factors: {{"an arm with a name of its own as well, as long as it may be (0.0001)": {{act: elu, lr: 0.0123456}}}}
seeds: 1
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of data and arms with long names."""
    folder = tmp_path_factory.mktemp("recorded")
    rows = "".join(f"{i},{(TOWN, 'ort')[i % 2]}\n" for i in range(60))
    (folder / LONG).write_text(f"x,town\n{rows}")
    (folder / "small.yaml").write_text(PRESET)
    assert answer(["ablate", "small.yaml"], folder).code == 0
    return folder


TOWN = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"
WHOLE = {
    "ablate small.yaml --plan": [
        "an arm with a name of its own as well, as long as it may be (0.0001)",
        "lr=0.0123456",
    ],
    "ablate small.yaml": ["an arm with a name of its own as well, as long as it may be (0.0001)", LONG],
    "runs list": ["small", "2/2", "complete"],
    "runs list --all": ["small", "an arm with a name of its own as well, as long as it may be (0.0001)", "finished"],
    "runs verify": ["2 of 2 runs are whole"],
    "data list": ["fashion-mini", "dnntrain data fetch cifar10"],
    "data cache": ["MB"],
    "techniques": ["early_stop", "glorot"],
    "techniques power": ["power:s=10000"],
}


def without_style(text: str) -> str:
    """The text without a terminal's colors."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", WHOLE)
def test_no_command_cuts_a_name(command: str, width: int, recorded: Path) -> None:
    done, piped = (answer(command.split(), recorded, width=limit) for limit in (width, None))
    assert done.code == piped.code == 0, done.err
    text = without_style(done.out)
    assert text.count("…") == piped.out.count("…")
    plain = piped.out.splitlines()  # a path is left to the terminal to wrap
    assert not [line for line in text.splitlines() if cell_len(line) > width and line not in plain]
    for name in WHOLE[command]:
        assert name in piped.out
        assert all(word in text for word in name.split())  # wrapped between words, nothing folded


@pytest.mark.parametrize("width", WIDTHS)
def test_data_info_names_every_class(width: int, recorded: Path) -> None:
    done = answer(["data", "info", LONG, "--target", "town"], recorded, width=width)
    assert done.code == 0, done.err
    assert TOWN in "".join(without_style(done.out).split()) and "…" not in done.out
