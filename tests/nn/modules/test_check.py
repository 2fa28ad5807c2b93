"""What is wrong with a user's module is said in a line or two that name it, its tensor, and what would be right."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dnntrain.errors import InputError
from dnntrain.nn.modules.check import check_module
from dnntrain.nn.modules.spec import ModuleSpec
from tests.nn.modules.test_layer import RANDOM, SPECS
from tests.support.modules import build_layer, train


class Net(nn.Module):
    """A good module whose parts each test replaces."""

    def __init__(self, make: Callable[[Any], None] | None = None, forward: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(3)
        self.calls = 0
        if make:
            make(self)
        self.change = forward or (lambda self, x, y: y)

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self, x, self.norm(self.linear(x)))


def check(make: Callable[[Any], None] | None = None, forward: Callable[..., Any] | None = None, **options: Any) -> None:
    check_module(ModuleSpec("net", lambda: Net(make, forward), (4,)), 3, **options)


def test_what_a_module_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    check(forward=lambda net, x, y: print("seen") or y)
    shown = capsys.readouterr()
    assert not shown.out
    assert "seen" in shown.err


@pytest.mark.parametrize("name", [*SPECS, *RANDOM])
def test_good_modules_pass(name: str) -> None:
    check_module(ModuleSpec("net", *(SPECS | RANDOM)[name]), 3)


def drop_gradient(net: Any) -> None:
    for parameter in net.parameters():
        parameter.requires_grad_(False)


def set_parameter(value: torch.Tensor) -> Callable[[Any], None]:
    return lambda net: net.register_parameter("extra", nn.Parameter(value))


def set_buffer(value: torch.Tensor) -> Callable[[Any], None]:
    return lambda net: net.register_buffer("extra", value)


def set_attribute(value: Callable[[], Any]) -> Callable[[Any], None]:
    return lambda net: setattr(net, "extra", value())


BUILDS = {
    "frozen": (drop_gradient, "net: Net has nothing to train: all its parameters are frozen (requires_grad=False)"),
    "half": (set_parameter(torch.zeros(2).half()), "Net has parameter extra of type torch.float16; only torch.float32"),
    "double": (set_parameter(torch.zeros(2).double()), "parameter extra of type torch.float64"),
    "complex": (set_parameter(torch.zeros(2) * 1j), "parameter extra of type torch.complex64"),
    "complex buffer": (set_buffer(torch.zeros(2) * 1j), "Net has buffer extra of type torch.complex64"),
    "device": (set_buffer(torch.zeros(2, device="meta")), "Net has extra on meta; build it on the CPU"),
    "list": (
        set_attribute(lambda: [nn.Linear(2, 2)]),
        "Net.extra holds modules that torch does not see; use nn.Module",
    ),
    "dict": (set_attribute(lambda: {"a": nn.Linear(2, 2)}), "Net.extra holds modules that torch does not see"),
    "tensor": (set_attribute(lambda: torch.ones(2, requires_grad=True)), "Net.extra is a tensor that requires a grad"),
    "random tensor": (
        set_attribute(lambda: torch.rand(2)),
        "Net.extra is random, but neither a parameter nor a",
    ),
    "numpy": (
        lambda net: setattr(net, "linear", linear_of(torch.from_numpy(np.random.randn(3, 4).astype(np.float32)))),
        "Net has another linear.weight each time, with the same seed; draw it by torch alone",
    ),
    "shapes": (
        lambda net: setattr(net, "extra", nn.Linear(int(torch.randint(2, 900, ())), 2)),
        "Net has other shapes with another seed: extra.weight",
    ),
    "all dropped": (set_attribute(lambda: nn.Dropout(1.0)), "Net has extra with p=1, which drops everything"),
}


def linear_of(weight: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(4, 3)
    linear.weight.data.copy_(weight)
    return linear


def change_buffer(net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    net.norm.running_mean.add_(1)
    return y


def replace_buffer(net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if net.training:
        net.norm.running_mean = torch.zeros(3, 2)
    return y


def leave(net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    raise SystemExit(3)


def count(net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    net.calls += 1
    return y * net.calls


def count_in_training(net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return count(net, x, y) if net.training else y


PASSES = {
    "tuple": (lambda net, x, y: (y, x), "net: Net returns a tuple; a torch.float32 tensor of shape (4, outputs) is"),
    "dict": (lambda net, x, y: {"logits": y}, "Net returns a dict; a torch.float32 tensor"),
    "double": (lambda net, x, y: y.double(), "Net returns a torch.float64 tensor; a torch.float32 tensor"),
    "labels": (lambda net, x, y: y.argmax(1), "Net returns a torch.int64 tensor"),
    "fewer rows": (lambda net, x, y: y[:2], "Net returns a tensor of shape (2, 3) for 4 examples"),
    "no axis": (lambda net, x, y: y[:, 0], "Net returns a tensor of shape (4,) for 4 examples"),
    "outputs": (lambda net, x, y: x, "Net returns shape (4, 4) for 4 examples; the data need (4, 3)"),
    "maps": (lambda net, x, y: y[..., None], "Net returns shape (4, 3, 1) for 4 examples; the data need (4, 3)"),
    "nan": (lambda net, x, y: y / (y - y), "Net gives nan or infinite outputs with its first weights, in test mode"),
    "nan in training": (
        lambda net, x, y: y / 0 if net.training else y,
        "Net gives nan or infinite outputs on its first training step, with a mini-batch of 4 standard normal examples",
    ),
    "nan gradient": (
        lambda net, x, y: y + (y * 0).abs().sqrt(),
        "Net gives nan or infinite gradients of linear.weight on its first training step",
    ),
    "detached": (lambda net, x, y: y.detach(), "Net returns numbers that depend on none of its parameters"),
    "buffer in test mode": (change_buffer, "Net changes its buffer net.norm.running_mean in test mode"),
    "buffer of another shape": (
        replace_buffer,
        "replaces its buffer norm.running_mean of shape (3,) by one of",
    ),
    "counter": (count, "Net gives other outputs in test mode each time, with the same tensors and inputs"),
    "counter in training": (count_in_training, "Net gives other numbers while training each time, with the same seed"),
    "random in test mode": (
        lambda net, x, y: nn.functional.dropout(y),
        "Net draws random numbers in test mode too; F.dropout needs training=self.training",
    ),
    "python": (
        lambda net, x, y: y * (1 + random.random() * 0) if net.training else y,
        "Net draws from Python's or NumPy's generator; draw by torch alone",
    ),
    "numpy": (lambda net, x, y: y + np.random.rand() * 0 if net.training else y, "draws from Python's or NumPy's"),
}


@pytest.mark.parametrize("name", BUILDS)
def test_what_is_wrong_with_how_a_module_is_built_is_said(name: str) -> None:
    make, message = BUILDS[name]
    with pytest.raises(InputError, match=re.escape(message)):
        check(make=make)


@pytest.mark.parametrize("name", PASSES)
def test_what_is_wrong_with_what_a_module_does_is_said(name: str) -> None:
    forward, message = PASSES[name]
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        check(forward=forward)
    assert str(caught.value).count("\n") == 0


def test_a_module_that_exits_is_refused() -> None:
    with pytest.raises(InputError, match=r"net: Net fails on inputs of shape \(4, 4\):\n(.*\n)*SystemExit: 3"):
        check(forward=leave)


def test_no_module_and_one_without_parameters_are_refused() -> None:
    with pytest.raises(InputError, match=r"^net: a torch\.nn\.Module is needed, this is a int$"):
        check_module(ModuleSpec("net", lambda: 3, (4,)), 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(InputError, match=r"^net: Flatten has nothing to train$"):
        check_module(ModuleSpec("net", nn.Flatten, (3,)), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.trace(nn.Linear(4, 3), torch.zeros(1, 4))
    with pytest.raises(InputError, match="compiled by TorchScript"):
        check_module(ModuleSpec("net", lambda: scripted, (4,)), 3)


def test_a_module_must_be_new_each_time() -> None:
    one = Net()
    with pytest.raises(InputError, match="Net is the same object each time; each member needs a new one"):
        check_module(ModuleSpec("net", lambda: one, (4,)), 3)


def fail(net: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return y @ torch.zeros(7, 7)


def test_an_exception_of_the_module_shows_the_users_lines() -> None:
    with pytest.raises(InputError) as caught:
        check(forward=fail)
    lines = str(caught.value).splitlines()
    assert lines[0] == "net: Net fails on inputs of shape (4, 4):"
    assert f'File "{__file__}", line {fail.__code__.co_firstlineno + 1}, in fail' in str(caught.value)
    assert lines[-1].startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x3 and 7x7)")
    assert "torch/nn" not in str(caught.value) and "dnntrain/nn" not in str(caught.value)


def test_an_exception_while_building_shows_the_users_lines() -> None:
    def broken() -> nn.Module:
        raise KeyError("width")

    with pytest.raises(InputError, match=r"^net: the module cannot be built:\n.*in broken\n(.*\n)+KeyError: 'width'$"):
        check_module(ModuleSpec("net", broken, (4,)), 3)


def test_a_mini_batch_of_one_is_tried_as_well() -> None:
    check(batch_rows=(32, 2))
    with pytest.raises(InputError, match=r"fails on inputs of shape \(1, 4\)(.*\n)+.*more than 1 value per channel"):
        check(batch_rows=(32, 1))


def test_an_exception_in_the_backward_pass_is_an_input_error() -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            raise ValueError("no way back")

    with pytest.raises(InputError, match=r"Net fails in its backward pass:\n.*in backward\n(.*\n)+ValueError: no way"):
        check(forward=lambda net, x, y: Broken.apply(y))


def embedding_network() -> nn.Module:
    return nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 3))


def lazy_embedding_network() -> nn.Module:
    return nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.parametrize("make", [embedding_network, lazy_embedding_network])
def test_an_embedding_must_have_a_row_for_each_token(make: Callable[[], nn.Module]) -> None:
    check_module(ModuleSpec("net", make, (3,), "int64", n_tokens=5), 3)
    with pytest.raises(InputError, match=r"^net: Sequential fails on .*:\nIndexError: index out of range") as caught:
        check_module(ModuleSpec("net", make, (3,), "int64", n_tokens=6), 3)
    assert str(caught.value).splitlines()[-1] == (
        "the data have 6 tokens, from 0 to 5; use {tokens} as the argument for the number of embeddings"
    )


def test_an_embedding_does_not_take_numbers() -> None:
    with pytest.raises(InputError, match=r"\nRuntimeError: (.*\n)+the inputs are read as numbers.*--inputs tokens\)$"):
        check_module(ModuleSpec("net", embedding_network, (3,)), 3)


def test_tokens_beyond_the_vocabulary_are_an_input_error() -> None:
    spec = ModuleSpec("net", embedding_network, (3,), "int64")
    check_module(spec, 3)
    with pytest.raises(
        InputError, match=r"Sequential fails on inputs of shape \(2, 3\):\nIndexError: index out of range"
    ):
        train(build_layer([spec], [0]), [torch.full((1, 2, 3), 9)], [0])


@pytest.mark.parametrize(("name", "reason"), [("conv", ""), ("lstm", "lstm"), ("dropout", ""), ("rrelu", "generator")])
def test_a_spec_tells_what_vmap_refuses(name: str, reason: str) -> None:
    said = ModuleSpec("net", *(SPECS | RANDOM)[name]).in_turn
    assert (reason in said) if reason else said == ""
