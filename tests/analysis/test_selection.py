"""What validation data chose: the epoch that is kept, or tuned values."""

from __future__ import annotations

import pytest

from dnntrain.analysis.selection import arms_by_kept_epoch, choices_by_validation, kept_epoch, other_part_of
from dnntrain.config.spec import RunSpec
from dnntrain.store.study_record import ArmRecord, StudyRecord


def study(*settings: dict[str, object], tuned: str = "") -> StudyRecord:
    arms = [ArmRecord(name=f"arm {i}", settings=each) for i, each in enumerate(settings)]
    return StudyRecord(name="made", metric="val_acc", seeds=[0], arms=arms, tuned=tuned)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, "the last"),
        ({"early_stop": 5}, "the best by val_loss"),
        ({"early_stop": 5, "early_stop_metric": "val_acc"}, "the best by val_acc"),
        ({"early_stop": 5, "early_stop_restore": False}, "the last"),
        ({"select": "best:val_acc"}, "the best by val_acc"),
        ({"select": "last", "early_stop": 5}, "the last"),
    ],
)
def test_the_kept_epoch_follows_from_the_settings_as_the_engine_reads_them(
    settings: dict[str, object], kept: str
) -> None:
    spec = RunSpec.parse(settings | {"epochs": 9})
    assert kept_epoch(spec.settings()) == kept_epoch(settings) == kept
    best = spec.best_epoch
    assert kept == (f"the best by {best.metric}" if best else "the last")


def test_arms_that_keep_other_epochs_and_tuned_values_are_told() -> None:
    both = study({}, {"early_stop": 3})
    assert arms_by_kept_epoch(both) == {"the last": ["arm 0"], "the best by val_loss": ["arm 1"]}
    assert choices_by_validation(both) == ["the kept epoch"]
    assert choices_by_validation(study({}, {})) == []
    assert choices_by_validation(study({}, {}, tuned="lr")) == ["tuned values"]


def test_the_other_part_of_a_metric() -> None:
    assert [other_part_of(name) for name in ("test_acc", "val_rmse", "mc_test_acc", "train_loss")] == [
        "val_acc", "test_rmse", "", "",
    ]  # fmt: skip
