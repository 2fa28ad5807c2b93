"""Studies whose arms reuse networks that the preset names or trains first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.studies.study import PRETRAIN, Arm, Study
from dnntrain.techniques.networks.module import Module
from dnntrain.transfer_learning.backbone import unfrozen_count
from dnntrain.transfer_learning.run_backbone import RunBackbone


def pretraining_study(study: Study) -> Study | None:
    """The study of the runs that must be trained before this study, one for each network; None if there are none."""
    bases = {key: base for key, base in study.pretrain.items() if isinstance(base, RunSpec)}
    if not bases:
        return None
    arms = (Arm("base" if key == PRETRAIN else key.partition(".")[2], base) for key, base in bases.items())
    return replace(
        study,
        name=f"{study.name}-base",
        arms=tuple(arms),
        seeds=(0,),
        question=f"what the arms of {study.name} reuse",
        baseline=None,
        design="list",
        note="",
        source="",
        pretrain={},
        tuning=None,
        delta=None,
        max_seeds=None,
        within="",
        order=(),
    )


def check_reuse(study: Study, home: DataLocation) -> None:
    """Raise InputError for an arm that could not reuse a network that is still to be trained.

    What a module can pass on is known only once it is trained.
    """
    for arm in study.arms:
        name = arm.spec.reuse_from or ""
        base = study.pretrain.get(name)
        if isinstance(base, RunSpec) and not isinstance(base.net, Module):
            data = base.source.outline(home)
            backbone = RunBackbone(name, base, {}, data.shape, data.classes, data.kind, data.n_tokens)
            try:
                backbone.check(arm.spec, arm.spec.source.outline(home))
                unfrozen_count(arm.spec, backbone)
            except InputError as error:
                raise InputError(f"arm '{arm.name}': {error}") from None


def with_backbones(study: Study, names: Mapping[str, str]) -> Study:
    """The study with the runs or networks that were trained or fetched for it, instead of what stands for them."""
    arms = [
        replace(arm, spec=arm.spec.changed(reuse_from=names[base]))
        if (base := arm.spec.reuse_from or "") in names
        else arm
        for arm in study.arms
    ]
    return replace(study, arms=tuple(arms), pretrain={})
