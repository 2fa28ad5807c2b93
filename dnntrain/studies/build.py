"""Builds the studies that `train`, `ablate` and `transfer` run, from Python values or command-line text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dnntrain.config.keys import Settings
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.metrics import default_metric
from dnntrain.store.run_store import RunStore
from dnntrain.studies import transfer
from dnntrain.studies.presets import load_preset, read_values
from dnntrain.studies.study import (
    Arm,
    Study,
    check_metric,
    check_name,
    folder_name,
    read_seeds,
    spec_label,
)
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.transfer_learning.mlp_backbone import MLPBackbone
from dnntrain.transfer_learning.weights import fetch

BASE = "base"
"""The arm without changes in a study of named arms."""


def training_study(settings: Settings, seeds: object = 1, name: str | None = None,
                   home: DataLocation | None = None) -> Study:  # fmt: skip
    """One arm with these settings. Raises InputError if a setting, a seed or the name is invalid."""
    spec = RunSpec.parse(settings)
    folder = folder_name(f"train-{spec_label(spec)}") if name is None else check_name(name, "name")
    arm = Arm(name or spec_label(spec), spec)
    return Study(folder, (arm,), read_seeds(seeds), metric=default_metric(spec.source.outline(home).task))


def preset_study(
    preset: str, overrides: Settings, seeds: object = None, home: DataLocation | None = None, given_as: str = "--set"
) -> Study:
    """A preset's study with some settings of its base replaced. Raises InputError, see `load_preset`."""
    study = load_preset(preset, overrides, home, given_as=given_as)
    return study if seeds is None else study.with_seeds(read_seeds(seeds))


def ablation_study(
    *,
    arms: Mapping[str, Settings] | None = None,
    factors: Mapping[str, Settings] | None = None,
    base: Settings,
    seeds: object = 5,
    metric: str | None = None,
    name: str | None = None,
    home: DataLocation | None = None,
) -> Study:
    """A study of named arms or factors.

    Args:
        arms: Settings that each arm changes in the base. The base itself is the first arm, and the baseline.
        factors: Settings of each factor, which make a one-in design: the base, and each factor alone.
        base: Settings that all arms share.
        seeds: How many seeds, or which.
        metric: What arms are compared by.
        name: The study's name; by default made of the arms' names and a digest of the settings.
        home: Where data sets are found.

    Raises:
        InputError: If a value is invalid; the message names the arm and the key.
    """
    if arms is not None and BASE in arms:
        raise InputError(f"arms: '{BASE}' is the arm without changes; choose another name")
    key, named = ("factors", factors) if arms is None else ("arms", arms)
    if not isinstance(named, Mapping) or not named:
        raise InputError(f"{key}: must be settings by name, such as {{'elu': {{'act': 'elu'}}}}, not {named!r}")
    digest = hashlib.sha256(json.dumps([key, base, named], default=str).encode()).hexdigest()[:8]
    content = {
        "name": folder_name(f"{','.join(map(str, named))[:60]}-{digest}") if name is None else name,
        "base": base,
        "design": "one-in" if arms is None else "list",
        "factors": named if arms is None else {BASE: {}, **named},
        "seeds": seeds,
        "metric": metric,
    }
    return read_values(content, "ablate()", {"factors": key}, home)


def judged_by(study: Study, metric: str | None) -> Study:
    """The study, compared by another metric if one is given."""
    return study if metric is None else replace(study, metric=check_metric(metric))


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
    train_sizes: str | Iterable[int] | None = None
    """Numbers of training examples at which transfer and scratch are compared."""

    def check(self, base: Backbone, settings: Settings) -> None:
        """Raise InputError for an option that would be ignored."""
        if self.strategies and (self.drop or self.train_sizes is not None):
            raise InputError("strategies: tries every drop itself, and excludes train_sizes")
        if self.strategies and "unfreeze_layers" in settings:
            raise InputError("strategies: tries every unfreeze_layers itself")
        if self.train_sizes is not None and "train_size" in settings:
            raise InputError("train_sizes: gives the numbers of training examples; leave out train_size")
        if not self.scratch and (self.strategies or self.train_sizes is not None):
            raise InputError(f"scratch: {'strategies' if self.strategies else 'train_sizes'} compares with scratch")
        if isinstance(base, MLPBackbone):
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
    seeds: object = 5,
    name: str | None = None,
    out: Path = Path("runs"),
    home: DataLocation | None = None,
) -> Study:
    """A study that reuses a recorded run or a pretrained network.

    Args:
        source: A run (its folder, its id, or its study for the best run), or the name of a pretrained network.
        settings: Settings of the new runs.
        design: Which networks are compared.
        weights: File with a pretrained network's weights; by default they are downloaded.
        seeds: How many seeds, or which.
        name: The study's name; by default made of the source and the settings.
        out: Folder where runs are recorded.
        home: Where data sets and pretrained networks are found.

    Raises:
        InputError: If the source cannot be found or reused, or an option is invalid or would be ignored.
    """
    home = home or DataLocation()
    base = find_backbone(source, weights, out, home)
    random_base = fetch(source, home, seed=0) if source in ARCHITECTURES and design.scratch else None
    return plan_transfer(base, settings, design, seeds, name, random_base)


def find_backbone(source: str, weights: Path | None, out: Path, home: DataLocation) -> Backbone:
    """The network that `source` names; InputError if there is none."""
    from dnntrain.transfer_learning.resolve import resolve_backbone, resolve_run

    if source in ARCHITECTURES:
        return resolve_backbone(fetch(source, home, weights), RunStore(out), home)
    if weights is not None:
        raise InputError(f"weights: only for a pretrained network, which '{source}' is not")
    store, run = resolve_run(source, RunStore(out))
    return resolve_backbone(run, store, home)


def plan_transfer(
    base: Backbone, settings: Settings, design: TransferDesign, seeds: object, name: str | None, random_base: str | None
) -> Study:
    """The arms that the design compares. `random_base` is the source's architecture with random weights."""
    chosen = read_seeds(seeds)
    label = "-".join([base.name.split("@")[0], *(f"{key}={value}" for key, value in settings.items())])
    given_name = "" if name is None else check_name(name, "name")
    design.check(base, settings)
    if design.strategies:
        name = given_name or folder_name(f"ladder-{label}")
        return transfer.strategies(name, base, dict(settings), chosen, design.head, random_base)
    inherited = transfer.inherit_settings(base, settings)
    reusing = transfer.with_freeze(transfer.transfer_settings(base, inherited, design.drop, design.head))
    if design.train_sizes is not None:
        sizes = transfer.read_sizes(design.train_sizes)
        return transfer.curve(given_name or folder_name(f"curve-{label}"), base, reusing, sizes, chosen, random_base)
    name = given_name or folder_name(f"transfer-{label}")
    return transfer.comparison(name, base, reusing, chosen, random_base, scratch=design.scratch)
