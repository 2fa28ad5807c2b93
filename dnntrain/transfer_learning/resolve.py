"""Finds what a study reuses: a recorded run, or a pretrained image network; and trains first what has to be there."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, FileSource
from dnntrain.engine.network import layer_specs, tensor_names
from dnntrain.errors import DnntrainError, InputError, did_you_mean
from dnntrain.metrics import VAL_LOSS
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunStore
from dnntrain.studies.study import PRETRAIN, Arm, Study
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.transfer_learning.mlp_backbone import MEASURED, Backbone, MLPBackbone, count_overlap, unfrozen_count
from dnntrain.utils.finite import check_finite


def resolve_backbone(name: str, store: RunStore, home: DataLocation) -> Backbone:
    """What `reuse_from` names; InputError where it is not there."""
    if "@" in name:
        from dnntrain.transfer_learning.image_backbone import ImageBackbone

        return ImageBackbone(name, home)
    if not re.fullmatch(r"[0-9a-f]{12}", name):
        near = did_you_mean(name, ARCHITECTURES)
        raise InputError(f"reuse_from '{name}': neither a run's id nor a pretrained network{near}")
    return run_backbone(store.read(name), store)


def resolve_backbones(study: Study, store: RunStore, home: DataLocation) -> dict[str, Backbone]:
    """What the study's arms reuse, by name; InputError where it is not there, or an arm cannot reuse it."""
    bases = {name: resolve_backbone(name, store, home) for name in {arm.spec.reuse_from for arm in study.arms} if name}
    for arm in study.arms:
        if arm.spec.reuse_from:
            base = bases[arm.spec.reuse_from]
            base.check(arm.spec, arm.spec.source.outline(home).shape)
            unfrozen_count(arm.spec, base)
    return bases


def run_backbone(record: RunRecord, store: RunStore) -> MLPBackbone:
    """A recorded run as a base; InputError where it diverged, or a weight is nan or infinite."""
    if record.status != "finished":
        raise InputError(f"reuse_from {record.run}: this run {record.status}; reuse one that finished")
    spec = RunSpec.from_record(record.settings)
    if "@" in (spec.reuse_from or ""):
        raise InputError(
            f"reuse_from {record.run}: its lower layers are those of {spec.reuse_from}; reuse that network, or a "
            "run of dense layers alone"
        )
    data, weights = record.data, store.weights(record.run)
    check_finite(weights, str(store.weights_file(record.run)), "this run cannot be reused")
    expected = set(tensor_names(layer_specs(spec, math.prod(data.shape), len(data.classes) or 1)))
    if weights.keys() - MEASURED != expected:
        differ = ", ".join(sorted((weights.keys() - MEASURED) ^ expected)[:4])
        raise InputError(
            f"reuse_from {record.run}: it froze layers of {spec.reuse_from} that differ from its own settings "
            f"({differ}); reuse that run instead"
        )
    return MLPBackbone(record.run, spec, weights, tuple(data.shape), tuple(data.classes))


def check_leakage(base: Backbone, spec: RunSpec, store: RunStore, home: DataLocation) -> None:
    """Raise InputError where the base was trained on examples that this run is tested on, as far as can be known."""
    if not isinstance(base, MLPBackbone):
        return
    trained, target = base.spec.source, spec.source
    recorded = store.read(base.name).data.fingerprint
    same = recorded == target.fingerprint(home) and not isinstance(target, FileSource)
    if same:
        return  # a published data set's own test part was never trained on
    try:
        known = trained.load(home)
    except DnntrainError:
        return  # the data of that run are no longer here
    shared = count_overlap(known.train_inputs, target.load(home).test_inputs)
    if shared:
        raise InputError(
            f"reuse_from {base.name}: it was trained on {shared} of the test examples of {target.display_name()}; "
            f"what it reaches there would mean nothing"
        )


def resolve_run(text: str, store: RunStore) -> tuple[RunStore, str]:
    """The store and id of `runs/<study>/<run>`, of `runs/<study>` (its best run by validation loss), or of an id."""
    if re.fullmatch(r"[0-9a-f]{12}", text):
        return store, text
    path = Path(text)
    if re.fullmatch(r"[0-9a-f]{12}", path.name) and len(path.parts) > 2:
        return RunStore(path.parent.parent), path.name
    if (path / "study.json").is_file():
        return RunStore(path.parent), best_run(path)
    raise InputError(
        f"--from {text}: neither a run (runs/<study>/<run>, runs/<study>, or a run's id) nor a pretrained network"
        f"{did_you_mean(text, ARCHITECTURES)}"
    )


def best_run(folder: Path) -> str:
    """The finished run of a study with the lowest validation loss; InputError where none finished."""
    from dnntrain.store.study_files import read_study

    runs = read_study(folder).runs
    finished = runs[runs["status"] == "finished"]
    if finished.empty:
        raise InputError(f"--from {folder}: none of its runs finished")
    return str(finished.sort_values(VAL_LOSS)["run"].iloc[0])


def pretraining_study(study: Study) -> Study | None:
    """The study of one run that has to be trained before this one; None where there is none."""
    if not isinstance(study.pretrain, RunSpec):
        return None
    arm = Arm("base", study.pretrain)
    question = f"what the arms of {study.name} reuse"
    return replace(
        study, name=f"{study.name}-base", arms=(arm,), seeds=(study.pretrain.seed,), question=question, baseline=None,
        design="list", note="", source="", pretrain=None, tuning=None,
    )  # fmt: skip


def with_backbone(study: Study, name: str) -> Study:
    """The study with the network that was trained first, or fetched, in its arms."""

    def known(arm: Arm) -> Arm:
        reuses = arm.spec.reuse_from == PRETRAIN
        return replace(arm, spec=arm.spec.changed(reuse_from=name)) if reuses else arm

    return replace(study, arms=tuple(map(known, study.arms)), pretrain=None)
