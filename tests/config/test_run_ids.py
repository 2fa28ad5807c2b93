"""A run's id never changes: a store keeps its runs under it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dnntrain.config.renamed import to_new_names
from dnntrain.config.run_id import run_id
from dnntrain.config.spec import RunSpec, default_settings

WRITTEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "cases" / "digests.json").read_text("utf-8"))
"""What version 0.1 made of varied settings: all settings by default, and for each run what was given, what differed
from the defaults, and the id for the data's fingerprint 0123456789abcdef and engine 1. Keys and values have the names
of that version."""
LATER = {
    "net": "mlp",
    "select": "auto",
    "replicate": 0,
    "inputs": "auto",
    "image_shape": None,
    "dropout_spatial": False,
    "alpha_dropout_spatial": False,
    "freeze_parameters": None,
    "residual": False,
    "residual_every": 2,
    "ema": None,
    "ema_warmup": True,
    "swa": None,
    "swa_every": "epoch",
    "lookahead": None,
    "lookahead_alpha": 0.5,
    "sam": None,
    "accumulate": None,
    "precision": "fp32",
    "loss": "auto",
    "centralize": False,
    "flip": None,
    "crop": None,
    "crop_mode": "zero",
    "color_jitter": False,
    "color_jitter_brightness": 0.2,
    "color_jitter_contrast": 0.2,
    "color_jitter_saturation": 0.2,
    "cutout": None,
    "random_erasing": None,
    "random_erasing_min_area": 0.02,
    "random_erasing_max_area": 0.33,
    "mixup": None,
    "cutmix": None,
    "noise": None,
    "tta": False,
    "bn_ghost": None,
    "layer_norm": False,
    "layer_norm_place": "before",
    "layer_norm_eps": 1e-5,
    "rms_norm": False,
    "rms_norm_place": "before",
    "rms_norm_eps": 1e-5,
    "group_norm": None,
    "group_norm_place": "before",
    "group_norm_eps": 1e-5,
    "drop_path": None,
    "residual_zero_init": False,
}
"""The settings that later versions added, with their defaults, which leave ids as they were."""


def ids(run: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in run["given"].items())[:60] or "default"


@pytest.mark.parametrize("run", WRITTEN["runs"], ids=ids)
def test_a_run_has_the_id_that_it_had(run: dict[str, Any]) -> None:
    spec = RunSpec.from_record(run["given"])
    assert run_id(spec, "0123456789abcdef", "1") == run["run"]


@pytest.mark.parametrize("run", WRITTEN["runs"], ids=ids)
def test_a_run_is_recorded_as_it_was(run: dict[str, Any]) -> None:
    settings, defaults = RunSpec.from_record(run["given"]).settings(), default_settings()
    # the order of columns and of settings in tables
    assert [key for key in settings if key not in LATER] == list(to_new_names(WRITTEN["defaults"]))
    assert {key: value for key, value in settings.items() if value != defaults[key]} == to_new_names(run["settings"])
    assert RunSpec.parse(json.loads(json.dumps(settings))) == RunSpec.from_record(run["given"])


def test_the_defaults_are_what_they_were() -> None:
    assert default_settings() == to_new_names(WRITTEN["defaults"]) | LATER
