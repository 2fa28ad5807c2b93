"""What has no use in a learning-rate range test."""

from __future__ import annotations

from dnntrain.config.spec import flat_keys
from dnntrain.config.transfer import TransferSettings
from dnntrain.techniques.augmentation.test_time import TestTimeFlips
from dnntrain.techniques.averaging import Averaging
from dnntrain.techniques.base import Switch, techniques_in
from dnntrain.techniques.dropout import MonteCarloDropout
from dnntrain.techniques.early_stopping import EarlyStopping
from dnntrain.techniques.schedules.base import Warmup

UNUSED_OPTIONS = ("out", "workers", "compile", "join", "checkpoint_every", "predictions", "drop_seeds")
"""Options of a training without a use here: one population is trained, and nothing is recorded."""
NO_USE = "has no use in lr-find, which trains some steps from scratch at rising rates"

NO_USE = "has no use in lr-find, which trains some steps from scratch at rising rates"
"""Why a setting is refused."""


def unused_settings() -> set[str]:
    """The settings without a use: of the rate, of what comes after the steps of an epoch, and of transfers."""
    averaging = [technique for technique in techniques_in(Averaging) if not technique.resets]
    switches: list[type[Switch]] = [Warmup, EarlyStopping, MonteCarloDropout, TestTimeFlips, *averaging]
    keys = {key for switch in switches for key in (switch.name, *map(switch.key, switch.model_fields))}
    return {"lr", "schedule", "epochs", "select", *TransferSettings.model_fields, *keys} & flat_keys().keys()
