"""Builds the studies of a transfer: against scratch, by strategy, by depth of reuse, and by training size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dnntrain.analysis.arm_names import SCRATCH, TRANSFER, sized_name
from dnntrain.config.parsing import read_hidden, write_hidden
from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL, TransferSettings, read_count
from dnntrain.data import DataLocation, options
from dnntrain.data.image_folder import ImageFolder
from dnntrain.data.image_shape import as_shape
from dnntrain.errors import InputError
from dnntrain.metrics import default_metric
from dnntrain.studies.designs import Arms
from dnntrain.studies.study import Arm, Study, folder_name
from dnntrain.techniques.augmentation.base import Augmentation
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.early_stopping import EarlyStopping
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.module_backbone import ModuleBackbone
from dnntrain.transfer_learning.run_backbone import RunBackbone

ArmSettings = dict[str, Any]

REDUCTION = 10
"""The lecture's advice is to train unfrozen layers at a reduced rate; by default it is so many times lower."""

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


def fit_images(backbone: Backbone, settings: Mapping[str, Any], home: DataLocation) -> ArmSettings:
    """The settings, with images scaled to the shape that a recorded run was trained on where theirs is another.

    Scratch gets the same images. An image network scales them itself (`resize`).
    """
    data = {key: value for key, value in settings.items() if key in ("data", *options())}
    source = RunSpec.parse(data).source
    info, fitted = source.outline(home), dict(settings)
    if isinstance(backbone, RunBackbone) and backbone.kind == info.kind == "images" and backbone.shape != info.shape:
        *colors, height, width = backbone.shape
        if isinstance(source, ImageFolder) and height == width:  # which decodes to any square
            return {"image_size": height, "color": "color" if colors else "gray"} | fitted
        return {"image_shape": as_shape(backbone.shape)} | fitted
    return fitted


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
        layers = {"hidden": write_hidden(new)} if head else {}
        return settings | {"reuse_from": backbone.name} | layers | kept_blocks(backbone, drop)
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


def kept_blocks(backbone: Backbone, drop: int) -> ArmSettings:
    """Settings that reuse an image network without its top blocks; InputError if it has fewer."""
    if not drop:
        return {}
    if drop >= backbone.n_layers:
        raise InputError(f"drop {drop}: {backbone.name} has {backbone.n_layers} blocks; at least one must be left")
    return {"transfer_layers": backbone.n_layers - drop}


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
    blocks = {key: settings[key] for key in ("transfer_layers",) if key in settings}
    return settings | reuse | blocks | {"reuse_from": random_base, "freeze_epochs": 0, "unfreeze_layers": ALL}


def comparison(backbone: Backbone, settings: ArmSettings, random_base: str | None, *, scratch: bool = True) -> Arms:
    """A transfer and, with `scratch`, the same network trained from scratch."""
    arms = {TRANSFER: settings}
    return {SCRATCH: scratch_settings(settings, backbone, random_base)} | arms if scratch else arms


def reuse_depths(backbone: Backbone, settings: ArmSettings, depths: Sequence[int], random_base: str | None) -> Arms:
    """Scratch, and the same network with its lowest layers reused, for several ascending numbers of layers.

    Raises:
        InputError: The backbone has fewer layers than one of these.
    """
    if depths[-1] > backbone.n_layers:
        raise InputError(f"reuse_depths {depths[-1]}: {backbone.name} has {backbone.n_layers} layers to reuse")
    arms = {f"reuse {depth}": settings | {"transfer_layers": depth} for depth in depths}
    return {SCRATCH: scratch_settings(settings, backbone, random_base)} | arms


