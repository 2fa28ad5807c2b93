"""The studies that a transfer makes: beside scratch, the lecture's ladder of advice, and accuracy by training size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dnntrain.config.parsing import read_hidden, write_hidden
from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL, TransferSettings, read_count
from dnntrain.data import options
from dnntrain.errors import InputError
from dnntrain.studies.study import Arm, Study, default_metric, folder_name
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.mlp_backbone import MLPBackbone

Settings = dict[str, Any]

SCRATCH, TRANSFER = "scratch", "transfer"

OF_THE_TARGET = {
    *(
        "data",
        "train_size",
        "draw",
        "val",
        "val_part",
        "output",
        "epochs",
        "seed",
        "early_stop",
        "early_stop_min_delta",
    ),
    *("early_stop_metric", "early_stop_restore", *options(), *TransferSettings.model_fields),
}
"""What a run does not take over from the run that it reuses."""

FOR_IMAGE_NETWORKS: Settings = {"hidden": "none", "optimizer": "adam", "lr": 1e-3, "epochs": 30, "draw": "same"}
"""What suits a new head on a pretrained image network, where nothing else is given."""


def inherit_settings(base: Backbone, given: Mapping[str, Any]) -> Settings:
    """The settings of a run that reuses the base: the base's own where it is a run of ours, then what is given."""
    if not isinstance(base, MLPBackbone):
        return FOR_IMAGE_NETWORKS | dict(given)
    theirs = base.spec.settings()
    return {key: value for key, value in theirs.items() if key not in OF_THE_TARGET} | dict(given)


def transfer_settings(base: Backbone, settings: Settings, drop: int = 0, head: str = "") -> Settings:
    """The settings with the base's lower layers below a new head; InputError where fewer than one would be left."""
    try:
        new = read_hidden(head) if head else ()
    except ValueError as error:
        raise InputError(f"head: {error}") from None
    if not isinstance(base, MLPBackbone):
        if drop:
            raise InputError("drop: only for a recorded run; an image network is reused as a whole")
        return settings | {"reuse_from": base.name} | ({"hidden": write_hidden(new)} if head else {})
    kept = base.n_layers - drop
    if kept < 1:
        raise InputError(f"drop {drop}: {base.name} has {base.n_layers} hidden layers; at least one must be left")
    acts = [str(act) for act in base.spec.activations[:kept]] + [str(base.spec.activations[kept - 1])] * len(new)
    act = acts[0] if len(set(acts)) == 1 else ",".join(acts)
    hidden = write_hidden((*base.spec.hidden[:kept], *new))
    return settings | {"reuse_from": base.name, "reuse": kept, "hidden": hidden, "act": act}


def scratch_settings(settings: Settings, base: Backbone, random_base: str | None) -> Settings:
    """The same network with nothing learned before: new weights, all of them trained from the start."""
    reuse = {key: TransferSettings.default_of(key) for key in TransferSettings.model_fields if key != "resize"}
    if isinstance(base, MLPBackbone):
        return settings | reuse | {"resize": TransferSettings.default_of("resize")}
    return settings | reuse | {"reuse_from": random_base, "freeze": 0, "unfreeze": ALL}


def comparison(
    name: str,
    base: Backbone,
    settings: Settings,
    seeds: Sequence[int],
    random_base: str | None,
    *,
    scratch: bool = True,
) -> Study:
    """The transfer, and the same network from scratch beside it."""
    arms = {TRANSFER: settings}
    if scratch:
        arms = {SCRATCH: scratch_settings(settings, base, random_base)} | arms
    question = f"What does reusing {base.name} buy?"
    return study_of(name, arms, seeds, question, SCRATCH if scratch else None)


