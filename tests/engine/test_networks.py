"""Every technique on every network: which ones apply, and that a run has the same bits alone and in a population."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.errors import InputError
from dnntrain.studies.feasibility import check_run
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.initializers import Initializer
from dnntrain.techniques.networks.base import Net
from tests.engine.test_bit_for_bit import assert_same
from tests.support.catalogue import EVERY_TECHNIQUE, SMALL_NETWORKS, data_for

SETTINGS = {"batch_size": 20, "val": 70, "epochs": 2, "lr": 0.05, "train_size": 53}
"""Three steps an epoch; the last mini-batch has 13 examples."""
COMPANY: list[dict[str, Any]] = [{"epochs": 1}, {"lr": 0.3}, {"lr": 1e6}]
"""Companions of one graph: one ends before the member does, one has another rate, and one diverges."""
ON_MAPS = [name for name in SMALL_NETWORKS if name != "mlp"]
INSIDE = [name for name in EVERY_TECHNIQUE if CATALOGUE[name].in_graph or issubclass(CATALOGUE[name], Initializer)]
"""The others, such as schedules, act outside of the network: the dense one of test_bit_for_bit stands for all."""
REFUSED = {
    *((network, "residual") for network in ON_MAPS),
    *((network, "maxout") for network in ("resnet", "module")),
    *((network, "drop_path") for network in ON_MAPS if network != "resnet"),
    ("module", "alpha_dropout"),
}
"""Techniques that a network does without."""


@pytest.fixture(scope="module")
def small_images(mini: Dataset) -> Dataset:
    """Images of 8 × 8 pixels."""
    train, test = (np.ascontiguousarray(part[:, 2:26:3, 2:26:3]) for part in (mini.train_inputs, mini.test_inputs))
    return replace(
        mini,
        train_inputs=train[:300],
        train_targets=mini.train_targets[:300],
        test_inputs=test[:100],
        test_targets=mini.test_targets[:100],
    )


def spec(network: str, **settings: Any) -> RunSpec:
    # a resnet has no hidden dense layers
    where = {
        f"{name}_where": "conv" for name in ("dropout", "alpha_dropout") if name in settings and network == "resnet"
    }
    return RunSpec.parse(SETTINGS | SMALL_NETWORKS[network] | settings | where)


def test_every_network_is_tested() -> None:
    assert {net.name for net in techniques_in(Net)} == SMALL_NETWORKS.keys()


@pytest.mark.parametrize("technique", INSIDE)
@pytest.mark.parametrize("network", ON_MAPS)
def test_every_technique_alone_and_in_company(network: str, technique: str, small_images: Dataset) -> None:
    settings, data = EVERY_TECHNIQUE[technique], data_for(technique, small_images)
    if technique == "drop_path":
        settings = {technique: settings[technique]}  # a resnet has blocks of its own
    if (network, technique) in REFUSED:
        with pytest.raises(InputError, match=technique):
            check_run(spec(network, **settings), small_images.outline)
        return
    member = spec(network, seed=3, **settings)
    early, *others = [
        member.changed(seed=11, epochs=1),
        member.changed(seed=12, lr=0.3),
        member.changed(seed=13, lr=1e6),
    ]
    assert {other.graph() for other in (early, *others)} == {member.graph()}
    [alone] = train_population([member], data)
    _, among_others, *_ = train_population([early, member, *others], data)
    assert_same(alone, among_others)
