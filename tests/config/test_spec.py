"""A run's settings as objects, and as flat keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.data import find_source
from dnntrain.data.npz import Npz
from dnntrain.errors import InputError
from dnntrain.techniques.clipping import ClipNorm
from dnntrain.techniques.dropout import AlphaDropout, Dropout, MonteCarloDropout
from dnntrain.techniques.early_stopping import EarlyStopping
from dnntrain.techniques.normalization import BatchNorm
from dnntrain.techniques.optimizers.sgd import SGD
from dnntrain.techniques.regularization import L1, L2, MaxNorm
from dnntrain.techniques.schedules.base import Warmup
from dnntrain.techniques.schedules.decays import Cosine

OBJECTS = RunSpec(
    hidden=(50, 50),
    optimizer=SGD(momentum=0.9),
    schedule=Cosine(),
    clipping=ClipNorm(threshold=2),
    dropout=Dropout(rate=0.1, where="last1"),
    mc_dropout=MonteCarloDropout(samples=20),
    norm=BatchNorm(place="after"),
    regularizers=(L2(strength=1e-3), L1()),
    warmup=Warmup(length="2ep"),
    early_stopping=EarlyStopping(patience=3),
)
FLAT = {
    **{"hidden": "2x50", "optimizer": "sgd:momentum=0.9", "schedule": "cosine", "clipnorm": 2, "dropout": 0.1},
    **{"dropout_where": "last1", "mc_dropout": 20, "bn": True, "bn_place": "after", "l2": 1e-3, "l1": 1e-5},
    **{"warmup": "2ep", "early_stop": 3},
}


def test_objects_and_flat_keys_make_the_same_run() -> None:
    assert RunSpec.parse(FLAT) == OBJECTS
    assert hash(RunSpec.parse(FLAT)) == hash(OBJECTS)
    settings = OBJECTS.settings()
    assert settings.keys() == flat_keys().keys()
    assert {key: settings[key] for key in FLAT} == FLAT
    assert RunSpec.parse(settings) == OBJECTS


def test_a_copy_with_a_technique_off_has_it_off_everywhere() -> None:
    copy = OBJECTS.model_copy(update={"norm": None, "regularizers": ()})
    assert copy == OBJECTS.changed(bn=False, bn_place="before", l1=None, l2=None)
    assert copy.norm is None and not copy.settings()["bn"]


def test_regularizers_act_in_the_order_of_the_catalogue() -> None:
    regularizers = (MaxNorm(), L2(), L1())
    assert RunSpec(regularizers=regularizers).regularizers == regularizers[::-1]
    with pytest.raises(ValidationError, match="l1 is given twice"):
        RunSpec(regularizers=(L1(), L1(strength=0.1)))


def test_settings_that_do_not_fit_are_refused_in_both_forms() -> None:
    with pytest.raises(ValidationError, match="mc_dropout needs dropout or alpha_dropout"):
        RunSpec(mc_dropout=MonteCarloDropout())
    with pytest.raises(InputError, match="dropout and alpha_dropout exclude each other: give one"):
        RunSpec.parse({"dropout": 0.1, "alpha_dropout": 0.1})
    with pytest.raises(ValidationError, match="is not the data set 'fashion-mini'"):
        RunSpec(source=Npz(path=Path("a.npz")))
    with pytest.raises(ValidationError, match="instance of DropoutBase"):
        RunSpec(dropout={"rate": 0.1})  # type: ignore[arg-type]
    assert RunSpec(dropout=AlphaDropout()).settings()["alpha_dropout"] == 0.2


def test_the_source_follows_from_the_data() -> None:
    assert RunSpec(data="a.npz") == RunSpec.parse({"data": "a.npz"})
    assert RunSpec(data="a.npz", source=Npz(path=Path("a.npz"), test=0.3)) == RunSpec.parse(
        {"data": "a.npz", "test": 0.3}
    )
    assert RunSpec().source == find_source("fashion-mini")
