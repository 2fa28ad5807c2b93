"""Which of a run's settings a reader wants to see: not those of techniques that are off, and few defaults."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnntrain.utils.fields import format_value

SELDOM_SHOWN = frozenset({"subset", "val_from", "output", "loss", "select", "replicate"})
"""Settings that are shown only where they are not the default, with those of transfer and of the data sources."""

USUAL_SETTINGS: Mapping[str, Any] = {
    "unfreeze_layers": 0,
    "resize": 128,
    "subset": "per-seed",
    "val_from": "last",
    "output": "softmax",
    "loss": "auto",
    "select": "auto",
    "replicate": 0,
    "test": 0.2,
    "task": "auto",
    "inputs": "auto",
    "image_size": 32,
    "fit": "stretch",
    "color": "auto",
    "max_corrupt": 10,
    "dropout_where": "hidden",
    "alpha_dropout_where": "hidden",
    "bn_place": "before",
    "bn_eps": 1e-05,
    "bn_alpha": 0.1,
    "layer_norm_place": "before",
    "layer_norm_eps": 1e-05,
    "rms_norm_place": "before",
    "rms_norm_eps": 1e-05,
    "group_norm_place": "before",
    "group_norm_eps": 1e-05,
    "early_stop_min_delta": 0.0,
    "early_stop_metric": "val_loss",
    "early_stop_restore": True,
    "crop_mode": "zero",
    "color_jitter_brightness": 0.2,
    "color_jitter_contrast": 0.2,
    "color_jitter_saturation": 0.2,
    "random_erasing_min_area": 0.02,
    "random_erasing_max_area": 0.33,
    "ema_warmup": True,
    "swa_every": "epoch",
    "lookahead_alpha": 0.5,
    "residual_every": 2,
}
"""`usual_settings` without plug-ins, for which a report need not import the catalogue."""

PARTS_OF_MODULES = frozenset({"dropout", "alpha_dropout", "mc_dropout", "bn", "layer_norm", "group_norm", "rms_norm"})
"""Settings that change the parts of a user's own module. Where they are off, the module keeps its own."""
AS_IN_MODULE = "as in the module"


@dataclass(frozen=True)
class ShownSettings:
    """The settings of several arms, split into those that all share and those in which they differ."""

    common: dict[str, Any]
    by_arm: dict[str, dict[str, Any]]
    """By arm, its values of the settings that differ, without those of techniques that are off in it."""

    @property
    def varied(self) -> list[str]:
        """The keys in which arms differ, in the order of recorded settings."""
        return list(dict.fromkeys(key for settings in self.by_arm.values() for key in settings))


def split_settings(arms: Mapping[str, Mapping[str, Any]]) -> ShownSettings:
    """Split the arms' settings into common and varied ones.

    Args:
        arms: The flat settings of each arm, under today's names. Seeds are left out, since every run has its own.
    """
    settings = [{key: value for key, value in own.items() if key != "seed"} for own in arms.values()]
    keys = list(dict.fromkeys(key for own in settings for key in own))
    varied = [key for key in keys if any(own.get(key) != settings[0].get(key) for own in settings)]
    used = [in_use(own) for own in settings]
    common = {key: own[key] for key in keys if key not in varied for own in used if key in own}
    by_arm = {name: {key: own[key] for key in varied if key in own} for name, own in zip(arms, used, strict=True)}
    return ShownSettings(without_usual(common), by_arm)


def in_use(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without the hyperparameters of techniques that are off.

    The key of a hyperparameter starts with that of its technique: `bn_place` is one of `bn`. This needs no catalogue,
    so that records of techniques that this version or this machine does not have are shown as well.
    """
    off = tuple(f"{key}_" for key, value in settings.items() if value is None or value is False)
    return {key: value for key, value in settings.items() if not key.startswith(off)}


def without_usual(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without what is off, and without those defaults that readers do not miss."""
    usual = usual_settings() if has_catalogue() else USUAL_SETTINGS
    return {
        key: value
        for key, value in settings.items()
        if value is not None and value is not False and not (key in usual and usual[key] == value)
    }


def has_catalogue() -> bool:
    """Whether techniques are declared in this process. Reports do not import them, unless plug-ins have done so."""
    return "dnntrain.techniques" in sys.modules


def usual_settings() -> dict[str, Any]:
    """The defaults that readers do not miss: of settings that are seldom shown, and of techniques' hyperparameters."""
    from dnntrain.config.spec import default_settings
    from dnntrain.config.transfer import TransferSettings
    from dnntrain.data import options as data_options

    defaults = default_settings()
    seldom = SELDOM_SHOWN | {*data_options()} | {*TransferSettings.model_fields}
    parents = tuple(f"{key}_" for key, value in defaults.items() if value is None or value is False)
    return {
        key: value
        for key, value in defaults.items()
        if value is not None and value is not False and (key in seldom or key.startswith(parents))
    }


def as_in_module(settings: Mapping[str, Any], net: object) -> dict[str, Any]:
    """The settings for a reader. On a user's own module, 'off' would be wrong: its own dropout and norms are on."""
    is_module = str(net).startswith("module:")
    return {
        key: AS_IN_MODULE if is_module and key in PARTS_OF_MODULES and (value is None or value is False) else value
        for key, value in settings.items()
    }


def write_settings(settings: Mapping[str, Any]) -> str:
    """The settings as a user writes them: `lr=0.1, bn=on`."""
    return ", ".join(f"{key}={format_value(value)}" for key, value in settings.items())