def strategies(
    name: str, base: Backbone, given: Settings, seeds: Sequence[int], head: str, random_base: str | None
) -> Study:
    """The lecture's advice, rung by rung; those that a base has too few layers for are left out."""
    settings = inherit_settings(base, given)
    epochs = RunSpec.parse({key: value for key, value in settings.items() if key == "epochs"}).epochs
    freeze, rate = settings.get("freeze") or max(1, epochs // 5), settings.get("unfreeze_lr")
    frozen = {key: value for key, value in settings.items() if key not in ("freeze", "unfreeze", "unfreeze_lr")}
    thawing = frozen | {"freeze": freeze} | ({"unfreeze_lr": rate} if rate is not None else {})
    whole = transfer_settings(base, frozen, head=head)
    arms = {SCRATCH: scratch_settings(whole, base, random_base), "frozen": whole}
    for count in (1, 2, ALL):
        if count == ALL or count < base.n_layers:
            word = "all" if count == ALL else str(count)
            arms[f"unfreeze {word}"] = transfer_settings(base, thawing, head=head) | {"unfreeze": count}
    if isinstance(base, MLPBackbone):
        arms |= head_variants(base, thawing, head)
    question = f"Which rung of the lecture's ladder does {base.name} support here?"
    return study_of(name, arms, seeds, question, SCRATCH)


def head_variants(base: MLPBackbone, thawing: Settings, head: str) -> dict[str, Settings]:
    """The rungs that drop, replace or add top layers."""
    width = str(base.spec.hidden[-1])
    rungs = {f"drop {n}": transfer_settings(base, thawing, n, head) for n in (1, 2) if n < base.n_layers}
    if base.n_layers > 1:
        rungs["replace 1"] = transfer_settings(base, thawing, 1, ",".join(filter(None, (width, head))))
    rungs["add 1"] = transfer_settings(base, thawing, 0, ",".join(filter(None, (head, width))))
    return {name: settings | {"unfreeze": ALL} for name, settings in rungs.items()}


def curve(
    name: str, base: Backbone, settings: Settings, sizes: Sequence[int], seeds: Sequence[int], random_base: str | None
) -> Study:
    """Transfer and scratch at every number of training examples."""
    arms = {}
    for size in sizes:
        sized = settings | {"train_size": size}
        arms[at_size(SCRATCH, size)] = scratch_settings(sized, base, random_base)
        arms[at_size(TRANSFER, size)] = sized
    return study_of(name, arms, seeds, f"How much data does reusing {base.name} save?", None)


def at_size(arm: str, size: int) -> str:
    """The name of an arm at one number of training examples."""
    return f"{arm} ({size})"


def study_of(
    name: str, arms: Mapping[str, Settings], seeds: Sequence[int], question: str, baseline: str | None
) -> Study:
    """The study of these arms, judged on the test set: it was used for nothing else."""
    specs = {arm: RunSpec.parse(settings) for arm, settings in arms.items()}
    first: RunSpec = next(iter(specs.values()))
    study = Study(
        folder_name(name), tuple(Arm(arm, spec) for arm, spec in specs.items()), tuple(seeds), question, baseline
    )
    return replace(study, metric=default_metric(first).replace("val", "test"))


def read_sizes(value: str | Iterable[int]) -> tuple[int, ...]:
    """`20,50,100` or [20, 50, 100] → the sizes, ascending; InputError otherwise."""
    text = value if isinstance(value, str) else ",".join(map(str, value))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 10**9 for part in parts) or len(set(parts)) < len(parts):
        raise InputError(f"train_sizes {text}: must be different numbers of training examples, such as 20,50,100")
    return tuple(sorted(int(part) for part in parts))


def with_freeze(settings: Settings) -> Settings:
    """A stage of frozen layers before they are unfrozen, a fifth of the epochs, where none is given."""
    if read_count(settings.get("unfreeze", 0)) in (0, "0") or settings.get("freeze") is not None:
        return settings
    epochs = RunSpec.parse({"epochs": settings["epochs"]} if "epochs" in settings else {}).epochs
    return settings | {"freeze": max(1, epochs // 5)}
