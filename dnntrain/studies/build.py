"""Builds the studies that `train`, `ablate` and `transfer` run, from Python values or command-line text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dnntrain.analysis.arm_names import SCRATCH
from dnntrain.config.keys import Settings
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError, nearest
from dnntrain.metrics import default_metric
from dnntrain.store.run_store import RunStore
from dnntrain.store.studies import RUNS, is_study
from dnntrain.studies import transfer
from dnntrain.studies.presets import load_preset, read_values
from dnntrain.studies.seeds import UNTIL_RESOLVED, read_seed_schedule, read_seeds
from dnntrain.studies.study import Arm, Study, check_delta, check_metric, check_name, folder_name, spec_label
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.transfer_learning.module_backbone import ModuleBackbone
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.weights import fetch

BASE = "base"
"""The arm without changes in a study of named arms."""


@dataclass(frozen=True)
class StudyRequest:
    """How many seeds a study has and how it is judged, where that is not as usual."""

    seeds: object = None
    """A count, a list, or 'until-resolved'."""
    max_seeds: object = None
    """The most seeds of 'until-resolved'."""
    metric: str | None = None
    """What arms are compared by, such as test_acc."""
    delta: str | float | None = None
    """The smallest difference that matters, such as 0.3pp."""

    def apply(self, study: Study) -> Study:
        """The study as requested; InputError for what it cannot have."""
        if self.metric is not None:
            study = replace(study, metric=check_metric(self.metric), metric_is_default=False)
        delta = study.delta if self.delta is None else self.delta
        study = replace(study, delta=check_delta(delta, study.metric))
        if self.seeds is None and self.max_seeds is None:
            return study
        own = UNTIL_RESOLVED if study.max_seeds else list(study.seeds)
        plan = read_seed_schedule(own if self.seeds is None else self.seeds, self.max_seeds)
        if plan.max_seeds and study.seeds != tuple(range(len(study.seeds))):
            listed = ", ".join(map(str, study.seeds))
            raise InputError(f"seeds {UNTIL_RESOLVED}: they count from 0, but the preset lists {listed}")
        return study.with_seeds(plan)


def default_name(kind: str, content: str, out: Path, before: str) -> str:
    """A study's name where none is given: what it is and six digits, as `train-a1b2c3`.

    Args:
        kind: What the study is.
        content: What tells it from others of its kind.
        out: The folder of studies.
        before: The name that earlier versions gave it. A study that is recorded under it keeps it.
    """
    if is_study(out / before):
        return before
    return f"{kind}-{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


def training_study(
    settings: Settings, seeds: object = 1, name: str | None = None, out: Path = RUNS, home: DataLocation | None = None
) -> Study:
    """One arm with these settings. Raises InputError if a setting, a seed or the name is invalid."""
    spec = RunSpec.parse(settings)
    label = spec_label(spec)
    before = folder_name(f"train-{label}")
    folder = default_name("train", label, out, before) if name is None else check_name(name, "name")
    arm = Arm(name or label, spec)
    metric = default_metric(spec.source.outline(home).task)
    return Study(folder, (arm,), read_seeds(seeds), metric=metric, metric_is_default=True)


def preset_study(
    preset: str, overrides: Settings, request: StudyRequest | None = None, home: DataLocation | None = None,
    given_as: str = "--set",
) -> Study:  # fmt: skip
    """A preset's study with some settings of its base replaced.

    Args:
        preset: The preset's file, or the name of one that comes with dnntrain.
        overrides: Settings that replace those of the preset's base.
        request: What else differs from the preset.
        home: Where data sets are found.
        given_as: What error messages call the overrides.

    Raises:
        InputError: If the preset, a setting or the request is wrong; see `load_preset`.
    """
    return (request or StudyRequest()).apply(load_preset(preset, overrides, home, given_as=given_as))


def ablation_study(
    *,
    arms: Mapping[str, Settings] | None = None,
    factors: Mapping[str, Any] | None = None,
    design: str = "one-in",
    varies: Iterable[str] | None = None,
    base: Settings,
    request: StudyRequest,
    name: str | None = None,
    out: Path = RUNS,
    home: DataLocation | None = None,
) -> Study:
    """A study of named arms or factors.

    Args:
        arms: Settings that each arm changes in the base. The base itself is the first arm, and the baseline.
        factors: Settings, named levels, or values of each factor; see `PresetDesign`.
        design: How the factors make arms.
        varies: The settings in which arms may differ from the baseline; by default all but the data.
        base: Settings that all arms share.
        request: How many seeds it has, and how it is judged.
        name: The study's name; by default made of a digest of the settings.
        out: The folder of studies.
        home: Where data sets are found.

    Raises:
        InputError: If a value is invalid; the message names the arm and the key.
    """
    if arms is not None and BASE in arms:
        raise InputError(f"arms: '{BASE}' is the arm without changes; choose another name")
    key, named = ("factors", factors) if arms is None else ("arms", arms)
    if not isinstance(named, Mapping) or not named:
        raise InputError(f"{key}: must be settings by name, such as {{'elu': {{'act': 'elu'}}}}, not {named!r}")
    settings = json.dumps([key, base, named], default=str)
    before = f"{','.join(map(str, named))[:60]}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
    content = {
        "name": default_name("ablation", settings + design, out, folder_name(before)) if name is None else name,
        "base": base,
        "varies": None if varies is None else [*varies],
        "design": design if arms is None else "list",
        "factors": named if arms is None else {BASE: {}, **named},
        **asdict(request),
    }
    return read_values(content, "ablate()", {"factors": key}, home)


@dataclass(frozen=True)
class TransferDesign:
    """Which networks a transfer compares."""

    drop: int = 0
    """Top hidden layers of the source that are left out."""
    head: str = ""
    """New hidden layers on top, as 50 or 50,50."""
    scratch: bool = True
    """Whether to train the same network from scratch for comparison."""
    strategies: bool = False
    """Whether to compare scratch, frozen, unfreeze 1, 2, all, drop 1, 2, replace and add."""
    reuse_depths: str | Iterable[int] | None = None
    """Numbers of lower layers whose reuse is compared; those above them are new."""
    train_sizes: str | Iterable[int] | None = None
    """Numbers of training examples at which all this is compared with scratch."""

    def check(self, base: Backbone, settings: Settings) -> None:
        """Raise InputError for an option that would be ignored."""
        if self.strategies and (self.drop or self.reuse_depths is not None):
            raise InputError("strategies: tries every drop itself, and excludes reuse_depths")
        if self.reuse_depths is not None and (self.drop or "transfer_layers" in settings):
            raise InputError("reuse_depths: gives the numbers of layers; leave out drop and transfer_layers")
        if self.strategies and "unfreeze_layers" in settings:
            raise InputError("strategies: tries every unfreeze_layers itself")
        if self.train_sizes is not None and "train_size" in settings:
            raise InputError("train_sizes: gives the numbers of training examples; leave out train_size")
        several = [key for key in ("strategies", "reuse_depths", "train_sizes") if getattr(self, key)]
        if several and not self.scratch:
            raise InputError(f"scratch: {several[0]} compares with scratch")
        self.check_layers(base, settings)

    def check_layers(self, base: Backbone, settings: Settings) -> None:
        """Raise InputError for settings of layers that the backbone has, or that are given twice."""
        if isinstance(base, RunBackbone):
            if "net" in settings and not isinstance(base, ModuleBackbone):
                raise InputError(f"net: the network is that of {base.name}; drop and head change its dense layers")
            for key in ("hidden", "act"):
                if key in settings:
                    raise InputError(f"{key}: the layers are those of {base.name}; drop and head change them")
        elif "hidden" in settings and self.head:
            raise InputError("hidden and head both give the new layers; use one of them")


def transfer_study(
    source: str,
    settings: Settings,
    design: TransferDesign,
    *,
    weights: Path | None = None,
    request: StudyRequest | None = None,
    name: str | None = None,
    out: Path = RUNS,
    home: DataLocation | None = None,
) -> Study:
    """A study that reuses a recorded run or a pretrained network.

    Args:
        source: A run (its folder, its id, or its study for the best run), or the name of a pretrained network.
        settings: Settings of the new runs.
        design: Which networks are compared.
        weights: File with a pretrained network's weights; by default they are downloaded.
        request: How many seeds it has, and how it is judged.
        name: The study's name; by default made of the source and the settings.
        out: Folder where runs are recorded.
        home: Where data sets and pretrained networks are found.

    Raises:
        InputError: If the source cannot be found or reused, or an option is invalid or would be ignored.
    """
    home = home or DataLocation()
    base = find_backbone(source, weights, out, home)
    random_base = fetch(source, home, seed=0) if source in ARCHITECTURES and design.scratch else None
    study = plan_transfer(base, settings, design, name, random_base, out, home, source)
    return (request or StudyRequest()).apply(study)


def find_backbone(source: str, weights: Path | None, out: Path, home: DataLocation) -> Backbone:
    """The network that `source` names; InputError if there is none."""
    from dnntrain.store.run_names import NoSuchRunError, resolve_run, run_of_lowest_loss
    from dnntrain.transfer_learning.resolve import resolve_backbone

    if source in ARCHITECTURES:
        return resolve_backbone(fetch(source, home, weights), RunStore(out), home)
    if weights is not None:
        raise InputError(f"weights: only for a pretrained network, which '{source}' is not")
    try:
        store, run = resolve_run(source, RunStore(out), run_of_lowest_loss)
    except NoSuchRunError as error:
        near = nearest(source, ARCHITECTURES)
        hint = f"; did you mean '{near[0]}'?" if near else f" ({', '.join(sorted(ARCHITECTURES))}){error.hint}"
        raise InputError(f"--from {source}: neither a run nor a pretrained network{hint}") from None
    return resolve_backbone(run, store, home)


def plan_transfer(
    base: Backbone, settings: Settings, design: TransferDesign, name: str | None, random_base: str | None,
    out: Path = RUNS, home: DataLocation | None = None, source: str = "",
) -> Study:  # fmt: skip
    """The arms that the design compares.

    Args:
        base: The network that they reuse.
        settings: Settings of all arms.
        design: Which networks are compared.
        name: The study's name; by default made of the base and the settings.
        random_base: The base's architecture with random weights, if it is an image network.
        out: The folder of studies.
        home: Where data sets are found.
        source: What the user called the base; by default its own name.
    """
    # an id alone says nothing to a reader; the name of a pretrained network begins with what the user typed
    base_name = base.name if base.name in source or base.name.startswith(source) else f"{source} (run {base.name})"
    label = "-".join([base.name.split("@")[0], *(f"{key}={value}" for key, value in settings.items())])
    if name is not None:
        check_name(name, "name")
    design.check(base, settings)
    settings = transfer.fit_images(base, settings, home or DataLocation())
    if design.strategies:
        kind, question = "strategies", f"Which transfer strategy works best with {base_name} here?"
        arms = transfer.strategies(base, dict(settings), design.head, random_base)
    else:
        inherited = transfer.inherit_settings(base, settings)
        reusing = transfer.with_freeze(transfer.transfer_settings(base, inherited, design.drop, design.head))
        if design.reuse_depths is not None:
            kind, question = "depths", f"How many of the lower layers of {base_name} should be reused here?"
            depths = transfer.read_distinct("reuse_depths", design.reuse_depths)
            arms = transfer.reuse_depths(base, reusing, depths, random_base)
        else:
            kind, question = "transfer", f"What does reusing {base_name} gain?"
            arms = transfer.comparison(base, reusing, random_base, scratch=design.scratch)
    baseline = SCRATCH if design.scratch else None
    if design.train_sizes is not None:
        arms, baseline = transfer.at_sizes(arms, transfer.read_distinct("train_sizes", design.train_sizes)), None
        if kind == "transfer":
            kind, question = "sizes", f"How many training examples does reusing {base_name} save?"
        else:
            kind, question = f"{kind}-sizes", f"{question.removesuffix(' here?')} at each number of examples?"
    if name is None:
        old_kind = kind.replace("strategies", "ladder").replace("sizes", "curve")
        name = default_name(kind, label, out, folder_name(f"{old_kind}-{label}"))
    return transfer.study_of(name, arms, question, baseline)
