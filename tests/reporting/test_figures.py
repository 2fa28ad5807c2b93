"""Figures: every curve, point and cell is what the records say, and no study is too odd to be drawn."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.sensitivity import LayerFactor
from dnntrain.analysis.summary import Summary, summarize
from dnntrain.analysis.tuning_curves import tuning_curves
from dnntrain.errors import InputError
from dnntrain.reporting.figures import (
    draw_all,
    draw_effects,
    draw_figure,
    draw_gradient_flow,
    draw_interactions,
    draw_learning_curves,
    draw_learning_rates,
    draw_score_against_time,
    draw_sensitivity,
    draw_tuning,
    file_names,
    read_history,
    rendered,
    save_figures,
)
from dnntrain.reporting.figures.axis_labels import place_labels
from dnntrain.reporting.figures.effects import VERDICT_COLORS
from dnntrain.reporting.figures.series import gradients, select_arms
from dnntrain.reporting.figures.style import LINE_COLORS, LINE_DASHES, LINE_MARKERS, VERMILLION
from dnntrain.reporting.sensitivity import factor_text
from dnntrain.reporting.tables import tables
from dnntrain.store.study_files import read_study
from tests.support.command import environment, error_of, succeeds

ALL = ("learning-curves", "effects", "gradient-flow", "sensitivity", "learning-rates", "confusion", "time")
FROM_RECORDS = ("sensitivity", "confusion")
"""The figures that need the runs' records and predictions."""
PNG = b"\x89PNG\r\n\x1a\n"
PRESET = """
name: small
question: Which rate?
base: {data: fashion-mini, hidden: 3x8, epochs: 3, batch_size: 64, train_size: 256, val: 256, lr: 0.05}
factors:
  cosine: {schedule: cosine}
  brief: {epochs: 1}
  broken: {lr: 1e6}
baseline: plain
seeds: 3
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """A small study as the command line leaves it; one of its arms diverges, one has a single epoch."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.yaml").write_text(PRESET, encoding="utf-8")
    succeeds("ablate", "small.yaml", "--workers", 1, cwd=folder)
    return summarize(read_study(folder / "runs" / "small"))


