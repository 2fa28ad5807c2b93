"""Weights as others publish them: wrapped, prefixed, next to other tensors, or with values that mean nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dnntrain.errors import InputError
from dnntrain.transfer_learning.state_dicts import COUNTER, ExpectedState, StateTensors, load_fitting

SHAPES = {"conv1.weight": (2, 3, 1, 1), "bn1.weight": (2,), "bn1.running_var": (2,), "layer1.0.conv1.weight": (4, 2)}


def keeps(name: str) -> bool:
    return not name.startswith("fc.") and not name.endswith(COUNTER)


def weights(seed: int = 0) -> StateTensors:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=rng) for name, shape in SHAPES.items()}


WANTED = ExpectedState("tinynet", weights(9), keeps)


def loaded(saved: Any, tmp_path: Path) -> StateTensors:
    torch.save(saved, tmp_path / "weights.pth")
    return load_fitting(tmp_path / "weights.pth", WANTED)


def error_of(saved: Any, tmp_path: Path) -> str:
    with pytest.raises(InputError) as error:
        loaded(saved, tmp_path)
    return str(error.value).removeprefix(f"{tmp_path / 'weights.pth'}: ")


def prefixed(prefix: str, tensors: StateTensors) -> StateTensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def same(one: StateTensors, other: StateTensors) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("wrapper", ["", "state_dict", "model_state_dict", "model", "model state_dict", "network"])
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.model.backbone.", "net.body."]
)
def test_every_wrapper_and_prefix_is_recognized(
    wrapper: str, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: Any = prefixed(prefix, weights() | {"fc.weight": torch.ones(5), f"bn1.{COUNTER}": torch.tensor(7)})
    for key in reversed(wrapper.split()):
        saved = {key: saved, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "lr": 0.1}}
    assert same(loaded(saved, tmp_path), weights())
    assert capsys.readouterr().err == ""


def test_modules_that_were_wrapped_within_the_network(tmp_path: Path) -> None:
    names = {"layer1.0.conv1.weight": "layer1.module.0._orig_mod.conv1.weight"}
    assert same(loaded({names.get(k, k): t for k, t in weights().items()}, tmp_path), weights())


def test_numbers_beside_the_tensors_and_other_types_of_float(tmp_path: Path) -> None:
    assert same(loaded(weights() | {"epoch": 3, "note": "x"}, tmp_path), weights())
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in weights().items()}
    assert same(loaded(halves, tmp_path), {name: tensor.float() for name, tensor in halves.items()})


def test_safetensors_may_have_prefixes_too(tmp_path: Path) -> None:
    save_file(prefixed("model.", weights()), tmp_path / "weights.safetensors")
    assert same(load_fitting(tmp_path / "weights.safetensors", WANTED), weights())


def test_other_tensors_in_the_file_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = {"head.weight": torch.ones(3), "head.bias": torch.ones(3)}
    assert same(loaded({"state_dict": prefixed("backbone.", weights()) | head}, tmp_path), weights())
    assert capsys.readouterr().err == (
        f"{tmp_path / 'weights.pth'}: the weights under 'backbone.' in 'state_dict' are loaded, "
        "not head.bias, head.weight\n"
    )


def test_a_moving_average_is_loaded_only_where_nothing_else_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert same(loaded({"model_ema": weights(1), "model": weights()}, tmp_path), weights())
    assert "the weights in 'model' are loaded, not the weights in 'model_ema'" in capsys.readouterr().err
    assert same(loaded({"ema": weights(1), "model": {"other": torch.ones(2)}}, tmp_path), weights(1))
    assert "the weights in 'ema' are loaded" in capsys.readouterr().err


def test_of_several_networks_none_is_guessed(tmp_path: Path) -> None:
    both = {"student": weights(0), "teacher": weights(1)}
    assert error_of(both, tmp_path) == (
        "several sets of weights fit, in 'student'; in 'teacher'; save the one that you mean alone"
    )
    both = prefixed("encoder_q.", weights(0)) | prefixed("encoder_k.", weights(1))
    assert "under 'encoder_q.'; under 'encoder_k.'" in error_of(both, tmp_path)
    assert same(loaded({"a": weights(0), "b": weights(0)}, tmp_path), weights(0))  # the same twice


def test_what_does_not_fit_is_named_with_its_place(tmp_path: Path) -> None:
    wrong = prefixed("backbone.", weights() | {"bn1.weight": torch.ones(7)})
    assert error_of({"model": wrong, "epoch": 3}, tmp_path) == (
        "these weights (under 'backbone.' in 'model') do not fit tinynet; "
        "of another shape: bn1.weight is (7,), must be (2,)"
    )
    less = {name: tensor for name, tensor in weights().items() if name != "conv1.weight"}
    assert "do not fit tinynet; not in the file: conv1.weight" in error_of(less, tmp_path)
    eights = weights() | {"conv1.weight": torch.ones(2, 3, 1, 1, dtype=torch.int8)}
    assert "no array of floating-point numbers: conv1.weight" in error_of(eights, tmp_path)


@pytest.mark.parametrize(
    ("saved", "found"),
    [(3, "it holds an object of type int"), ({}, "it is empty"), ({"epoch": 3, "lr": 0.1}, "it holds epoch, lr"),
     ({"state_dict": weights(), "args": argparse.Namespace(lr=1)}, "it holds argparse.Namespace, which takes code")],
)  # fmt: skip
def test_what_is_no_state_dict_is_described(saved: Any, found: str, tmp_path: Path) -> None:
    assert error_of(saved, tmp_path).startswith(f"not a plain state dict (tensors by name), {found}")


def test_a_mapping_that_holds_itself(tmp_path: Path) -> None:
    saved: dict[str, Any] = {"model": weights()}
    saved["self"] = saved
    assert same(loaded(saved, tmp_path), weights())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_tensor_that_is_not_finite_is_named(value: float, tmp_path: Path) -> None:
    wrong = weights()
    wrong["layer1.0.conv1.weight"][1, 1] = value
    assert error_of({"state_dict": prefixed("module.", wrong)}, tmp_path) == (
        "tensor layer1.0.conv1.weight has nan or infinite values (1 of 8); tinynet cannot be computed with it"
    )
    too_large = weights() | {"bn1.weight": torch.tensor([1e300, 1], dtype=torch.float64)}
    assert "tensor bn1.weight has nan or infinite values (1 of 2)" in error_of(too_large, tmp_path)
    unused = weights() | {"fc.weight": torch.tensor([value])}
    assert same(loaded(unused, tmp_path), weights())
