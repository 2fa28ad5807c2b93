"""The lines below a study's tables: method, lost runs, validation, best arms, planned seeds, and the data."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.summary import Summary, summarize
from dnntrain.reporting.exports.csv_json import to_csv
from dnntrain.reporting.exports.latex import to_latex
from dnntrain.reporting.exports.markdown import to_markdown
from dnntrain.reporting.footer import footer
from dnntrain.reporting.tables import main_table, tables
from dnntrain.statistics import plan_seeds
from dnntrain.store.study_files import read_study
from tests.support.command import error_of, succeeds
from tests.support.studies import DATA, DIVERGED, NOT_MEASURED, NOT_RUN, Value, write_study


def normal(mean: float, seeds: int, seed: int, deviation: float = 0.01) -> list[Value]:
    """Made-up accuracies."""
    return [*np.random.default_rng(seed).normal(mean, deviation, seeds).round(4).tolist()]


def made(folder: Path, arms: dict[str, list[Value]], options: AnalysisOptions | None = None, **more: Any) -> Summary:
    """A study judged by test_acc."""
    return summarize(
        read_study(write_study(folder, {n: {"test_acc": v} for n, v in arms.items()}, **more)), None, options
    )


def text_of(summary: Summary, *, wide: bool = False) -> str:
    return "\n".join(footer(summary, wide=wide))


def arms_around(base: float, n: int, seeds: int = 5) -> dict[str, list[Value]]:
    return {f"arm {i}": normal(base + 0.004 * i, seeds, i) for i in range(n)}


def test_the_method_is_named_with_its_correction_and_source(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "made", {n: {"test_acc": v} for n, v in arms_around(0.8, 4).items()})
    named = {
        "moderated": "moderated t (each arm's variance and the arms' common one, weighted), Dunnett's correction",
        "dunnett": "Dunnett's method (one variance for all arms; Dunnett 1955)",
        "paired": "paired t (Student 1908) with Bonferroni's correction (Dunn 1961)",
        "welch": "Welch's t (Welch 1947) with Bonferroni's correction (Dunn 1961)",
    }
    for method, words in named.items():
        shown = succeeds("report", folder, "--method", method)
        assert f"with simultaneous 95 % intervals of 3 comparisons by {words}; δ" in shown
        assert "Equivalent: the 90 % interval lies within ±δ (two one-sided tests at 5 %, over all arms)." in shown
    assert "unknown method 'scheffe'" in error_of("report", folder, "--method", "scheffe")


def test_one_comparison_is_a_paired_t_and_a_lacking_seed_is_refused_by_dunnett(tmp_path: Path) -> None:
    two = {"base": normal(0.8, 5, 1), "a": [*normal(0.8, 4, 2), NOT_RUN]}
    assert "with its 95 % interval by paired t; δ = 0.3pp." in text_of(made(tmp_path / "made", two))
    assert "a lacks seed 4" in error_of("report", tmp_path / "made", "--method", "dunnett")


def test_the_level_of_several_metrics_stands_in_the_heading_and_in_the_words(tmp_path: Path) -> None:
    summary = made(tmp_path / "made", arms_around(0.8, 3), AnalysisOptions(metrics=3))
    headings = main_table(summary, wide=True).headings
    assert "Δ [98.33 %]" in headings and "[96.67 %]" in headings
    assert "simultaneous 98.33 % intervals" in text_of(summary)
    assert "the 96.67 % interval lies within ±δ (two one-sided tests at 1.667 %" in text_of(summary)


def test_arms_with_their_own_variance_are_named_and_why_the_common_one_counts_less(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    arms = {f"arm {i}": (0.8 + 0.001 * rng.normal(size=10)).tolist() for i in range(6)}
    wild = arms | {"wild": (0.8 + 0.05 * rng.normal(size=10)).tolist()}
    assert (
        "The variance of wild differs too much from that of the other arms, so it is judged by its own alone."
        in text_of(made(tmp_path / "wild", wild))
    )
    noisy = {"noisy": (0.8 + 0.05 * rng.normal(size=10)).tolist()} | arms
    shown = text_of(made(tmp_path / "noisy", noisy))
    reason = (
        r"The arms' common variance gets little weight, as of [\d.]+ degrees of freedom: the variance of noisy differs"
    )
    assert re.search(reason, shown)
    halves = {"base": rng.normal(size=20)}
    for half in range(2):
        common = rng.normal(size=20)
        halves |= {f"arm {half}{i}": common + 0.1 * rng.normal(size=20) for i in range(3)}
    shown = text_of(made(tmp_path / "halves", {name: (0.8 + 0.01 * v).tolist() for name, v in halves.items()}))
    assert "degrees of freedom: the arms' variances, or their correlations over seeds, differ (p < .001)." in shown


def test_delta_is_shown_as_written_and_in_the_metrics_unit(tmp_path: Path) -> None:
    data = DATA | {"task": "regression", "classes": []}
    values = {"base": {"test_rmse": [20.0, 21.0, 22.0]}, "a": {"test_rmse": [19.0, 20.5, 20.0]}}
    folder = write_study(tmp_path / "made", values, metric="test_rmse", datasets=[data])
    assert "δ = 1% of base's mean (0.21)" in succeeds("report", folder)
    assert "δ = 0.5." in succeeds("report", folder, "--delta", "0.5")
    zero = {"base": {"test_rmse": [0.0, 0.0, 0.0]}, "a": {"test_rmse": [1.0, 2.0, 3.0]}}
    folder = write_study(tmp_path / "zero", zero, metric="test_rmse", datasets=[data])
    shown = succeeds("report", folder)
    assert "base's mean, which is 0 or not known, so no arm can be equivalent" in shown
    assert "Equivalent:" not in shown


def test_without_a_lost_run_the_rate_that_would_go_unseen_is_said_once(tmp_path: Path) -> None:
    for seeds, percent in ((3, 63), (5, 45), (10, 26), (20, 14)):
        shown = text_of(made(tmp_path / str(seeds), arms_around(0.8, 3, seeds)))
        assert f"with {seeds} runs of an arm, the true share of lost runs could still be up to {percent} %." in shown


def test_many_arms_that_lose_runs_share_a_line_unless_the_report_is_wide(tmp_path: Path) -> None:
    arms = {name: [*values[:4], DIVERGED] for name, values in arms_around(0.8, 9).items()}
    summary = made(tmp_path / "made", {"base": normal(0.8, 5, 99)} | arms)
    [line] = [line for line in footer(summary) if "count as" in line]
    assert all(f"{name} 1 of 5" in line for name in arms) and line.count("chance (10.00 %)") == 1
    assert text_of(summary, wide=True).count("lost 1 of 5 runs (95 % interval of the rate: 1 to 72 %") == 9
    assert "Chance assumes equally frequent classes" in text_of(summary)
    known = {name: {"test_acc": 0.1} for name in ("base", *arms)}
    assert "equally frequent" not in text_of(
        made(tmp_path / "known", {"base": normal(0.8, 5, 99)} | arms, constants=known)
    )


def test_a_lost_run_may_count_as_the_worst_finished_one(tmp_path: Path) -> None:
    arms = {"base": normal(0.8, 5, 1), "a": [0.04, 0.8, 0.8, 0.8, DIVERGED]}
    assert "they count as the worst finished run (4.00 %)." in text_of(made(tmp_path / "made", arms))


def test_the_optimism_of_validation_is_shown_by_arm_or_as_a_range(tmp_path: Path) -> None:
    def judged_by_validation(folder: Path, n: int, **more: Any) -> str:
        values = {f"arm {i}": {"val_acc": normal(0.8 + 0.01 * i, 5, i), "test_acc": [0.79] * 5} for i in range(n)}
        return text_of(summarize(read_study(write_study(folder, values, metric="val_acc", **more))))

    few = judged_by_validation(tmp_path / "few", 3, tuned="lr")
    assert "val_acc is optimistic, because the validation part chose tuned values." in few
    assert re.search(r"runs: arm 0 \+\d\.\d\d, arm 1 \+\d\.\d\d, arm 2 \+\d\.\d\d points", few)
    many = judged_by_validation(tmp_path / "many", 10, tuned="lr")
    assert re.search(r"runs: \+\d\.\d\d \(arm \d\) to \+\d+\.\d\d \(arm \d\) points", many)
    assert "optimistic" not in judged_by_validation(tmp_path / "last", 3)


def test_arms_that_keep_different_epochs_are_listed(tmp_path: Path) -> None:
    settings = {"arm 1": {"early_stop": 5}}
    shown = text_of(made(tmp_path / "made", arms_around(0.8, 3), settings=settings))
    assert "different epochs: the last (arm 0, arm 2); the best by val_loss (arm 1)." in shown
    assert "different epochs" not in text_of(made(tmp_path / "same", arms_around(0.8, 3)))


def test_training_metrics_of_mixed_examples_are_marked(tmp_path: Path) -> None:
    def shown(metric: str) -> str:
        values = {name: {metric: values} for name, values in arms_around(0.8, 3).items()}
        settings = {"arm 1": {"mixup": 0.2}, "arm 2": {"cutmix": None}}
        folder = write_study(tmp_path / metric, values, metric=metric, settings=settings)
        return text_of(summarize(read_study(folder)))

    marked = "train_acc is measured on mixed examples for arm 1, against the target of the first one of each pair."
    assert marked in shown("train_acc")
    assert "train_loss is measured on mixed examples for arm 1." in shown("train_loss")
    assert "mixed examples" not in shown("test_acc")


def test_the_best_arms_are_named_from_three_shared_seeds_on(tmp_path: Path) -> None:
    arms: dict[str, list[Value]] = {
        "base": normal(0.8, 5, 1), "a": normal(0.9, 5, 2), "b": normal(0.9, 5, 3), "c": normal(0.7, 5, 4)
    }  # fmt: skip
    [line] = [line for line in footer(made(tmp_path / "two", arms)) if line.startswith("best:")]
    assert set(re.findall(r"\b[abc]\b", line.partition("(")[0])) == {"a", "b"}
    assert "; no clear difference from: " in line
    assert line.endswith(
        "(each arm compared with the best one, not with the baseline; in 95 of 100 studies the best is among these)"
    )
    one = {name: values for name, values in arms.items() if name != "b"}
    assert "best: a; clearly better than all others (each arm compared" in text_of(made(tmp_path / "1", one))
    some = arms | {"some": [*normal(0.8, 3, 6), NOT_MEASURED, NOT_MEASURED]}
    assert "over the 3 seeds of all arms)" in text_of(made(tmp_path / "some", some))
    late = arms | {"late": [*normal(0.8, 3, 6), NOT_RUN, NOT_RUN]}
    assert "best:" not in text_of(made(tmp_path / "late", late))  # before all planned runs are made
    assert "best:" not in text_of(made(tmp_path / "few", {name: values[:2] for name, values in arms.items()}))


def test_planned_seeds_agree_with_the_statistics_and_are_short_for_many_arms(tmp_path: Path) -> None:
    summary = made(tmp_path / "few", arms_around(0.8, 3), AnalysisOptions(delta="2pp"))
    assert summary.family
    c = summary.family.comparisons["arm 1"]
    seeds = plan_seeds(c, 2, 0.02)
    assert seeds
    expected = f"δ = 2pp: arm 1 {seeds.advised} ({seeds.low} to {seeds.high}), arm 2"
    shown = text_of(summary)
    assert f"Seeds for 80 % power to show {expected}" in shown
    for goal in ("equivalence", "the difference seen"):
        assert f"\nSeeds for 80 % power to show {goal}: arm 1" in shown
    assert f"these seeds show with 80 % power: arm 1 {100 * c.smallest_detectable:.1f}, arm 2" in shown

    many = made(tmp_path / "many", arms_around(0.8, 31), AnalysisOptions(delta="2pp"))
    lines = list(footer(many))
    assert len(lines) < 14 and all(len(line) < 400 for line in lines if "best:" not in line)
    line = next(line for line in lines if line.startswith("Seeds for 80 %"))
    ranges = {name: plan.for_delta.advised for name, plan in many.plans.items() if plan.for_delta}
    fewest, most = min(ranges, key=lambda name: ranges[name]), max(ranges, key=lambda name: ranges[name])
    assert f"δ = 2pp: {ranges[fewest]} ({fewest}) to {ranges[most]} ({most}); --wide has every arm." in line
    [planned] = [table for table in tables(many, wide=True) if "80 % power" in table.title]
    assert [row[0] for row in planned.rows] == [f"arm {i}" for i in range(1, 31)]
    assert "Seeds for 80 %" not in text_of(many, wide=True)


def test_seeds_beyond_a_thousand_are_not_counted(tmp_path: Path) -> None:
    summary = made(tmp_path / "made", {"base": normal(0.8, 5, 1), "a": normal(0.8, 5, 2, 0.1)})
    assert re.search(r"δ = 0\.3pp: a > 1,000( \([\d,]+ to > 1,000\))?\.", text_of(summary))
    [row] = [row for row in csv.DictReader(io.StringIO(to_csv([summary]))) if row["arm"] == "a"]
    assert row["seeds_for_delta_advised"].startswith("1001")


def test_a_single_run_that_makes_the_spread_is_named(tmp_path: Path) -> None:
    arms = {"base": normal(0.8, 8, 1), "odd": [*normal(0.8, 7, 2), 0.5]}
    assert "Single runs that cause most of their arm's spread: odd seed 7 (50.00)." in text_of(
        made(tmp_path / "made", arms)
    )
    assert "Single runs" not in text_of(made(tmp_path / "calm", {"base": normal(0.8, 8, 1), "a": normal(0.8, 8, 2)}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 3}, "and random masks, but not which examples are trained on."),
        (
            {"epochs": 3, "train_size": 99, "subset": "per-seed"},
            "masks, and which examples are trained on (--subset shared",
        ),
        ({"epochs": 3, "train_size": 99, "draw": "same"}, "but not which examples are trained on."),
        ({"epochs": 3, "reuse_from": "0123"}, "but not which examples are trained on or the network that is reused."),
    ],
)
def test_what_a_seed_varies_is_said(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    arms = arms_around(0.8, 2)
    shown = text_of(made(tmp_path / "made", arms, settings=dict.fromkeys(arms, settings)))
    assert "Intervals are over seeds, for this test set of 2,000 examples. A seed varies the initial weights" in shown
    assert said in shown and shown.count("A seed varies") == 1


def test_exports_have_the_lines_and_the_numbers_in_full(tmp_path: Path) -> None:
    arms = {"base": normal(0.8, 5, 1), "wild": [*normal(0.9, 4, 2), DIVERGED], "a": normal(0.83, 5, 3)}
    summary = made(tmp_path / "made", arms)
    for text in (to_markdown([summary]), to_latex([summary])):
        assert "wild lost 1 of 5 runs" in text and "inconclusive: 1 of 5 lost" in text and "moderated t" in text
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(to_csv([summary])))}
    c, wild = summary.arm("wild").comparison, rows["wild"]
    assert c
    for column in ("difference", "low", "high", "narrow_low", "narrow_high", "p", "p_equivalent", "df", "pooling"):
        assert float(wild[column]) == getattr(c, column)
    assert (wild["diverged"], wild["failed"], wild["lost_value"], wild["level"]) == ("1", "0", "0.1", "0.95")
    assert float(wild["finished_mean"]) == pytest.approx(np.mean(arms["wild"][:4]))
    assert wild["seeds"] == "0 1 2 3 4" and wild["values"].split()[4] == "0.1"
    assert wild["verdict"] == "inconclusive: 1 of 5 lost" and rows["base"]["verdict"] == ""
    [study] = json.loads(succeeds("report", tmp_path / "made", "--json"))["studies"]
    assert study["pool"]["df"] > 0 and 0 <= study["pool"]["p_sphericity"] <= 1
    assert study["best"] == summary.best and study["unseen_loss_rate"] == pytest.approx(1 - 0.05 ** (1 / 5))
    among = study["arms"][1]["among_finished"]
    assert among["n"] == 4 and math.isclose(
        among["difference"], np.mean(np.subtract(arms["wild"][:4], arms["base"][:4]))
    )


def test_metric_and_delta_reach_every_section(tmp_path: Path) -> None:
    values = {name: {"test_acc": v, "val_acc": v, "test_loss": [1 - x for x in v], "mc_test_loss": [0.1] * 5}
              for name, v in arms_around(0.8, 3).items()}  # fmt: skip
    folder = write_study(tmp_path / "made", values)
    history = [f"made,{name},{seed},{epoch},0.5\n" for name in values for seed in range(5) for epoch in (1, 2)]
    (folder / "history.csv").write_text("study,arm,seed,epoch,val_loss\n" + "".join(history))
    shown = succeeds("report", folder, "--metric", "test_loss", "--delta", "5%", "--wide")
    assert "test_acc" not in shown and "val_acc" not in shown
    for words in ("test_loss ", "val_loss by epoch", "Monte Carlo dropout", "δ = 5% of arm 0's mean", "seeds for δ"):
        assert words in shown


def test_arms_with_different_training_losses_are_named(tmp_path: Path) -> None:
    settings = {"plain": {"loss": "auto"}, "named": {"loss": "cross_entropy"}, "focal": {"loss": "focal:gamma=1"}}
    arms = {name: normal(0.8, 5, i) for i, name in enumerate([*settings, "old"])}
    assert (
        "The arms train on different losses, so that train_loss cannot be compared: "
        "the plain loss (plain, named, old); focal:gamma=1 (focal)."
        in text_of(made(tmp_path / "s", arms, settings=settings))
    )
    by_training = {name: {"train_loss": values} for name, values in arms.items()}
    judged = read_study(write_study(tmp_path / "t", by_training, settings=settings))
    assert "These verdicts compare different losses" in text_of(summarize(judged, "train_loss"))
    del arms["focal"]
    assert "different losses" not in text_of(made(tmp_path / "same", arms, settings=settings))