def strategies(backbone: Backbone, given: ArmSettings, head: str, random_base: str | None) -> Arms:
    """All strategies of the lecture: scratch; frozen; then unfreeze some layers; then the same with another top.

    Unfrozen layers train at `unfreeze_lr`, by default a tenth of the learning rate, and in the arms called "same rate"
    at the learning rate itself. The backbone may be too small for some strategies.
    """
    settings = inherit_settings(backbone, given)
    spec = RunSpec.parse({key: value for key, value in settings.items() if key in ("epochs", "lr")})
    frozen = {
        key: value for key, value in settings.items() if key not in ("freeze_epochs", "unfreeze_layers", "unfreeze_lr")
    }
    same_rate = frozen | {"freeze_epochs": settings.get("freeze_epochs") or max(1, spec.epochs // 5)}
    reduced = same_rate | {"unfreeze_lr": settings.get("unfreeze_lr", spec.lr / REDUCTION)}
    whole = transfer_settings(backbone, frozen, head=head)
    arms = {SCRATCH: scratch_settings(whole, backbone, random_base), "frozen": whole}
    counts = [count for count in (1, 2, ALL) if count == ALL or count < backbone.n_layers]
    for suffix, rate in (("", reduced), (" same rate", same_rate)):
        for count in counts:
            word = "all" if count == ALL else str(count)
            settings = transfer_settings(backbone, rate, head=head) | {"unfreeze_layers": count}
            arms[f"unfreeze {word}{suffix}"] = settings
    return arms | other_tops(backbone, reduced, head)


def other_tops(backbone: Backbone, reduced: ArmSettings, head: str) -> Arms:
    """The strategies that drop, replace, or add top layers, and then take the two steps again: train what is new over
    frozen layers, then unfreeze the topmost layer of these, or all, at the reduced rate.
    """
    droppable, tops = backbone.n_layers - 1, {}
    if isinstance(backbone, RunBackbone):
        if not backbone.spec.hidden:
            return {}
        droppable = backbone.n_layers - (backbone.spec.net.conv_units or 1)
        width = str(backbone.spec.hidden[-1])
        if droppable:
            tops["replace 1"] = (1, ",".join(filter(None, (width, head))))
        tops["add 1"] = (0, ",".join(filter(None, (head, width))))
    tops = {f"drop {n}": (n, head) for n in (1, 2) if n <= droppable} | tops
    arms = {}
    for name, (drop, new) in tops.items():
        settings = transfer_settings(backbone, reduced, drop, new)
        if backbone.n_layers - drop > 1:
            arms[name] = settings | {"unfreeze_layers": 1}
            arms[f"{name} all"] = settings | {"unfreeze_layers": ALL}
        else:
            arms[name] = settings | {"unfreeze_layers": ALL}
    return arms


def at_sizes(arms: Arms, sizes: Sequence[int]) -> Arms:
    """The same arms at several numbers of training examples."""
    return {sized_name(arm, size): settings | {"train_size": size} for size in sizes for arm, settings in arms.items()}


def study_of(name: str, arms: Arms, question: str, baseline: str | None) -> Study:
    """The study of these arms, without those that would be the same as an earlier one.

    It is judged on the test set, which is used for nothing else.
    """
    specs: dict[str, RunSpec] = {}
    known = set()
    for arm, settings in arms.items():
        spec = RunSpec.parse(settings)
        same = spec.model_copy(update={"unfreeze_lr": spec.lr if spec.unfreeze_lr is None else spec.unfreeze_lr})
        if same not in known:
            known.add(same)
            specs[arm] = spec
    task = next(iter(specs.values())).source.outline().task
    return Study(
        folder_name(name),
        tuple(Arm(arm, spec) for arm, spec in specs.items()),
        question=question,
        baseline=baseline,
        metric=default_metric(task),
        metric_is_default=True,
    )


def read_distinct(key: str, value: str | Iterable[int]) -> tuple[int, ...]:
    """`20,50,100` or [20, 50, 100] → the numbers, ascending; InputError, which names the key, otherwise."""
    text = value if isinstance(value, str) else ",".join(map(str, value))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 10**9 for part in parts) or len(set(parts)) < len(parts):
        example = "training examples, such as 20,50,100" if key == "train_sizes" else "layers, such as 1,2,3"
        raise InputError(f"{key} {text}: must be different numbers of {example}")
    return tuple(sorted(int(part) for part in parts))


def with_freeze(settings: ArmSettings) -> ArmSettings:
    """The settings with a frozen stage of a fifth of the epochs, if layers are unfrozen and `freeze` is not given."""
    if read_count(settings.get("unfreeze_layers", 0)) in (0, "0") or settings.get("freeze_epochs") is not None:
        return settings
    epochs = RunSpec.parse({"epochs": settings["epochs"]} if "epochs" in settings else {}).epochs
    return settings | {"freeze_epochs": max(1, epochs // 5)}
