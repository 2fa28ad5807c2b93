"""A run gives the same bits alone, in any population, and beside members that stop early or diverge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.run import Run
from tests.support.catalogue import EVERY_TECHNIQUE, data_for

# awkward on purpose: odd widths, a partial batch, rows that need padding
SMALL = {"hidden": "37,20,5", "batch_size": 20, "train_size": 103, "val": 150, "epochs": 3, "lr": 0.05}


def spec(**settings: Any) -> RunSpec:
    return RunSpec.parse(SMALL | settings)


def assert_same(a: Run, b: Run) -> None:
    assert a.status == b.status and a.kept_epoch == b.kept_epoch
    # repr: nan equals nan, and every bit of a float shows
    assert repr(a.history) == repr(b.history) and repr(a.probes) == repr(b.probes)
    assert a.test == b.test
    assert a.weights.keys() == b.weights.keys()
    for name in a.weights:
        assert a.weights[name].tobytes() == b.weights[name].tobytes(), name


def company(member: RunSpec) -> list[RunSpec]:
    """Companions of one graph that end before the member does, after it, or in ruins."""
    scheduled = {"warmup": "3"} if member.optimizer.averages else {"schedule": "step:every=3"}
    others = [{"seed": 11, "epochs": 1}, {"seed": 12, "lr": 0.3, "epochs": 2}, {"seed": 13} | scheduled]
    ruined = {"seed": 14, "lr": 1e6, "epochs": 5}
    return [member.changed(**other) for other in [*others, ruined]]


@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_every_technique_alone_and_in_company(technique: str, few: Dataset) -> None:
    member = spec(seed=3, **EVERY_TECHNIQUE[technique])
    others, data = company(member), data_for(technique, few)
    assert {other.graph() for other in others} == {member.graph()}
    [alone] = train_population([member], data)
    first, *_ = train_population([member, *others], data)
    *_, last = train_population([*others[:2], member], data)
    assert_same(alone, first)
    assert_same(alone, last)


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": "1"},
        {"hidden": "7,1,3", "act": "tanh"},
        {"hidden": "none"},
        {"batch_size": 1, "train_size": 20},
        {
            "batch_size": 7,
            "act": "gelu",
            "bn": True,
            "bn_input": True,
            "scale": "standard",
            "train_size": None,
            "val": 9_700,
        },
        {"hidden": "20x13", "act": "selu", "alpha_dropout": 0.1, "mc_dropout": 3, "scale": "standard"},
        {"act": "prelu,elu,mish", "dropout": 0.3, "dropout_where": "input+last1", "bn": True, "bn_place": "after"},
        {"early_stop": 1, "early_stop_metric": "val_acc", "optimizer": "nadam", "global_clipnorm": 0.1, "l2": 0.01},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_awkward_shapes(settings: dict[str, Any], mini: Dataset) -> None:
    member = spec(seed=5, **settings)
    [alone] = train_population([member], mini)
    first, *_ = train_population([member, *company(member)], mini)
    assert_same(alone, first)


def test_the_ruined_one_is_marked_and_its_neighbours_are_not(mini: Dataset) -> None:
    good, bad = train_population([spec(seed=1), spec(seed=2, lr=1e6)], mini)
    assert (good.status, bad.status) == ("finished", "diverged")
    assert len(bad.history) < 3 and not bad.test
    assert np.isfinite(good.test["test_loss"])
