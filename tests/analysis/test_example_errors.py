"""What another test set would change, from the predictions of real runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dnntrain.analysis.example_errors import population_errors
from dnntrain.analysis.summary import summarize
from dnntrain.errors import InputError
from dnntrain.reporting.footer import footer
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import read_study
from tests.support.command import error_of, succeeds

PRESET = """
name: acts
base: {hidden: "16", train_size: 300, val: 300, epochs: 2}
design: list
factors: {relu: {}, tanh: {act: tanh}, fast: {lr: 0.1}}
seeds: 3
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of three arms and three seeds."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "acts.yaml").write_text(PRESET)
    succeeds("ablate", "acts.yaml", cwd=folder)
    return folder / "runs" / "acts"


def correct(study: Path, arm: str) -> np.ndarray:
    """Whether each test example is classified right, [seed, example], from the files themselves."""
    runs = read_study(study).runs
    rows = []
    for run in runs.where("arm", arm).sorted_by("seed")["run"]:
        with np.load(study.parent / "store" / run / "predictions.npz") as file:
            targets = np.load(study.parent / "store" / ".targets" / f"{file['test.targets']}.npy")
            rows.append(file["test.outputs"].argmax(1) == targets)
    return np.array(rows, float)


def test_the_footer_says_by_how_much_another_test_set_would_move_a_difference(trained: Path) -> None:
    summary = summarize(read_study(trained))
    gain = correct(trained, "fast") - correct(trained, "relu")
    assert gain.mean() == pytest.approx(summary.arm("fast").comparison.difference, abs=1e-9)  # type: ignore[union-attr]
    assert summary.example_errors.by_arm["fast"].other_test_set == pytest.approx(stats.sem(gain.mean(0)))
    assert not summary.example_errors.missing
    report = succeeds("report", trained)
    assert (
        "Another test set of this size would move Δ of these runs by about (1 standard error, in points): tanh "
        in report
    )


def test_with_one_seed_the_footer_says_that_it_takes_two(trained: Path) -> None:
    results = read_study(trained)
    one = replace(results, runs=results.runs.where("seed", 0))
    text = " ".join(footer(summarize(one)))
    assert "What another test set would change is not known for tanh, fast: it takes at least two seeds that" in text
    with pytest.raises(InputError, match="it takes at least two seeds that an arm shares with relu"):
        population_errors(one, "test_acc", summarize(one).runs, "relu")


def test_over_examples_too_the_intervals_are_wider_and_the_footer_says_so(trained: Path) -> None:
    def arms(*options: str) -> dict[str, dict[str, float]]:
        return {
            arm["arm"]: arm for arm in json.loads(succeeds("report", trained, "--json", *options))["studies"][0]["arms"]
        }

    ours, both = arms()["fast"], arms("--population")["fast"]
    errors = summarize(read_study(trained)).example_errors.by_arm["fast"]
    assert both["se"] == pytest.approx(np.sqrt(errors.over_both)) and both["df"] == pytest.approx(errors.df)
    assert both["difference"] == ours["difference"] and errors.over_both >= max(errors.over_seeds, errors.over_examples)
    assert (both["p"] < 0.05) == (not both["low"] <= 0 <= both["high"])
    report = succeeds("report", trained, "--population")
    assert "Intervals are over other seeds and over other test sets of this size together." in report


def test_population_needs_predictions_of_every_run(trained: Path, tmp_path: Path) -> None:
    assert "not with --require" in error_of("report", trained, "--population", "--require", "fast >= relu")
    store = RunStore(trained.parent)
    run = next(iter(read_study(trained).runs["run"]))
    file, saved = store.predictions_file(run), tmp_path / "saved.npz"
    file.rename(saved)
    try:
        assert "predictions" in error_of("report", trained, "--population")
        assert "is not known for tanh, fast: some predictions are missing" in succeeds("report", trained)
        succeeds("runs", "evaluate", "acts", "--out", trained.parent)
        assert "is not known" not in succeeds("report", trained)
    finally:
        saved.replace(file)
