"""Studies whose arms reuse a network that the preset names or trains first."""

from __future__ import annotations

from dataclasses import replace

from dnntrain.config.spec import RunSpec
from dnntrain.studies.study import PRETRAIN, Arm, Study


def pretraining_study(study: Study) -> Study | None:
    """The study of the one run that must be trained before this study; None if there is none."""
    if not isinstance(study.pretrain, RunSpec):
        return None
    return replace(
        study,
        name=f"{study.name}-base",
        arms=(Arm("base", study.pretrain),),
        seeds=(study.pretrain.seed,),
        question=f"what the arms of {study.name} reuse",
        baseline=None,
        design="list",
        note="",
        source="",
        pretrain=None,
        tuning=None,
        delta=None,
        max_seeds=None,
        within="",
        order=(),
    )


def with_backbone(study: Study, name: str) -> Study:
    """The study with `reuse_from: pretrain` replaced by the run or network that was trained or fetched for it."""
    arms = [
        replace(arm, spec=arm.spec.changed(reuse_from=name)) if arm.spec.reuse_from == PRETRAIN else arm
        for arm in study.arms
    ]
    return replace(study, arms=tuple(arms), pretrain=None)
