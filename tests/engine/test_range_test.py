"""A range test trains as a plain loop does whose rate grows; its losses depend on no other member."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.range_test import range_test
from dnntrain.statistics.range_test import RateRange
from tests.support.catalogue import SMALL_NETWORKS
from tests.support.networks import first_weights

RATES = RateRange(1e-3, 1.0, 20).rates()


def spec(**settings: Any) -> RunSpec:
    return RunSpec.parse({"hidden": "none", "batch_size": 20, "train_size": 50, "val": 70} | settings)


def test_each_step_has_the_next_rate_over_several_epochs(mini: Dataset) -> None:
    """3 steps an epoch, so that 20 steps are 7 epochs."""
    made = range_test([spec(seed=3, lr=0.5, schedule="power", warmup="2ep")], mini, RATES)
    inputs, first = BatchSource(mini, [spec(seed=3)], torch.device("cpu")), first_weights(spec(seed=3))
    kernel, bias = (torch.tensor(first[f"output.{name}"]).double().requires_grad_() for name in ("kernel", "bias"))
    batches = (batch for epoch in range(7) for batch in inputs.epoch([3], epoch))
    expected = []
    for rate, batch in zip(RATES, batches, strict=False):
        outputs = batch.x[0, : batch.real].double() @ kernel + bias
        loss = torch.nn.functional.cross_entropy(outputs, batch.y[0, : batch.real])
        expected.append(loss.item())
        gradients = torch.autograd.grad(loss, [kernel, bias])
        with torch.no_grad():
            for parameter, gradient in zip((kernel, bias), gradients, strict=True):
                parameter -= rate * gradient
    np.testing.assert_allclose(made[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_every_network_alone_and_in_a_population(network: str, mini: Dataset) -> None:
    members = [spec(seed=seed, dropout=None, **SMALL_NETWORKS[network] | {"optimizer": "adam"}) for seed in (0, 1, 2)]
    together, [alone] = range_test(members, mini, RATES), range_test(members[1:2], mini, RATES).T
    assert together.shape == (20, 3) and together[:, 1].tobytes() == alone.tobytes()


def test_it_ends_when_all_members_have_diverged(mini: Dataset) -> None:
    reports: list[int] = []
    rates = RateRange(1.0, 1e6, 200).rates()
    losses = range_test(
        [spec(seed=s, hidden="8x10") for s in (0, 1)], mini, rates, on_losses=lambda x: reports.append(len(x))
    )
    assert len(losses) < 200 and reports[-1] == len(losses) and reports[0] == 10


def test_lookahead_restarts_from_its_slow_weights(mini: Dataset) -> None:
    """It changes what is trained, and not only what is evaluated."""
    settings = spec(seed=3, lookahead=4, lookahead_alpha=0.3)
    made = range_test([settings, settings.changed(seed=4)], mini, RATES)
    inputs, first = BatchSource(mini, [settings], torch.device("cpu")), first_weights(settings)
    fast = [torch.tensor(first[f"output.{name}"]).double().requires_grad_() for name in ("kernel", "bias")]
    slow = [parameter.detach().clone() for parameter in fast]
    batches = (batch for epoch in range(7) for batch in inputs.epoch([3], epoch))
    expected = []
    for step, (rate, batch) in enumerate(zip(RATES, batches, strict=False), start=1):
        outputs = batch.x[0, : batch.real].double() @ fast[0] + fast[1]
        loss = torch.nn.functional.cross_entropy(outputs, batch.y[0, : batch.real])
        expected.append(loss.item())
        gradients = torch.autograd.grad(loss, fast)
        with torch.no_grad():
            for parameter, average, gradient in zip(fast, slow, gradients, strict=True):
                parameter -= rate * gradient
                if step % 4 == 0:
                    parameter.copy_(average.lerp_(parameter, 0.3))
    np.testing.assert_allclose(made[:, 0], expected, rtol=1e-4)
