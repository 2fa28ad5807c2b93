"""Reports of transfer studies: the recommended strategy agrees with the table, and gains are judged at every size."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.summary import Summary, summarize
from dnntrain.analysis.transfer import compare_sizes, recommend, saving, steps_taken
from dnntrain.reporting.figures import draw_figure
from dnntrain.reporting.transfer import supported
from dnntrain.store.study_files import read_study
from tests.reporting.test_report import write_study
from tests.support.command import succeeds

LADDER = ("scratch", "frozen", "unfreeze 1", "unfreeze all")


def ladder(folder: Path, gains: tuple[float, ...], noise: float = 0.002, seed: int = 0, **more: Any) -> Path:
    """A ladder of transfer whose strategies gain so much over scratch."""
    rng = np.random.default_rng(seed)
    values = {arm: (0.8 + gain + noise * rng.normal(size=5)).tolist() for arm, gain in zip(LADDER, gains, strict=True)}
    constants = {key: {"val_acc": 0.5, "test_acc": 0.5, "val_loss": 0.69} for key in LADDER}
    return write_study(folder, values, constants=constants, metric="test_acc", **more)


def printed(*words: object) -> str:
    """What the command prints, with single blanks."""
    return " ".join(succeeds(*words).split())


def test_the_strategy_of_a_ladder_is_that_of_its_table(tmp_path: Path) -> None:
    folder = ladder(tmp_path / "pays", (0, 0.05, 0.051, 0.02))
    [written] = json.loads(succeeds("report", folder, "--json"))["studies"]
    verdicts = {arm["arm"]: arm["verdict"] for arm in written["arms"]}
    assert set(verdicts.values()) == {"", "better"} or set(verdicts.values()) == {None, "better"}
    found = written["transfer"]["recommendation"]
    assert {found["supported"], *found["others"]} == {"frozen", "unfreeze 1"} and not found["scratch_may_be_best"]
    shown = printed("report", folder)
    assert f"Supported: {found['supported']}, +5." in shown
    costs = {cost["arm"]: cost for cost in written["transfer"]["costs"]}
    for arm, cost in costs.items():  # fewer errors than scratch are less than 1
        assert cost["error_ratio"] == pytest.approx(cost["errors"] / costs["scratch"]["errors"])
        assert re.search(rf"{arm} [\d.]+ {cost['error_ratio']:.3g} [\d.]+ {cost['time_ratio']:.3g}\b", shown)
    assert costs["scratch"]["error_ratio"] == 1 > costs["frozen"]["error_ratio"]
    assert "arm errors % errors × scratch s/run time × scratch" in shown
    assert "over scratch (better); no clear difference from:" in printed("report", folder)
    # the same in another metric, in its own unit and direction
    assert f"Supported: {found['supported']}, -0.05" in printed("report", folder, "--metric", "val_loss")

    nothing = ladder(tmp_path / "nothing", (0, 0, 0.0005, 0), noise=0.01)
    text = printed("report", nothing)
    assert "No strategy pays: scratch may be the best itself; no clear difference from: frozen, unfreeze 1" in text
    assert "Supported" not in text


@pytest.mark.parametrize("method", ["moderated", "dunnett", "paired", "welch"])
def test_a_recommendation_never_contradicts_the_table(method: str, tmp_path: Path) -> None:
    kinds = set()
    for seed in range(25):
        gains = tuple(np.random.default_rng(seed).choice([0, 0.002, 0.004, 0.01], size=4))
        summary = summarize(
            read_study(ladder(tmp_path / f"{seed}", gains, seed=seed)), None, AnalysisOptions(method=method)
        )
        better = {arm.name for arm in summary.arms if arm.verdict.startswith("better")}
        found = recommend(summary)
        assert found is not None
        if found.supported:
            assert found.supported in better and "scratch" not in found.others
            means = {name: summary.arm(name).mean for name in better}
            assert means[found.supported] == max(means.values())
        else:
            assert not better
            assert found.scratch_may_be_best == supported(summary).startswith("No strategy pays")
        kinds.add(bool(found.supported))
    assert kinds == {True, False}


def test_a_strategy_that_loses_runs_is_not_supported(tmp_path: Path) -> None:
    folder = ladder(tmp_path / "made", (0, 0.05, 0, 0))
    rows = (folder / "results.csv").read_text().splitlines()
    columns = rows[0].split(",")
    for i, row in enumerate(rows):
        if ",frozen," in row and row.split(",")[2] in "01":
            cells = dict(zip(columns, row.split(","), strict=True))
            cells |= {"status": "diverged", "val_acc": "", "test_acc": "", "val_loss": ""}
            rows[i] = ",".join(cells.values())
    (folder / "results.csv").write_text("\n".join(rows) + "\n")
    text = printed("report", folder)
    assert "Supported" not in text and "inconclusive: 2 of 5 lost" in text


def test_the_cheapest_strategy_may_be_recommended_as_such(tmp_path: Path) -> None:
    folder = ladder(tmp_path / "made", (0, 0.05, 0.051, 0.0))
    text = (folder / "results.csv").read_text().splitlines()
    slow = [f"{line.rpartition(',')[0]},{0.5 if ',frozen,' in line else 4}" for line in text[1:]]
    (folder / "results.csv").write_text("\n".join([text[0], *slow]) + "\n")
    found = recommend(summarize(read_study(folder)))
    assert found is not None and found.cheapest == "frozen"
    if found.supported != "frozen":
        assert "The cheapest of those better than scratch: frozen, 0.5 s." in printed("report", folder)


def test_two_seeds_recommend_nothing(tmp_path: Path) -> None:
    values = {arm: [0.8 + 0.01 * i, 0.81 + 0.01 * i] for i, arm in enumerate(LADDER)}
    folder = write_study(tmp_path / "made", values)
    assert "No strategy is recommended: this takes at least three seeds" in printed("report", folder)


# --- by the number of training examples ------------------------------------------------------------------------------


def sizes(folder: Path, gains: dict[int, float], noise: float = 0.004) -> Path:
    """A study of scratch and transfer at several sizes; scratch gets better with more examples."""
    rng, values = np.random.default_rng(3), {}
    for i, (size, gain) in enumerate(gains.items()):
        for arm, more in (("scratch", 0.0), ("transfer", gain)):
            values[f"{arm} ({size})"] = (0.7 + 0.05 * i + more + noise * rng.normal(size=6)).tolist()
    constants = {key: {"val_acc": 0.5, "test_acc": 0.5, "val_loss": 0.69} for key in values}
    return write_study(folder, values, constants=constants, metric="test_acc", baseline=None, seeds=[*range(6)])


def by_size(summary: Summary) -> dict[int, Any]:
    return {result.pair.size: result for result in compare_sizes(summary)}


def test_gains_are_simultaneous_over_the_sizes(tmp_path: Path) -> None:
    folder = sizes(tmp_path / "made", {20: 0.1, 100: 0.006, 500: 0.0})
    summary = summarize(read_study(folder))
    for size, result in by_size(summary).items():
        scratch, transfer = (summary.arm(f"{arm} ({size})") for arm in ("scratch", "transfer"))
        d = np.array([*transfer.values.values()]) - np.array([*scratch.values.values()])
        c = result.comparison
        margin = stats.t.ppf(1 - 0.05 / 3 / 2, 5) * d.std(ddof=1) / math.sqrt(6)
        assert (c.low, c.high) == (pytest.approx(d.mean() - margin), pytest.approx(d.mean() + margin))
        assert c.p == pytest.approx(min(1, 3 * stats.ttest_1samp(d, 0).pvalue))
    text = printed("report", folder)
    assert "simultaneous over all 3 sizes (Bonferroni); δ = 0.3pp." in text


def test_metric_and_delta_reach_the_sizes(tmp_path: Path) -> None:
    folder = sizes(tmp_path / "made", {20: 0.1, 500: 0.0})
    words = {size: result.verdict for size, result in by_size(summarize(read_study(folder))).items()}
    assert words == {20: "better", 500: "inconclusive"}

    def verdicts(*options: str) -> list[str]:
        [written] = json.loads(succeeds("report", folder, "--json", *options))["studies"]
        return [size["verdict"] for size in written["transfer"]["sizes"]]

    assert verdicts("--delta", "5pp") == ["better", "equivalent"]
    assert verdicts("--metric", "val_loss", "--delta", "80%") == ["better, but within ±δ", "equivalent"]
    assert "δ = 80% of the mean of scratch" in printed("report", folder, "--metric", "val_loss", "--delta", "80%")


def test_a_transfer_that_loses_runs_gains_nothing(tmp_path: Path) -> None:
    values: dict[str, list[float | None]] = {
        "scratch (20)": [0.7, 0.71, 0.69, 0.7, 0.72],
        "transfer (20)": [0.9, 0.91, None, None, 0.9],
    }
    folder = write_study(tmp_path / "made", values, baseline=None, constants={key: {"val_acc": 0.1} for key in values})
    assert [r.verdict for r in by_size(summarize(read_study(folder))).values()] == ["inconclusive: 2 of 5 lost"]


def test_examples_are_saved_where_transfer_is_surely_as_good(tmp_path: Path) -> None:
    saved = summarize(read_study(sizes(tmp_path / "saves", {20: 0.15, 100: 0.1, 500: 0.05})))
    enough = saving(saved)
    assert enough is not None and enough.size == 20
    text = printed("report", tmp_path / "saves")
    assert "Transfer with 20 examples is not worse than scratch with 500 by more than δ: 25 times fewer" in text
    # transfer's mean is above that of scratch with 500 examples, but not surely within δ of it
    unsure = sizes(tmp_path / "unsure", {20: 0.11, 500: 0.02}, noise=0.08)
    assert saving(summarize(read_study(unsure))) is None
    assert "Not shown: that transfer with fewer than 500 examples" in printed("report", unsure)


# --- every strategy at several numbers of examples -------------------------------------------------------------------


def test_strategies_at_several_sizes_are_judged_and_drawn_by_step(tmp_path: Path) -> None:
    rng, gains = np.random.default_rng(0), {"frozen": (0.1, 0.0), "unfreeze 1": (0.0, 0.1), "drop 1": (0.05, 0.0)}
    values = {}
    for size, place in ((40, 0), (400, 1)):
        for name, gain in {"scratch": (0.0, 0.0), **gains}.items():
            values[f"{name} ({size})"] = (0.7 + gain[place] + 0.004 * rng.normal(size=6)).tolist()
    constants = {key: {"val_acc": 0.5, "test_acc": 0.5, "val_loss": 0.69} for key in values}
    folder = write_study(
        tmp_path / "made", values, constants=constants, metric="test_acc", baseline=None, seeds=[*range(6)]
    )
    summary = summarize(read_study(folder))
    verdicts = {(r.pair.strategy, r.pair.size): r.verdict for r in compare_sizes(summary)}
    assert {pair for pair, verdict in verdicts.items() if verdict == "better"} == {
        ("frozen", 40), ("drop 1", 40), ("unfreeze 1", 400)
    }  # fmt: skip
    assert [strategy.name for strategy in steps_taken(summary)] == ["scratch", *gains]
    text = printed("report", folder)
    assert "over all 6 strategies and sizes (Bonferroni)" in text
    assert "With 40 examples frozen has the best mean of the 2 better than scratch." in text
    assert "With 400 examples unfreeze 1 has the best mean of the 1 better than scratch." in text
    drawn = {label.get_text() for label in draw_figure("strategies", summary).axes[0].texts}
    assert drawn >= {"40 examples", "400 examples", "drop 1", "little data: drop, and again"}
    assert len(draw_figure("sizes", summary).axes[0].lines) == 4