@pytest.fixture(scope="module")
def files(trained: Summary, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Its figures, in a folder that is not there yet. PDF, which takes the longest, has a test of its own."""
    return save_figures([trained], tmp_path_factory.mktemp("figures") / "not" / "yet", ["png", "svg"])


class Written:
    """A study built run by run."""

    def __init__(self, folder: Path, arms: list[str], seeds: int, **description: Any) -> None:
        self.folder = folder
        self.description = {
            "name": "hand",
            "arms": [{"name": arm} for arm in arms],
            "seeds": list(range(seeds)),
            "metric": "val_acc",
            "baseline": arms[0],
        } | description
        self.score = "acc"
        """Of a classification; r2 makes the study a regression."""
        self.runs: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []

    def run(
        self,
        arm: str,
        seed: int,
        values: list[float],
        status: str = "finished",
        grads: str = "0.1 1",
        lr: tuple[float, ...] = (),
        weights: str = "",
    ) -> None:
        """One run: its validation accuracy (and loss) by epoch."""
        final = values[-1] if status == "finished" else math.nan
        row = {"study": "hand", "arm": arm, "seed": seed, "run": f"{arm}{seed}", "status": status}
        self.runs.append(row | {"val_acc": final, "val_loss": final, "health": "healthy", "seconds": 1 + seed})
        for k, value in enumerate(values):
            rate = lr[k] if lr else 0.1
            figures = {"lr": rate, "grad_norm": grads, "val_acc": value, "val_loss": value}
            figures |= {"train_acc": value / 2, "train_loss": value / 2} | ({"weights": weights} if weights else {})
            self.history.append({"arm": arm, "seed": seed, "epoch": k + 1} | figures)

    def summary(self, metric: str | None = None, options: AnalysisOptions | None = None) -> Summary:
        """Writes the files, and summarizes them."""
        (self.folder / "study.json").write_text(json.dumps(self.description), encoding="utf-8")
        columns = ["study", "arm", "seed", "run", "status", "val_acc", "val_loss", "health", "seconds"]
        tables = {"results": pd.DataFrame(self.runs, columns=columns)}
        if self.history:
            tables["history"] = pd.DataFrame(self.history)
        for name, table in tables.items():
            table = table.rename(columns=lambda column: column.replace("acc", self.score))
            table.to_csv(self.folder / f"{name}.csv", index=False, na_rep="nan" if name == "history" else "")
        return summarize(read_study(self.folder), metric, options)

    def kinds(self, metric: str | None = None) -> list[str]:
        """The figures that are drawn of it, each rendered."""
        summary = self.summary(metric)
        found = []
        for kind, figure in draw_all(summary):
            assert rendered(figure, "png", dpi=50).startswith(PNG)
            found.append(kind)
        return found


@pytest.fixture
def steady(tmp_path: Path) -> Written:
    """Two arms, four seeds, three epochs."""
    study = Written(tmp_path, ["base", "more"], 4)
    for seed in range(4):
        study.run("base", seed, [0.5, 0.6, 0.7 + seed / 100], grads="0.001 1 10")
        study.run("more", seed, [0.6, 0.7, 0.8 + seed / 50], grads="0 nan 100", lr=(0.1, 0.05, 0.005))
    return study


def lines(axes: Axes, label: str) -> list[tuple[list[float], list[float]]]:
    """The data of the lines with that label."""
    chosen = [line for line in axes.lines if line.get_label() == label]
    return [(list(np.asarray(line.get_xdata())), list(np.asarray(line.get_ydata()))) for line in chosen]


def words(figure: Figure) -> str:
    """Title, subtitle and caption."""
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def drawn(figure: Figure | None) -> Figure:
    """The figure; there has to be one."""
    assert figure is not None
    return figure


# --- files -----------------------------------------------------------------------------------------------------------


def test_every_figure_is_written_for_print_and_with_text_that_stays_text(files: list[Path]) -> None:
    assert [file.name for file in files] == [f"small-{kind}.{end}" for kind in ALL for end in ("png", "svg")]
    for file in files:
        if file.suffix == ".png":
            content = file.read_bytes()
            assert content.startswith(PNG)
            per_meter = int.from_bytes(content[content.index(b"pHYs") + 4 :][:4])
            assert round(per_meter * 0.0254) == 300
        else:
            root = ET.parse(file).getroot()
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert any("Which rate?" in (text.text or "") for text in root.iter("{http://www.w3.org/2000/svg}text"))


def test_a_figure_for_a_paper_leaves_out_its_texts_and_their_room(trained: Summary, tmp_path: Path) -> None:
    for kind in ("effects", "gradient-flow"):
        whole, bare = draw_figure(kind, trained), draw_figure(kind, trained, titles=False)
        assert whole.texts and not bare.texts
        removed = whole.get_figheight() - bare.get_figheight()
        assert removed > 0.5 and whole.get_figwidth() == bare.get_figwidth()
        for before, after in zip(whole.axes, bare.axes, strict=True):  # what is drawn keeps its size
            assert before.get_window_extent().size == pytest.approx(after.get_window_extent().size)
            assert after.get_position().y0 >= 0 and after.get_position().y1 <= 1
    written = save_figures([trained], tmp_path, ["svg"], titles=False)
    assert len(written) == len(ALL) and not any("Which rate?" in file.read_text("utf-8") for file in written)


def test_a_file_of_figures_is_refused(trained: Summary) -> None:
    for name in ("fig.pdf", "fig.PNG"):
        said = error_of("report", trained.results.folder, "--figures", name)
        assert f"--figures {name}: names a file, but takes a folder" in said and f"savefig('{name}')" in said
        assert not Path(name).exists()
    assert "--no-titles: is about" in error_of("report", trained.results.folder, "--no-titles")


def test_a_pdf_has_fonts_that_can_be_edited(trained: Summary) -> None:
    content = rendered(draw_figure("effects", trained), "pdf")
    assert content.startswith(b"%PDF") and b"/Type3" not in content


def test_the_same_records_give_the_same_bytes(trained: Summary, files: list[Path], tmp_path: Path) -> None:
    once = {file.name: file.read_bytes() for file in files}
    again = save_figures([trained], tmp_path, ["svg"])
    assert len(again) == len(ALL) and all(file.read_bytes() == once[file.name] for file in again)
    svg = again[0].read_text(encoding="utf-8")
    assert "<dc:date>" not in svg and "matplotlib" not in svg.split("<defs>")[0]


def test_a_factorial_design_has_a_panel_for_each_pair_of_factors(tmp_path: Path) -> None:
    levels = [
        {"act": act, "bn": bn, "rate": rate} for act in ("relu", "elu") for bn in ("", "bn") for rate in ("", "r")
    ]
    names = ["+".join(filter(None, each.values())) for each in levels]
    arms = [{"name": name, "levels": each} for name, each in zip(names, levels, strict=True)]
    study = Written(tmp_path, names, 3, design="factorial")
    study.description["arms"] = arms
    for number, name in enumerate(names):
        for seed in range(3):
            study.run(name, seed, [0.1 * number + 0.01 * seed])
    figure = drawn(draw_interactions(study.summary()))
    assert [axes.get_xlabel() for axes in figure.axes] == ["act", "act", "bn"]
    handles, labels = figure.axes[0].get_legend_handles_labels()
    assert labels == ["off", "on"]
    # relu without batch norm, over both rates and all seeds: arms 0 and 1
    assert handles[0][0].get_ydata()[0] == pytest.approx(100 * (0.05 + 0.01))
    study.description["design"] = "list"
    assert draw_interactions(study.summary()) is None


def test_tuned_arms_show_what_was_tried(tmp_path: Path) -> None:
    for folder in ("hand-tuning", "hand-tuned"):
        (tmp_path / folder).mkdir()
    tried = {f"{arm} ({lr:g})": {"name": f"{arm} ({lr:g})", "settings": {"act": arm, "lr": lr, "seed": 0}}
             for arm in ("elu", "selu") for lr in (0.01, 0.1)}  # fmt: skip
    tuning = Written(tmp_path / "hand-tuning", [*tried], 2, baseline=None)
    tuning.description["arms"] = [*tried.values()]
    for number, arm in enumerate(tried):
        tuning.run(arm, 0, [0.1 * number])
        tuning.run(arm, 1, [0.1 * number + 0.2], status="diverged" if arm == "selu (0.1)" else "finished")
    tuning.summary()
    arms = [{"name": arm, "tuned": "lr", "settings": {"act": arm, "lr": 0.01, "seed": 0}} for arm in ("elu", "selu")]
    study = Written(tmp_path / "hand-tuned", ["elu", "selu"], 1)
    study.description["arms"] = arms
    for arm in ("elu", "selu"):
        study.run(arm, 0, [0.5])
    summary = study.summary()
    curve, other = tuning_curves(summary.results)
    assert (curve.arm, curve.setting, curve.metric, curve.chosen) == ("elu", "lr", "val_acc", 0.01)
    assert curve.scores == {0.01: pytest.approx([0.0, 0.2]), 0.1: pytest.approx([0.1, 0.3])}
    assert math.isnan(other.scores[0.1][1])
    figure = drawn(draw_tuning(summary))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["elu: 0.01", "selu: 0.01"]
    assert [*figure.axes[0].lines[2].get_ydata()] == pytest.approx([10, 20])
    assert "rules the value out" in " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    shutil.rmtree(tmp_path / "hand-tuning")
    assert draw_tuning(summary) is None


def test_studies_of_one_name_do_not_overwrite_each_other() -> None:
    assert file_names(["../a:b", "A_b", "x y", "..", "a_b"]) == ["a_b", "A_b-2", "x_y", "study", "a_b-3"]


def test_unknown_formats_and_unwritable_folders_are_said(steady: Written, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown figure format 'jpg'; choose from png, svg, pdf"):
        save_figures([steady.summary()], tmp_path, ["jpg"])
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot write to"):
        save_figures([steady.summary()], tmp_path / "file")


def test_neither_torch_nor_pyplot_is_imported(steady: Written) -> None:
    steady.summary()
    code = (
        "import sys; from pathlib import Path; from dnntrain.reporting.figures import save_figures;"
        "from dnntrain.store.study_files import read_study; from dnntrain.analysis.summary import summarize;"
        f"folder = Path({str(steady.folder)!r}); save_figures([summarize(read_study(folder))], folder, ['png', 'svg']);"
        "assert not {'torch', 'matplotlib.pyplot'} & sys.modules.keys()"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environment(), timeout=60)


# --- what is drawn ---------------------------------------------------------------------------------------------------


def test_the_curves_are_the_means_and_the_band_one_deviation(steady: Written) -> None:
    figure = drawn(draw_learning_curves(steady.summary(), read_history(steady.folder)))
    (axes,) = figure.axes
    ((x, y),) = lines(axes, "more")
    assert x == [1, 2, 3]
    assert y == pytest.approx([60, 70, 100 * np.mean([0.8, 0.82, 0.84, 0.86])])
    deviation = 100 * np.std([0.7, 0.71, 0.72, 0.73], ddof=1)
    corners = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    assert corners[:, 1].max() == pytest.approx(71.5 + deviation)
    assert "±1 standard deviation of 4 seeds" in words(figure)


def test_the_curves_of_a_real_study_are_the_means_of_its_history(trained: Summary) -> None:
    history = read_history(trained.results.folder)
    figure = drawn(draw_learning_curves(trained, history))
    (axes,) = figure.axes
    for arm, epochs in {"plain": 3, "cosine": 3, "brief": 1}.items():
        ((x, y),) = lines(axes, arm)
        ours = history[history["arm"] == arm]
        assert x == list(range(1, epochs + 1))
        assert y == pytest.approx([100 * ours.loc[ours["epoch"] == epoch, "val_acc"].mean() for epoch in x])
    assert "lowest to highest of 3 seeds" in words(figure)
    assert sum(line.get_marker() == "x" for line in axes.lines) == 3 and "×: a run diverged" in words(figure)


def test_many_arms_get_a_panel_each(tmp_path: Path) -> None:
    study = Written(tmp_path, [f"arm {k}" for k in range(9)], 1)
    for k in range(9):
        study.run(f"arm {k}", 0, [0.1 + k / 20, 0.2 + k / 20])
    figure = drawn(draw_learning_curves(study.summary(), read_history(tmp_path)))
    assert len(figure.axes) == 9
    assert [axes.get_title(loc="left") for axes in figure.axes][:2] == ["arm 0 (baseline)", "arm 1"]
    assert lines(figure.axes[4], "arm 4")[0][1] == pytest.approx([30, 40])


def test_a_curve_is_pale_where_not_all_runs_go_on(tmp_path: Path) -> None:
    study = Written(tmp_path, ["a"], 2)
    study.run("a", 0, [0.2, 0.4, 0.6])
    study.run("a", 1, [0.4])
    figure = drawn(draw_learning_curves(study.summary(), read_history(tmp_path)))
    whole, rest = (line for line in figure.axes[0].lines if line.get_label() == "a")
    assert list(whole.get_ydata()) == pytest.approx([30])
    assert list(rest.get_ydata()) == pytest.approx([30, 40, 60]) and rest.get_alpha() < 1
    assert "Pale" in words(figure)


def test_a_huge_loss_does_not_stretch_the_axis(steady: Written) -> None:
    steady.history[-1]["val_loss"] = 1e12
    figure = drawn(draw_learning_curves(steady.summary("val_loss"), read_history(steady.folder)))
    assert figure.axes[0].get_ylim()[1] < 10 and "1 mean is beyond the axis" in words(figure)


def test_training_losses_leave_validation_a_third_of_the_axis(steady: Written) -> None:
    """Validation from 0.5 to about 0.89 with its bands; one arm trains down to 0.027, and an arrow marks it."""
    for row in steady.history:
        row["train_loss"] = row["val_loss"] if row["arm"] == "base" else 0.3 ** row["epoch"]
    figure = drawn(draw_learning_curves(steady.summary("val_loss"), read_history(steady.folder)))
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "linear" and 0.05 < low < 0.15 and 0.85 < high < 0.95
    assert [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "v"] == [[2]]
    assert "Arrow: training goes on beyond the axis." in words(figure)


def test_the_forest_plot_shows_the_intervals_of_the_report(steady: Written) -> None:
    summary = steady.summary(options=AnalysisOptions(delta="2pp", metrics=2))
    figure = drawn(draw_effects(summary))
    (axes,) = figure.axes
    c = summary.arms[1].comparison
    assert c is not None and c.difference == pytest.approx(0.115)
    ((x, y),) = lines(axes, "more")
    assert (x, y) == (pytest.approx([11.5]), [0])
    bars = {line.get_linewidth(): list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2}
    assert bars[1.6] == pytest.approx([100 * c.low, 100 * c.high])
    assert bars[3.2] == pytest.approx([100 * c.narrow_low, 100 * c.narrow_high])
    assert "simultaneous 97.5 % intervals of 1 comparison, method moderated; thick: 95 %" in words(figure)
    assert "orange: worse" in words(figure) and VERDICT_COLORS["worse"] == VERMILLION  # the palette's orange
    assert "±2 points" in words(figure) and "97.5 % intervals" in axes.get_xlabel()
    assert any("+11.50 [" in text.get_text() for text in axes.texts)
    assert "worse" in axes.get_xlabel().split("difference")[0]
    assert "better" in drawn(draw_effects(steady.summary("val_loss"))).axes[0].get_xlabel().split("difference")[0]


def test_units_are_those_of_the_task(steady: Written) -> None:
    def labels(metric: str) -> set[str]:
        summary = steady.summary(metric)
        figures = [draw_learning_curves(summary, read_history(steady.folder)), draw_score_against_time(summary)]
        return {drawn(figure).axes[0].get_ylabel() for figure in figures} | {
            drawn(draw_effects(summary)).axes[0].get_xlabel().split("\u2003\u2003")[1].removesuffix(", 95 % intervals")
        }

    assert labels("val_loss") == {"validation loss (nats)", "difference in validation loss (nats)"}
    assert labels("val_acc") == {"validation accuracy (%)", "difference in validation accuracy (percentage points)"}
    steady.score, steady.description["metric"] = "r2", "val_r2"
    assert labels("val_loss") == {"validation loss", "difference in validation loss"}
    assert labels("val_r2") == {"validation R²", "difference in validation R²"}
    assert "Gray band: ±0.01, a difference" in words(
        drawn(draw_effects(steady.summary(options=AnalysisOptions(delta="0.01"))))
    )


def test_the_forest_plot_counts_lost_runs(trained: Summary) -> None:
    figure = drawn(draw_effects(trained))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cosine", "brief", "broken"]
    difference = trained.arm("broken").difference
    assert difference is not None and difference.mean < -0.05
    assert any(text.get_text().endswith("(3 of 3 lost)") for text in axes.texts)
    assert "Lost runs count as a network that ignores its inputs." in words(figure)


def test_the_forest_plot_says_why_an_arm_has_no_effect(tmp_path: Path) -> None:
    study = Written(tmp_path, ["base", "fine", "later", "lost"], 3)
    for seed in range(3):
        study.run("base", seed, [0.5 + seed / 100])
        study.run("fine", seed, [0.6 + seed / 50])
        study.run("lost", seed, [math.nan], status="diverged")
    figure = drawn(draw_effects(study.summary()))
    assert {text.get_text() for text in figure.axes[0].texts} >= {"none: not run yet"}
    assert "Lost runs are left out where it is not known what they count as." in words(figure)
    study.description["constants"] = {"lost": {"val_acc": 0.1}}
    (axes,) = drawn(draw_effects(study.summary())).axes
    (x, _) = lines(axes, "lost")[0]
    assert x == pytest.approx([-41]) and axes.get_xlim()[0] > -41  # an arrow marks it


def test_the_heat_map_is_the_mean_log_of_the_norms(steady: Written) -> None:
    figure = drawn(draw_gradient_flow(steady.summary(), read_history(steady.folder)))
    base, more, bar = figure.axes
    np.testing.assert_allclose(base.images[0].get_array(), np.repeat([[-3], [0], [1]], 3, axis=1), atol=1e-9)
    assert base.images[0].get_extent() == [0.5, 3.5, 0.5, 3.5] and base.images[0].origin == "lower"
    assert base.images[0].norm is more.images[0].norm
    assert more.images[0].get_array().mask[:, 0].tolist() == [True, True, False]
    assert [(c.get_label(), len(c.get_paths())) for c in more.collections] == [("////", 3), ("....", 3)]
    assert [label.get_text() for label in base.get_yticklabels()] == ["1", "2", "output"]
    assert "Dots: exactly zero" in words(figure) and "or not finite (diverged)" in words(figure)
    assert bar.get_ylabel() == "gradient norm"


def test_the_heat_map_names_the_layers_that_the_history_names(tmp_path: Path) -> None:
    study = Written(tmp_path, ["dense", "cnn"], 1)
    study.run("dense", 0, [0.5, 0.6], grads="0.1 1 2")  # as in a history from before layers had names
    study.run("cnn", 0, [0.5, 0.6], grads="0.1 1 2", weights="conv1 hidden1 output")
    dense, cnn, _ = drawn(draw_gradient_flow(study.summary(), read_history(tmp_path))).axes
    assert [label.get_text() for label in dense.get_yticklabels()] == ["1", "2", "output"]
    assert [label.get_text() for label in cnn.get_yticklabels()] == ["conv1", "hidden1", "output"]
    assert dense.get_ylabel() == "layer"


def test_an_epoch_in_which_all_runs_diverged_shows_its_finite_steps(trained: Summary) -> None:
    figure = drawn(draw_gradient_flow(trained, read_history(trained.results.folder)))
    steps = {axes.get_title(loc="left").split("\n")[0]: axes.images[1:] for axes in figure.axes if axes.images}
    assert {name for name, images in steps.items() if images} == {"broken"}
    (image,) = steps["broken"]
    assert image.get_extent() == [0.5, 1.5, 0.5, 4.5] and image.get_array().count() > 4  # of four layers
    assert image.get_zorder() > max(hatched.get_zorder() for hatched in image.axes.collections)
    assert "divided into their last finite steps" in words(figure)


def test_sensitivities_by_layer_say_what_makes_them(trained: Summary) -> None:
    figure = drawn(draw_sensitivity(trained, read_history(trained.results.folder)))
    plain, *_ = figure.axes
    name, factor, parts, *_ = plain.get_title(loc="left").split("\n")
    start = trained.layer_factors["plain"].start
    assert (name, factor) == ("plain", f"factor {start.factor:#.3g} a layer")
    assert parts.startswith(f"= slope {start.slope:#.3g} × weights {start.weights:#.3g}")
    assert start.factor == pytest.approx(start.slope * start.weights * start.rest)
    assert [len(line.get_xdata()) for line in plain.lines] == [4, 4] and plain.get_yscale() == "log"
    (table,) = (table for table in tables(trained, wide=True) if table.title.startswith("sensitivity"))
    assert [row[0] for row in table.rows] == ["plain", "cosine", "brief", "broken"]
    assert table.rows[0][1].startswith(f"{start.factor:#.3g} → ")
    assert not any(table.title.startswith("sensitivity") for table in tables(trained))


def test_the_parts_of_a_factor_fit_above_a_panel() -> None:
    lines = factor_text(LayerFactor((1.0, 1.0), factor=1.02, slope=0.21, weights=1.0, update=0.002)).split("\n")
    assert lines == ["factor 1.02 a layer", "= slope 0.210 × weights 1.00", "× rest 4.86"]


def test_a_run_without_a_gradient_leaves_the_mean_to_the_others() -> None:
    frame = pd.DataFrame({"epoch": [1, 1, 1], "grad_norm": ["10 0 nan", "1000 0 nan", "nan 1 nan"]})
    np.testing.assert_array_equal(gradients(frame), [[2], [0], [np.nan]])


def test_each_distinct_schedule_is_one_line(tmp_path: Path) -> None:
    study = Written(tmp_path, ["base", "same", "decay", "reacts"], 2)
    for seed in range(2):
        study.run("base", seed, [0.5] * 3)
        study.run("same", seed, [0.5] * 2)  # stopped early
        study.run("decay", seed, [0.5] * 3, lr=(0.1, 0.01, 1e-9))
        study.run("reacts", seed, [0.5] * 3, lr=(0.2, 0.2, 0.04) if seed else (0.2, 0.04, 0.04))
    figure = drawn(draw_learning_rates(study.summary(), read_history(tmp_path)))
    (axes,) = figure.axes
    assert sorted(tuple(line.get_ydata()) for line in axes.lines) == [
        (0.1, 0.01, 1e-9),
        (0.1, 0.1, 0.1),
        (0.2, 0.04, 0.04),
        (0.2, 0.2, 0.04),
    ]
    assert {text.get_text() for text in axes.texts} == {"base\nsame", "decay", "reacts"}
    assert axes.get_yscale() == "log" and axes.get_ylim()[0] > 1e-4
    assert "below the axis" in words(figure) and "seeds differ" in words(figure)


def test_rates_are_drawn_by_iteration_where_the_records_say_how(trained: Summary) -> None:
    (axes,) = drawn(draw_learning_rates(trained, read_history(trained.results.folder))).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "learning rate")
    [cosine] = [line for line in axes.lines if len({*line.get_ydata()}) > 1]
    assert list(cosine.get_xdata()) == [*range(1, 13)]  # 3 epochs of 256 examples in batches of 64
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    np.testing.assert_allclose(cosine.get_ydata(), expected, rtol=1e-4)
    assert "plain\nbrief" in {text.get_text() for text in axes.texts}  # the beginning of the same curve


def test_one_constant_rate_is_no_figure(tmp_path: Path) -> None:
    study = Written(tmp_path, ["a", "b"], 1)
    study.run("a", 0, [0.5, 0.6])
    study.run("b", 0, [0.5, 0.6])
    assert draw_learning_rates(study.summary(), read_history(tmp_path)) is None


def test_the_points_are_the_means_against_time(steady: Written) -> None:
    (axes,) = drawn(draw_score_against_time(steady.summary())).axes
    points = {bars.get_label(): bars[0].get_xydata()[0].tolist() for bars in axes.containers}
    assert points == {
        "base (baseline)": pytest.approx([2.5, 71.5]),
        "more": pytest.approx([2.5, 83]),
    }
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["more", "base (baseline)"]  # best first
    ends = [path.vertices[:, 0].max() for bars in axes.containers for path in bars[2][0].get_paths()]
    assert len(ends) == 2 and max(ends) > 1.08 * 2.5 and axes.get_xlim()[1] > max(ends)  # no bar is cut


def test_a_baseline_that_is_named_so_is_marked_once(tmp_path: Path) -> None:
    study = Written(tmp_path, ["baseline", "more"], 1)
    for arm in ("baseline", "more"):
        study.run(arm, 0, [0.5, 0.7])
    legend = drawn(draw_score_against_time(study.summary())).axes[0].get_legend()
    assert legend is not None and {text.get_text() for text in legend.get_texts()} == {"baseline", "more"}


def test_an_arm_that_is_far_off_does_not_squeeze_the_others(tmp_path: Path) -> None:
    scores = {"relu": 0.8, "elu": 0.81, "selu": 0.82, "tanh": 0.79, "sigmoid": 0.1}
    study = Written(tmp_path, [*scores], 2)
    for arm, score in scores.items():
        for seed in range(2):
            study.run(arm, seed, [score + seed / 100])
    figure = drawn(draw_score_against_time(study.summary()))
    (axes,) = figure.axes
    assert 70 < axes.get_ylim()[0] < 79 and "Arrow: beyond the axis" in words(figure)
    legend = axes.get_legend()
    assert legend is not None and legend.get_texts()[-1].get_text() == "sigmoid, 10.50"
    [arrow] = [text for text in axes.texts if text.arrow_patch]
    assert arrow.xy[1] == axes.get_ylim()[0] < arrow.xyann[1]


# --- odd studies -----------------------------------------------------------------------------------------------------


def test_one_arm_one_seed_one_epoch(tmp_path: Path) -> None:
    study = Written(tmp_path, ["only"], 1)
    study.run("only", 0, [0.5])
    assert study.kinds() == ["learning-curves", "gradient-flow", "time"]


def test_one_seed_has_differences_without_intervals(tmp_path: Path) -> None:
    study = Written(tmp_path, ["a", "b"], 1)
    study.run("a", 0, [0.5, 0.6])
    study.run("b", 0, [0.5, 0.7])
    assert study.kinds() == ["learning-curves", "effects", "gradient-flow", "time"]
    assert "no uncertainty available" in words(drawn(draw_effects(study.summary())))


def test_without_a_baseline_there_is_no_forest_plot(steady: Written) -> None:
    steady.description["baseline"] = None
    assert steady.kinds() == [kind for kind in ALL if kind not in ("effects", *FROM_RECORDS)]


def test_all_runs_diverged(tmp_path: Path) -> None:
    study = Written(tmp_path, ["a", "b"], 2)
    for arm in ("a", "b"):
        for seed in range(2):
            study.run(arm, seed, [math.nan], status="diverged", grads="nan nan")
    assert study.kinds() == study.kinds("val_loss") == ["learning-curves", "gradient-flow"]


def test_no_run_or_no_history(tmp_path: Path, steady: Written) -> None:
    (tmp_path / "empty").mkdir()
    assert Written(tmp_path / "empty", ["a", "b"], 2).kinds() == []
    steady.history.clear()
    assert steady.kinds() == ["effects", "time"]


def test_names_that_could_be_taken_for_something_else(tmp_path: Path) -> None:
    names = ["$x^2$", "a_b & <c>", "n" * 80]
    study = Written(tmp_path, names, 2, question="Costs $5 or $\\frac{1}{0}$?")
    for name in names:
        for seed in range(2):
            study.run(name, seed, [0.1, 0.2])
    figures = dict(draw_all(study.summary()))
    assert set(figures) == set(ALL) - {"learning-rates", *FROM_RECORDS}
    for figure in figures.values():
        ET.fromstring(rendered(figure, "svg"))


def test_an_arm_named_na_has_a_history(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(
        "arm,seed,epoch,lr,train_loss,train_acc,val_loss,val_acc,grad_norm\nNA,0,1,.1,,,nan,.5,nan\n"
    )
    row = read_history(tmp_path).iloc[0]
    assert (row["arm"], row["grad_norm"], row["val_acc"]) == ("NA", "nan", 0.5) and math.isnan(row["train_loss"])


@pytest.mark.parametrize("text", ["", "arm,seed\na,0\n", "arm,seed,epoch,lr,train_loss,train_acc,val_loss,val_acc,"
                                  "grad_norm\na,0,one,1,1,1,1,1,1\n"])  # fmt: skip
def test_a_damaged_history_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(InputError, match=r"history.csv: cannot be read as a history"):
        read_history(tmp_path)


def test_of_very_many_arms_the_highest_and_lowest_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dnntrain.reporting.figures.curves.MAX_PANELS", 5)
    study = Written(tmp_path, [f"a{k}" for k in range(40)], 1)
    for k in range(40):
        study.run(f"a{k}", 0, [k / 100])
    summary = study.summary()
    assert [arm.name for arm in select_arms(summary, 5)] == ["a0", "a1", "a2", "a38", "a39"]
    figure = drawn(draw_learning_curves(summary, read_history(tmp_path)))
    assert len(figure.axes) == 5 and "Shown: 5 of 40 arms" in words(figure)


# --- style -----------------------------------------------------------------------------------------------------------


def test_labels_never_overlap_and_stay_near() -> None:
    assert place_labels([0.1, 0.5, 0.9], [0.1] * 3) == pytest.approx([0.1, 0.5, 0.9])
    assert place_labels([0.5, 0.5, 0.5], [0.1] * 3) == pytest.approx([0.4, 0.5, 0.6])
    assert place_labels([], []) == []


def test_arms_that_share_axes_look_different_without_color() -> None:
    looks = {(k % len(LINE_DASHES), k % len(LINE_MARKERS)) for k in range(30)}
    assert len(looks) == 30 and len({(k % len(LINE_COLORS), k % len(LINE_MARKERS)) for k in range(30)}) == 30


def test_the_users_own_style_is_left_alone_and_changes_nothing(steady: Written) -> None:
    summary = steady.summary()
    plain = rendered(drawn(draw_effects(summary)), "svg")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        assert rendered(drawn(draw_effects(summary)), "svg") == plain
        assert matplotlib.rcParams["font.size"] == 30
