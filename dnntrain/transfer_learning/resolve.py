"""Finds the network that a run reuses: a recorded run or an image model."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, OwnSource
from dnntrain.engine.network import layer_specs, tensor_names
from dnntrain.engine.scaling import MEASURED
from dnntrain.errors import DnntrainError, InputError, did_you_mean
from dnntrain.store.code import recorded_plugins, runnable_code
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunStore
from dnntrain.techniques.networks.module import Module
from dnntrain.transfer_learning.backbone import Backbone, unfrozen_count
from dnntrain.transfer_learning.image_backbone import ImageBackbone
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.transfer_learning.module_backbone import ModuleBackbone
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.utils.finite import check_finite
from dnntrain.utils.user_code.reference import pinned


def resolve_backbone(name: str, store: RunStore, home: DataLocation) -> Backbone:
    """The backbone that `reuse_from` names; InputError if it does not exist or cannot be reused."""
    if "@" in name:
        return ImageBackbone(name, home)
    if not re.fullmatch(r"[0-9a-f]{12}", name):
        near = did_you_mean(name, ARCHITECTURES)
        raise InputError(f"reuse_from '{name}': neither a run's id nor a pretrained network{near}")
    return run_backbone(store.read(name), store)


def resolve_backbones(specs: Collection[RunSpec], store: RunStore, home: DataLocation) -> dict[str, Backbone]:
    """The backbones of all runs that reuse one, by name; InputError if one does not exist, or a run cannot reuse it."""
    backbones = {name: resolve_backbone(name, store, home) for name in {spec.reuse_from for spec in specs} if name}
    for spec in specs:
        if spec.reuse_from:
            backbone = backbones[spec.reuse_from].for_run(spec)
            backbone.check(spec, spec.source.outline(home))
            unfrozen_count(spec, backbone)
    return backbones


def run_backbone(record: RunRecord, store: RunStore) -> RunBackbone:
    """A recorded run as a backbone; InputError if it diverged, or a weight is nan or infinite."""
    if record.status != "finished":
        raise InputError(f"reuse_from {record.run}: this run {record.status}; reuse one that finished")
    recorded_plugins(store.code, record)
    spec = RunSpec.from_record(record.settings)
    if "@" in (spec.reuse_from or ""):
        raise InputError(
            f"reuse_from {record.run}: its lower layers are those of {spec.reuse_from}; reuse that network, or a "
            "run of dense layers alone"
        )
    data, weights = record.data, store.weights(record.run)
    check_finite(weights, str(store.weights_file(record.run)), "this run cannot be reused")
    kind = ModuleBackbone if isinstance(spec.net, Module) else RunBackbone
    backbone = kind(record.run, spec, weights, tuple(data.shape), tuple(data.classes), data.kind, data.n_tokens)
    if kind is RunBackbone:  # what a module has to be is checked for each run, whose code it is
        expected = set(tensor_names(layer_specs(spec, backbone.info)))
        if weights.keys() - {*MEASURED} != expected:
            differ = ", ".join(sorted((weights.keys() - {*MEASURED}) ^ expected)[:4])
            raise InputError(
                f"reuse_from {record.run}: it froze layers of {spec.reuse_from} that differ from its own settings "
                f"({differ}); reuse that run instead"
            )
    return backbone


def check_leakage(backbone: Backbone, spec: RunSpec, store: RunStore, home: DataLocation) -> None:
    """Raise InputError if the backbone was trained on test examples of this run, as far as can be known."""
    if not isinstance(backbone, RunBackbone):
        return
    source, target = backbone.spec.source, spec.source
    record = store.read(backbone.name)
    if record.data.fingerprint == target.fingerprint(home) and not isinstance(target, OwnSource):
        return  # the test part of a published data set is never trained on
    try:
        with pinned(runnable_code(store.code, record, trust_code=False)):
            dataset = source.load(home)
    except DnntrainError:
        return  # the backbone's data are gone, or the code that makes them
    shared = count_overlap(dataset.train_inputs, target.load(home).test_inputs)
    if shared:
        raise InputError(
            f"reuse_from {backbone.name}: it was trained on {shared} of the test examples of "
            f"{target.display_name()}, so results on these would mean nothing"
        )


def count_overlap(train: np.ndarray, test: np.ndarray) -> int:
    """How many of the test examples (M, …) are among the training examples (N, …), byte for byte."""
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        return 0
    known = {hash(row.tobytes()) for row in train}
    return sum(hash(row.tobytes()) in known for row in test)
