"""What a study takes over from its record: its metric and δ, looks by hand, and failed jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dnntrain.errors import DnntrainError
from dnntrain.executors.jobs import Job, JobFailed, SendEvent
from dnntrain.statistics import look_levels
from dnntrain.store.run_store import RunStore
from dnntrain.studies.presets import read_preset
from dnntrain.studies.runner import StudyRunner
from tests.support.command import dnntrain, error_of, succeeds
from tests.support.inline import Inline

PRESET = """
name: small
base: {hidden: 8, train_size: 60, val: 60, epochs: 1}
factors: {elu: {act: elu}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(PRESET)
    return tmp_path


def ablate(folder: Path, *words: str, preset: str = "small.yaml") -> tuple[str, str]:
    """What the command prints on stdout and stderr, in one line each."""
    done = dnntrain("ablate", preset, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split()), " ".join(done.stderr.split())


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "runs" / "small" / "study.json").read_text())
    return record


def test_a_study_that_is_extended_by_hand_is_judged_at_the_level_of_its_looks(folder: Path) -> None:
    shown, _ = ablate(folder, "--seeds", "4")
    assert "look" not in shown
    assert "looks" not in record_of(folder)
    shown, _ = ablate(folder, "--seeds", "6")
    record = record_of(folder)
    assert [look["n"] for look in record["looks"]] == [4]
    assert record["levels"] == {"4": look_levels((4, 6))[0], "6": look_levels((4, 6))[1]}
    level = f"{look_levels((4, 6))[1]:.3g}".removeprefix("0")
    assert f"look 2 (n = 6, after 4), level {level}: stricter, since there were looks before." in shown
    assert "reported before with 4 seeds at 5 %" in shown
    assert "about 8 to 10 %" in shown
    assert "--until-resolved" in shown
    shown, _ = ablate(folder, "--seeds", "7")
    assert "look 3 (n = 7, after 4 and 6)" in shown
    assert list(record_of(folder)["levels"].values()) == list(look_levels((4, 6, 7)))
    before = (folder / "runs" / "small" / "study.json").read_bytes()
    ablate(folder, "--seeds", "7")
    assert (folder / "runs" / "small" / "study.json").read_bytes() == before


def test_two_seeds_have_no_verdict_and_are_no_look(folder: Path) -> None:
    ablate(folder, "--seeds", "2")
    shown, _ = ablate(folder, "--seeds", "4")
    assert "looks" not in record_of(folder)
    assert "level ." not in shown


def test_other_seeds_are_no_look(folder: Path) -> None:
    ablate(folder, "--seeds", "0-2")
    ablate(folder, "--seeds", "3-6", "--yes")
    assert "looks" not in record_of(folder)


def test_a_finished_study_loses_seeds_only_if_that_is_asked_for(folder: Path) -> None:
    ablate(folder, "--seeds", "3")
    before = (folder / "runs" / "small" / "study.json").read_bytes()
    refused = error_of("ablate", "small.yaml", "--seeds", "1,3", cwd=folder)
    assert "seeds 1,3: small is finished with 3 seeds, and its tables would lose 2 of them" in refused
    assert "give --seeds 4" in refused and "give --yes" in refused
    plan = dnntrain("ablate", "small.yaml", "--seeds", "1,3", "--plan", cwd=folder)
    assert plan.returncode == 0 and "warning: seeds 1,3: small is finished with 3 seeds" in plan.stderr
    assert (folder / "runs" / "small" / "study.json").read_bytes() == before
    assert len(RunStore(folder / "runs").run_ids()) == 6
    ablate(folder, "--seeds", "2", "--yes")
    assert record_of(folder)["seeds"] == [0, 1]
    path = folder / "runs" / "small" / "study.json"
    path.write_text(json.dumps(record_of(folder) | {"seeds": [0, 1, 2, 3]}))  # an interrupted study may be cut short
    ablate(folder, "--seeds", "2")


def test_an_unfinished_study_that_is_extended_had_no_look(folder: Path) -> None:
    ablate(folder, "--seeds", "3")
    path = folder / "runs" / "small" / "study.json"
    path.write_text(json.dumps(record_of(folder) | {"seeds": [0, 1, 2, 3]}))  # one seed was not trained
    ablate(folder, "--seeds", "5")
    assert "looks" not in record_of(folder)


def test_until_resolved_says_that_the_study_was_reported_before(folder: Path) -> None:
    ablate(folder, "--seeds", "3")
    shown, _ = ablate(folder, "--until-resolved", "--max-seeds", "7")
    assert "of 2 (n = " in shown
    assert "reported before with 3 seeds at 5 %" in shown
    assert [(look["n"], "level" in look) for look in record_of(folder)["looks"]][:2] == [(3, False), (5, True)]


def test_a_recorded_study_keeps_its_metric_and_says_so(folder: Path) -> None:
    (folder / "by-validation.yaml").write_text(f"{PRESET}metric: val_acc\ndelta: 1pp\n")
    ablate(folder, "--seeds", "2", preset="by-validation.yaml")
    shown, progress = ablate(folder, "--seeds", "3")
    assert (record_of(folder)["metric"], record_of(folder)["delta"]) == ("val_acc", "1pp")
    assert "small: judged by val_acc, as recorded; a new study would be by test_acc" in progress
    assert "δ = 1pp" in shown
    (folder / "by-test.yaml").write_text(f"{PRESET}metric: test_acc\n")
    ablate(folder, "--seeds", "3", preset="by-test.yaml")
    assert record_of(folder)["metric"] == "test_acc"
    assert "compared by test_acc; δ = 0.3pp" in " ".join(succeeds("ablate", "small.yaml", "--plan", cwd=folder).split())


def test_another_study_under_the_name_does_not_keep_the_metric(folder: Path) -> None:
    (folder / "by-validation.yaml").write_text(f"{PRESET}metric: val_acc\n".replace("epochs: 1", "epochs: 2"))
    ablate(folder, "--seeds", "2", preset="by-validation.yaml")
    ablate(folder, "--seeds", "2")
    assert record_of(folder)["metric"] == "test_acc"


class FailsAtFirst(Inline):
    """An executor that loses the jobs of one arm."""

    def run(self, jobs: Iterable[Job], handle: SendEvent) -> None:
        kept = []
        for job in jobs:
            elu = tuple(spec for spec in job.specs if spec.settings()["act"] == "elu")
            others = tuple(spec for spec in job.specs if spec not in elu)
            handle(JobFailed(job.subset(elu), "out of memory"))
            kept += [job.subset(others)] if others else []
        super().run(kept, handle)


def test_seeds_whose_jobs_failed_are_recorded_until_they_succeed(folder: Path) -> None:
    study = read_preset(f"{PRESET}seeds: 2\n", "p.yaml")
    store = RunStore(folder / "runs")
    with pytest.raises(DnntrainError, match="out of memory"):
        StudyRunner(study, store).run(FailsAtFirst())
    assert record_of(folder)["failed"] == {"elu": [0, 1]}
    assert "elu 0/2" in " ".join(succeeds("report", "runs/small", cwd=folder).split())
    StudyRunner(study, store).run(Inline())
    assert "failed" not in record_of(folder)


def test_the_record_says_what_a_lost_run_counts_as(folder: Path) -> None:
    ablate(folder, "--seeds", "2")
    constants = record_of(folder)["constants"]
    assert constants.keys() == {"baseline", "elu"}
    assert 0.05 < constants["elu"]["test_acc"] < 0.2
