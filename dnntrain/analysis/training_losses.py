"""Which losses a study's arms train on. Their train_loss values cannot be compared if these differ."""

from __future__ import annotations

from dnntrain.store.study_record import StudyRecord

PLAIN = "the plain loss"
"""The loss by which validation and test are measured: the default of `loss`, and its names in each task."""


def arms_by_training_loss(study: StudyRecord) -> dict[str, list[str]]:
    """The names of the arms by the loss that they train on: 'the plain loss', or as in the `loss` setting."""
    by_loss: dict[str, list[str]] = {}
    for arm in study.arms:
        loss = str(arm.settings.get("loss", "auto"))
        by_loss.setdefault(PLAIN if loss in ("auto", "cross_entropy", "squared") else loss, []).append(arm.name)
    return by_loss
