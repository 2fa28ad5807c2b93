"""Every technique on every network: the exported module computes what the engine computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.inference.exporters.torch_module import torch_module
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.initializers import Initializer
from tests.engine.test_networks import REFUSED
from tests.support.catalogue import EVERY_TECHNIQUE, SMALL_NETWORKS, data_for
from tests.support.exports import as_plain, record_untrained

INSIDE = [name for name in EVERY_TECHNIQUE if CATALOGUE[name].in_graph and not issubclass(CATALOGUE[name], Initializer)]
"""Techniques that may change the computation."""


@pytest.fixture(scope="module")
def tiny(mini: Dataset) -> Dataset:
    """Images of 8 × 8 pixels."""
    train, test = (np.ascontiguousarray(part[:, 2:26:3, 2:26:3]) for part in (mini.train_inputs, mini.test_inputs))
    return replace(
        mini,
        train_inputs=train[:120],
        train_targets=mini.train_targets[:120],
        test_inputs=test[:40],
        test_targets=mini.test_targets[:40],
    )


@pytest.mark.parametrize("technique", INSIDE)
@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_a_technique_is_exported(network: str, technique: str, tiny: Dataset, tmp_path: Path) -> None:
    if (network, technique) in REFUSED:
        pytest.skip("the network does without it")
    settings: dict[str, Any] = {"val": 20} | SMALL_NETWORKS[network] | EVERY_TECHNIQUE[technique]
    if network == "resnet":
        settings |= {f"{name}_where": "conv" for name in ("dropout", "alpha_dropout") if name in settings}
    if network != "mlp" and technique == "drop_path":
        settings |= {"residual": False} | SMALL_NETWORKS[network]
    data = data_for(technique, tiny)
    store, run, expected = record_untrained(RunSpec.parse(settings), data, tmp_path)
    model = as_plain(store, run)
    with torch.no_grad():
        outputs = torch_module(model)(torch.from_numpy(data.test_inputs)).numpy()
    if model.target:
        expected = expected * model.target.deviation + model.target.mean
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
