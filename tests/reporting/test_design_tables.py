"""All pairs, effects, contributions and published values: what the tables say follows from their numbers."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.summary import summarize
from dnntrain.store.study_files import read_study
from tests.reporting.test_report import ARMS, SAME, write_study
from tests.support.command import error_of, succeeds


def test_all_pairs_are_compared_in_every_metric_and_margin(tmp_path: Path) -> None:
    arms = {name: ARMS[name] for name in ("relu", "elu", "twin")} | {"broken": [0.9, 0.9, 0.9, None, None]}
    folder = write_study(tmp_path / "made", arms, constants={key: {"val_acc": 0.1, "val_loss": 0.9} for key in arms})
    assert "all pairs" not in succeeds("report", folder)
    [written] = json.loads(succeeds("report", folder, "--pairs", "--json"))["studies"]
    pairs = {(pair["arm"], pair["other"]): pair for pair in written["pairs"]}
    assert [*pairs] == [
        ("elu", "relu"), ("twin", "relu"), ("broken", "relu"), ("twin", "elu"), ("broken", "elu"), ("broken", "twin"),
    ]  # fmt: skip
    assert pairs["elu", "relu"]["verdict"] == "better" and pairs["twin", "elu"]["verdict"] == "worse"
    assert pairs["twin", "relu"]["verdict"] == "identical"
    assert pairs["broken", "elu"]["verdict"].endswith("2 of 5 lost")
    c = pairs["elu", "relu"]["comparison"]
    assert c["low"] > 0 and c["p"] < 0.05 and c["low"] < c["difference"] < c["high"]
    # of more comparisons than those with the baseline, so wider
    with_baseline = next(arm for arm in written["arms"] if arm["arm"] == "elu")
    assert c["high"] - c["low"] > with_baseline["high"] - with_baseline["low"]

    shown = " ".join(succeeds("report", folder, "--pairs", "--metric", "val_loss", "--delta", "50%").split())
    assert "All 6 pairs: simultaneous 95 % intervals by Tukey and Kramer's method on moderated variances." in shown
    assert "elu - relu 5 -0.0200 [" in shown and "better, but within ±δ" in shown


CELLS = {"none": ("", ""), "a": ("a", ""), "b": ("", "b"), "a+b": ("a", "b")}


def factorial(folder: Path, gains: dict[str, float], noise: float = 0.001, lost: str = "") -> Path:
    """Two factors, each on and off; the last run of the cell `lost` diverged."""
    rng = np.random.default_rng(2)
    values: dict[str, list[float | None]] = {
        name: (np.array(SAME) + gain + noise * rng.normal(size=5)).tolist() for name, gain in gains.items()
    }
    if lost:
        values[lost][-1] = None
    arms = [{"name": name, "levels": {"a": a, "b": b}} for name, (a, b) in CELLS.items()]
    constants = {name: {"val_acc": 0.1, "val_loss": 0.9} for name in CELLS}
    return write_study(folder, values, design="factorial", arms=arms, baseline="none", constants=constants)


def readings(folder: Path, *options: str) -> dict[str, str]:
    [written] = json.loads(succeeds("report", folder, "--json", *options))["studies"]
    return {effect["name"]: effect["reading"] for effect in written["effects"]}


def test_an_interaction_is_the_difference_of_differences(tmp_path: Path) -> None:
    folder = factorial(tmp_path / "made", {"none": 0, "a": 0.02, "b": 0.01, "a+b": 0.05})
    found = {effect.name: effect for effect in summarize(read_study(folder)).effects}
    means = {arm.name: arm.mean for arm in summarize(read_study(folder)).arms}
    assert found["a=on"].interval.mean == pytest.approx((means["a"] - means["none"] + means["a+b"] - means["b"]) / 2)
    together = found["a=on × b=on"]
    assert together.interval.mean == pytest.approx(means["a+b"] - means["b"] - means["a"] + means["none"])
    assert readings(folder) == {"a=on": "better", "b=on": "better", "a=on × b=on": "synergistic"}
    assert readings(folder, "--metric", "val_loss")["a=on × b=on"] == "synergistic"
    text = " ".join(succeeds("report", folder).split())
    assert "difference of differences" in text and "simultaneous over 3 effects (Bonferroni, moderated" in text
    assert "a=on × b=on 5 +" in text and "synergistic" in text


def test_nothing_is_additive_unless_it_is_shown(tmp_path: Path) -> None:
    gains = {"none": 0.0, "a": 0.02, "b": 0.01, "a+b": 0.03}
    both = "a=on × b=on"
    quiet = factorial(tmp_path / "quiet", gains, noise=0.0001)
    assert (
        readings(quiet)[both] == "additive" and readings(quiet, "--delta", "0.01pp")[both] == "not told from additive"
    )
    assert readings(factorial(tmp_path / "noisy", gains, noise=0.01))[both] == "not told from additive"
    lost = readings(factorial(tmp_path / "lost", gains, noise=0.0001, lost="a+b"), "--delta", "99%")
    assert lost == {
        "a=on": "inconclusive: 1 of 20 runs lost",
        "b=on": "inconclusive: 1 of 20 runs lost",
        both: "not told from additive: 1 of 20 runs lost",
    }


def test_a_missing_cell_is_named_and_the_rest_is_estimated(tmp_path: Path) -> None:
    folder = factorial(tmp_path / "made", {"none": 0, "a": 0.02, "b": 0.01})
    assert readings(folder) == {"a=on": "better", "b=on": "better", "a=on × b=on": "not estimable"}
    text = " ".join(succeeds("report", folder).split())
    assert "better (at 1 of 2 settings of the other factors)" in text
    assert "not estimable (no runs with a=on and b=on)" in text
    assert "Effects are estimated without these arms, which have too few runs: a+b." in text


def test_contributions_show_their_gap_and_its_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)

    def noisy(gain: float, scale: float = 0.0002) -> list[float]:
        return (np.array(SAME) + gain + scale * rng.normal(size=5)).tolist()

    # a does more with the others, b less, and c is the same, but too noisy to tell
    values = {"baseline": noisy(0), "a": noisy(0.01), "b": noisy(0.03), "c": noisy(0.01, 0.01), "all": noisy(0.06)}
    values |= {"no a": noisy(0.03), "no b": noisy(0.05), "no c": noisy(0.05, 0.01)}
    folder = write_study(tmp_path / "made", values, design="in-and-out")
    [written] = json.loads(succeeds("report", folder, "--json"))["studies"]
    found = written["contributions"]
    assert {name: item["reading"] for name, item in found.items()} == {
        "a": "synergistic", "b": "redundant", "c": "not told from additive",
    }  # fmt: skip
    mean = {name: np.mean(value) for name, value in values.items()}
    gap = mean["all"] - mean["no a"] - mean["a"] + mean["baseline"]
    assert found["a"]["gap"]["mean"] == pytest.approx(gap) and found["a"]["n"] == 5
    text = " ".join(succeeds("report", folder).split())
    assert "technique n gain alone [95 %] loss without [95 %] gap [95 %] p reading" in text
    assert "simultaneous over 3 techniques" in text
    wide = succeeds("report", folder, "--json", "--delta", "10pp")
    assert json.loads(wide)["studies"][0]["contributions"]["c"]["reading"] == "additive"


def test_published_values_are_judged_by_the_deviations_and_runs_of_both_sides(tmp_path: Path) -> None:
    arms = {name: ARMS[name] for name in ("relu", "elu", "worse", "close")}
    arms |= {"two runs": SAME[:2], "broken": [*SAME[:4], None]}
    values = {"relu": {"val_acc": 0.8601}, "elu": {"val_acc": 0.85}, "close": {"val_acc": 0.863},
              "two runs": {"val_acc": 0.86}, "broken": {"val_acc": 0.86, "val_loss": 0.14}}  # fmt: skip
    published = [{"name": name, "settings": {}, "published": values.get(name, {})} for name in arms]
    published[0]["published"] = {"val_acc": {"mean": 0.8601, "sd": 0.002, "n": 4}}
    folder = write_study(tmp_path / "made", arms, arms=published)
    found = {(result.runs.name, result.metric): result for result in summarize(read_study(folder)).published}
    assert {key: result.verdict for key, result in found.items()} == {
        ("relu", "val_acc"): "compatible",
        ("elu", "val_acc"): "differs",
        ("close", "val_acc"): "cannot tell: more runs of ours would not help",
        ("two runs", "val_acc"): "two seeds: no verdict",
        ("broken", "val_acc"): "cannot tell: 1 of 5 lost",
        ("broken", "val_loss"): "cannot tell: 1 of 5 lost",
    }
    ours = found["relu", "val_acc"].comparison
    assert ours is not None
    assert ours.z == pytest.approx((np.mean(SAME) - 0.8601) / math.sqrt(np.var(SAME, ddof=1) / 5 + 0.002**2 / 4))
    shown = " ".join(succeeds("report", folder).split())
    assert "published values" in shown and "0.002" not in shown and "86.01 ± 0.20 4" in shown
    assert "simultaneous over 5 published values" in shown


def normed(folder: Path) -> Path:
    """Norms in two settings. Without a norm, runs of the second one diverge; `after` changes nothing in the first."""
    rng = np.random.default_rng(5)
    cells = {f"{n}+{s}": {"norm": n, "setting": s} for n in ("plain", "before", "after") for s in ("proper", "wild")}
    values: dict[str, list[float | None]] = {
        arm: [*(np.array(SAME) + (0.02 if arm == "before+proper" else 0) + 0.001 * rng.normal(size=5)).tolist()]
        for arm in cells
    }
    values |= {"plain+wild": [None] * 5, "after+proper": values["plain+proper"]}
    values["after+wild"][0] = None
    arms = [{"name": arm, "levels": levels} for arm, levels in cells.items()]
    constants = {arm: {"val_acc": 0.1, "val_loss": 0.9} for arm in cells}
    return write_study(folder, values, design="factorial", arms=arms, within="norm", constants=constants)


def test_levels_are_compared_within_each_setting_lost_runs_included(tmp_path: Path) -> None:
    folder = normed(tmp_path / "made")
    [written] = json.loads(succeeds("report", folder, "--json"))["studies"]
    found = {(each["setting"]["setting"], each["level"]): each["result"] for each in written["simple_effects"]}
    assert written["within"] == "norm" and {each["reference"] for each in written["simple_effects"]} == {"plain"}
    assert {key: result["verdict"] for key, result in found.items()} == {
        ("proper", "before"): "better",
        ("proper", "after"): "identical",
        ("wild", "before"): "better: plain+wild never finishes",
        ("wild", "after"): "better: plain+wild never finishes",
    }
    assert found["wild", "after"]["interval"]["high"] <= 1  # an accuracy cannot differ by more
    shown = " ".join(succeeds("report", folder, COLUMNS="150").split())
    assert "within norm: against plain setting norm n Δ [95 %] p verdict" in shown and "proper before 5 +" in shown
    assert "simultaneous over 3 comparisons (Bonferroni, moderated variances), a family of their own" in shown
    by_arm = {row["arm"]: row for row in csv.DictReader(succeeds("report", folder, "--csv", "-").splitlines())}
    assert by_arm["before+proper"]["within_reference"] == "plain+proper"
    assert by_arm["before+proper"]["within_verdict"] == "better" and not by_arm["plain+wild"]["within_verdict"]
    other = succeeds("report", folder, "--within", "setting", "--md", "-")
    assert "within setting: against proper" in other and "| plain | wild |" in other
    assert "better: plain+proper" not in other and "never finishes: worse" in other
    assert "did you mean 'norm'?" in error_of("report", folder, "--within", "nrm")
    arms = [{"name": arm, "levels": {"norm": arm, "setting": "proper"}} for arm in ("plain", "before")]
    single = write_study(tmp_path / "single", {"plain": SAME, "before": SAME}, design="factorial", arms=arms)
    assert "--within setting: it has one level in single" in error_of("report", single, "--within", "setting")
    pairs = write_study(tmp_path / "list", {"relu": SAME, "elu": ARMS["elu"]})
    assert "list is no factorial design with several factors" in error_of("report", pairs, "--within", "norm")
    assert "within_verdict" not in succeeds("report", pairs, "--csv", "-")


def test_an_order_is_judged_step_by_step_and_as_a_trend(tmp_path: Path) -> None:
    arms = {name: [*ARMS[name]] for name in ("elu", "relu", "close", "worse")} | {"broken": [None] * 5}
    order = ["elu", "worse", "relu", "close", "broken"]
    constants = {arm: {"val_acc": 0.1, "val_loss": 0.9} for arm in arms}
    folder = write_study(tmp_path / "made", arms, order=order, constants=constants)
    [written] = json.loads(succeeds("report", folder, "--json"))["studies"]
    steps = written["order"]["steps"]
    assert [step["holds"] for step in steps] == [True, False, None, True]
    assert steps[-1]["result"]["verdict"] == "better: broken never finishes"
    shown = " ".join(succeeds("report", folder, COLUMNS="150").split())
    assert "step n difference [95 %] p verdict on the first" in shown and "elu > worse 5 +" in shown
    assert (
        "Order elu > worse > relu > close > broken: of 4 steps, 2 shown (elu > worse, close > broken); 1 contradicted "
        "(relu > worse); 1 without a clear difference (relu and close)." in shown
    )
    assert "Page's test over 5 seeds (Page 1963) shows a trend along this order" in shown
    # best in loss as in accuracy, and in another order than the study's own
    by_loss = summarize(
        read_study(folder), "val_loss", AnalysisOptions(order=("broken", "worse", "close", "elu"))
    ).ordered
    assert by_loss and by_loss.trend and by_loss.trend.p > 0.9
    assert [step.holds for step in by_loss.steps] == [False, False, False]
    assert "--order for made: no arm 'eluu'; did you mean 'elu'?" in error_of(
        "report", folder, "--order", "elu > eluu > relu"
    )
