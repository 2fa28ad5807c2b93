"""Products and convolutions in bfloat16: what is rounded and what is not, and hardware that is refused.

A CPU without bfloat16 instructions computes the same, only slowly, so that these tests run anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import initialize, layer_specs
from dnntrain.errors import InputError
from dnntrain.executors import devices
from dnntrain.executors.devices import check_precision
from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext
from dnntrain.nn.precision import Precision, set_float32_precision
from tests.engine.test_bit_for_bit import assert_same
from tests.support.command import dnntrain
from tests.support.plain_training import CONV_NET, batches, conv_net, small_images, val_loss

SETTINGS = {"train_size": 53, "val": 60, "batch_size": 20, "lr": 0.05, "epochs": 2, "seed": 3}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": "7,5", "bn": True, "optimizer": "sgd:momentum=0.9"},
    "cnn": {"net": "cnn:channels=4/4", "hidden": "5", "optimizer": "adam"},
    "module": {"net": CONV_NET},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    return small_images(mini)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_member_has_the_same_bits_alone_and_in_company(network: str, images: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | NETWORKS[network] | {"precision": "bf16"})
    [alone], [full] = (train_population([each], images) for each in (spec, spec.changed(precision="fp32")))
    first, *_ = train_population([spec, spec.changed(seed=4, epochs=1), spec.changed(seed=5, lr=0.5)], images)
    assert_same(alone, first)
    assert {array.dtype for name, array in alone.weights.items() if "num_batches" not in name} == {np.dtype("float32")}
    assert alone.values("val_loss") != full.values("val_loss")
    assert alone.values("val_loss") == pytest.approx(full.values("val_loss"), rel=0.02)


def rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.bfloat16).to(torch.float32)


def test_dense_products_are_rounded_and_the_rest_is_not(images: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | {"hidden": "6", "act": "tanh", "precision": "bf16"})
    network = initialize([spec], [layer_specs(spec, images.outline)], CPU)
    weights = {name: parameter[0] for name, parameter in network.parameters.items()}
    x, grad = torch.rand(20, 64), torch.rand(20, 10)
    with torch.inference_mode():
        outputs = network.forward(x[None], ForwardContext(training=True))
        hidden = rounded(rounded(x) @ rounded(weights["hidden1.kernel"]) + rounded(weights["hidden1.bias"])).tanh()
        expected = rounded(hidden) @ rounded(weights["output.kernel"]) + rounded(weights["output.bias"])
        assert outputs.dtype == torch.float32
        # sums are rounded once, to 8 bits; the order of their terms may differ
        torch.testing.assert_close(outputs[0], expected, rtol=2**-8, atol=2**-8)
        assert torch.equal(outputs, rounded(outputs))
        grads = {name: densify(gradient)[0] for name, gradient in network.backward(grad[None].clone()).items()}
    of_kernel = rounded(hidden).T @ rounded(grad)
    torch.testing.assert_close(grads["output.kernel"], of_kernel, rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(grads["output.bias"][0], grad.sum(0))  # a sum, in float32


def test_a_module_trains_as_under_autocast(images: Dataset) -> None:
    spec = RunSpec.parse(SETTINGS | {"net": CONV_NET, "precision": "bf16", "epochs": 1})
    [run] = train_population([spec], images)
    module = conv_net(spec, images)
    optimizer = torch.optim.SGD(module.parameters(), lr=spec.lr)
    for x, y in batches(spec, images, 0):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = module(x)
        cross_entropy(outputs.float(), y).backward()
        optimizer.step()
    for name, tensor in module.named_parameters():
        ours = torch.from_numpy(run.weights[f"net.{name}"])
        torch.testing.assert_close(ours, tensor.detach(), rtol=1e-3, atol=1e-5)
    assert run.values("val_loss") == pytest.approx([val_loss(module, spec, images)], rel=0.01)


@pytest.mark.parametrize(("precision", "is_allowed"), [("tf32", True), ("fp32", False), ("bf16", False)])
def test_float32_is_cut_to_tf32_only_where_that_is_asked_for(precision: Precision, is_allowed: bool) -> None:
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = not is_allowed
        set_float32_precision(precision, torch.device("cuda"))
        assert [backend.allow_tf32 for backend in backends] == [is_allowed, is_allowed]
        set_float32_precision("fp32" if is_allowed else "tf32", CPU)  # leaves the process alone
        assert [backend.allow_tf32 for backend in backends] == [is_allowed, is_allowed]
    finally:
        for backend, was in zip(backends, before, strict=True):
            backend.allow_tf32 = was


@pytest.mark.parametrize(
    ("precision", "flags", "said"),
    [
        ("fp32", "avx2", None),
        ("tf32", "avx512_bf16", "precision tf32: needs an NVIDIA GPU of compute capability 8.0 or higher, and this is"),
        ("bf16", "avx2 avx512f", "precision bf16: this CPU has no bfloat16 instructions"),
        ("bf16", "avx2 avx512_bf16", None),
    ],
)
def test_hardware_without_it_is_refused(
    precision: Any, flags: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "processor", lambda: {"flags": flags})
    if said is None:
        check_precision(precision, CPU)
    else:
        with pytest.raises(InputError, match=said):
            check_precision(precision, CPU)


def test_it_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    done = dnntrain("train", "--precision", "tf32", "--device", "cpu", "--epochs", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert "precision tf32: needs an NVIDIA GPU" in done.stderr
    assert not (tmp_path / "runs").exists()
