"""Builds the studies of a transfer: against training from scratch, strategy by strategy, and by training size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dnntrain.analysis.arm_names import SCRATCH, TRANSFER
from dnntrain.config.parsing import read_hidden, write_hidden
from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL, TransferSettings, read_count
from dnntrain.data import options
from dnntrain.errors import InputError
from dnntrain.metrics import default_metric
from dnntrain.studies.study import Arm, Study, folder_name
from dnntrain.techniques.augmentation.base import Augmentation
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.early_stopping import EarlyStopping
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.module_backbone import ModuleBackbone
from dnntrain.transfer_learning.run_backbone import RunBackbone

ArmSettings = dict[str, Any]

IMAGE_DEFAULTS: ArmSettings = {"hidden": "none", "optimizer": "adam", "lr": 1e-3, "epochs": 30, "subset": "shared"}
"""Default settings for a new head on a pretrained image network."""


def not_inherited() -> set[str]:
    """The settings that a run does not inherit from the run that it reuses."""
    of_data = ("data", *options(), "train_size", "subset", "val", "val_from")
    return {
        *(*of_data, "output", "epochs", "select", "seed", "replicate"),
        *(EarlyStopping.key(name) for name in EarlyStopping.model_fields),
        *TransferSettings.model_fields,
        # which frozen layers rule out
        *(key for t in techniques_in(Augmentation) for key in (t.name, *map(t.key, t.model_fields))),
    }


def inherit_settings(backbone: Backbone, given: Mapping[str, Any]) -> ArmSettings:
    """The settings of a run that reuses the backbone: those of the recorded run, or defaults, then the given ones."""
    if not isinstance(backbone, RunBackbone):
        return IMAGE_DEFAULTS | dict(given)
    theirs, own = backbone.spec.settings(), not_inherited()
    return {key: value for key, value in theirs.items() if key not in own} | dict(given)


def transfer_settings(backbone: Backbone, settings: ArmSettings, drop: int = 0, head: str = "") -> ArmSettings:
    """ArmSettings that put a new head on the backbone.

    Args:
        backbone: The network that is reused.
        settings: The other settings.
        drop: Top hidden layers of the backbone that are left out.
        head: New hidden layers, as 50 or 50,50. They get the activation of the topmost layer that is kept.

    Raises:
        InputError: If no layer would be left, or `head` is not a list of layer widths.
    """
    try:
        new = read_hidden(head) if head else ()
    except ValueError as error:
        raise InputError(f"head: {error}") from None
    if not isinstance(backbone, RunBackbone):
        if drop:
            raise InputError("drop: only for a recorded run; an image network is reused as a whole")
        return settings | {"reuse_from": backbone.name} | ({"hidden": write_hidden(new)} if head else {})
    if isinstance(backbone, ModuleBackbone):
        return settings | {"reuse_from": backbone.name} | kept_parts(backbone, drop, head)
    kept, convolutions = backbone.n_layers - drop, backbone.spec.net.conv_units
    if convolutions and kept < convolutions:
        dense = backbone.n_layers - convolutions
        raise InputError(f"drop {drop}: {backbone.name} has {dense} hidden dense layers; only these can be left out")
    if kept < 1:
        raise InputError(
            f"drop {drop}: {backbone.name} has {backbone.n_layers} hidden layers; at least one must be left"
        )
    acts = [str(act) for act in backbone.spec.activations[:kept]]
    acts += [acts[-1]] * len(new)
    act = acts[0] if len(set(acts)) == 1 else ",".join(acts)
    hidden = write_hidden((*backbone.spec.hidden[: len(backbone.spec.hidden) - drop], *new))
    return settings | {"reuse_from": backbone.name, "transfer_layers": kept, "hidden": hidden, "act": act}


def kept_parts(backbone: ModuleBackbone, drop: int, head: str) -> ArmSettings:
    """Settings that reuse a module without its top parts, which start anew; InputError if that cannot be."""
    if head:
        raise InputError(f"head: {backbone.name} is your own module; its layers are in its code")
    if not drop:
        return {}
    if not backbone.parts:
        raise InputError(f"drop: {backbone.spec.net} has no parts to count (nn.Sequential, or names in `blocks`)")
    kept = backbone.n_layers - drop
    if kept < 1:
        raise InputError(f"drop {drop}: {backbone.n_layers} parts of {backbone.name} can be reused; one must be left")
    return {"transfer_layers": kept}


def scratch_settings(settings: ArmSettings, backbone: Backbone, random_base: str | None) -> ArmSettings:
    """The same network trained from scratch: all its weights are new, and trained from the first epoch on."""
    reuse = {key: TransferSettings.default_of(key) for key in TransferSettings.model_fields if key != "resize"}
    if isinstance(backbone, RunBackbone):
        return settings | reuse | {"resize": TransferSettings.default_of("resize")}
    return settings | reuse | {"reuse_from": random_base, "freeze_epochs": 0, "unfreeze_layers": ALL}


def comparison(
    name: str,
    backbone: Backbone,
    settings: ArmSettings,
    random_base: str | None,
    *,
    scratch: bool = True,
) -> Study:
    """The study of a transfer and, with `scratch`, of the same network trained from scratch."""
    arms = {TRANSFER: settings}
    if scratch:
        arms = {SCRATCH: scratch_settings(settings, backbone, random_base)} | arms
    question = f"What does reusing {backbone.name} gain?"
    return study_of(name, arms, question, SCRATCH if scratch else None)


def strategies(name: str, backbone: Backbone, given: ArmSettings, head: str, random_base: str | None) -> Study:
    """The study of all strategies: scratch, frozen, unfreeze some, change the top. The backbone may be too small for
    some of them.
    """
    settings = inherit_settings(backbone, given)
    epochs = RunSpec.parse({key: value for key, value in settings.items() if key == "epochs"}).epochs
    freeze, rate = settings.get("freeze_epochs") or max(1, epochs // 5), settings.get("unfreeze_lr")
    frozen = {
        key: value for key, value in settings.items() if key not in ("freeze_epochs", "unfreeze_layers", "unfreeze_lr")
    }
    unfreezing = frozen | {"freeze_epochs": freeze} | ({"unfreeze_lr": rate} if rate is not None else {})
    whole = transfer_settings(backbone, frozen, head=head)
    arms = {SCRATCH: scratch_settings(whole, backbone, random_base), "frozen": whole}
    for count in (1, 2, ALL):
        if count == ALL or count < backbone.n_layers:
            word = "all" if count == ALL else str(count)
            arms[f"unfreeze {word}"] = transfer_settings(backbone, unfreezing, head=head) | {"unfreeze_layers": count}
    if isinstance(backbone, RunBackbone) and backbone.spec.hidden:
        arms |= head_variants(backbone, unfreezing, head)
    question = f"Which transfer strategy works best with {backbone.name} here?"
    return study_of(name, arms, question, SCRATCH)


def head_variants(backbone: RunBackbone, unfreezing: ArmSettings, head: str) -> dict[str, ArmSettings]:
    """The strategies that drop, replace, or add top layers, and unfreeze everything in the end."""
    width, droppable = str(backbone.spec.hidden[-1]), backbone.n_layers - (backbone.spec.net.conv_units or 1)
    arms = {f"drop {n}": transfer_settings(backbone, unfreezing, n, head) for n in (1, 2) if n <= droppable}
    if droppable:
        arms["replace 1"] = transfer_settings(backbone, unfreezing, 1, ",".join(filter(None, (width, head))))
    arms["add 1"] = transfer_settings(backbone, unfreezing, 0, ",".join(filter(None, (head, width))))
    return {name: settings | {"unfreeze_layers": ALL} for name, settings in arms.items()}


def curve(
    name: str,
    backbone: Backbone,
    settings: ArmSettings,
    sizes: Sequence[int],
    random_base: str | None,
) -> Study:
    """The study of transfer and scratch at several numbers of training examples."""
    arms = {}
    for size in sizes:
        sized = settings | {"train_size": size}
        arms[f"{SCRATCH} ({size})"] = scratch_settings(sized, backbone, random_base)
        arms[f"{TRANSFER} ({size})"] = sized
    return study_of(name, arms, f"How many training examples does reusing {backbone.name} save?", None)


def study_of(name: str, arms: Mapping[str, ArmSettings], question: str, baseline: str | None) -> Study:
    """The study of these arms. It is judged on the test set, which is used for nothing else."""
    specs = {arm: RunSpec.parse(settings) for arm, settings in arms.items()}
    task = next(iter(specs.values())).source.outline().task
    return Study(
        folder_name(name),
        tuple(Arm(arm, spec) for arm, spec in specs.items()),
        question=question,
        baseline=baseline,
        metric=default_metric(task),
        metric_is_default=True,
    )


def read_sizes(value: str | Iterable[int]) -> tuple[int, ...]:
    """`20,50,100` or [20, 50, 100] → the sizes, ascending; InputError otherwise."""
    text = value if isinstance(value, str) else ",".join(map(str, value))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 10**9 for part in parts) or len(set(parts)) < len(parts):
        raise InputError(f"train_sizes {text}: must be different numbers of training examples, such as 20,50,100")
    return tuple(sorted(int(part) for part in parts))


def with_freeze(settings: ArmSettings) -> ArmSettings:
    """The settings with a frozen stage of a fifth of the epochs, if layers are unfrozen and `freeze` is not given."""
    if read_count(settings.get("unfreeze_layers", 0)) in (0, "0") or settings.get("freeze_epochs") is not None:
        return settings
    epochs = RunSpec.parse({"epochs": settings["epochs"]} if "epochs" in settings else {}).epochs
    return settings | {"freeze_epochs": max(1, epochs // 5)}
