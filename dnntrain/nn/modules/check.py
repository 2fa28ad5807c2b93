"""Tries a user's module out before a study trains it: it must give numbers that are right in kind and repeatable."""

from __future__ import annotations

import random as python_random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.gradients import Gradients, densify
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.nn.modules.spec import PROBED_ROWS, ModuleSpec
from dnntrain.utils.lazy import torch


@lru_cache(maxsize=256)  # a study checks the same module several times
def check_module(spec: ModuleSpec, n_outputs: int | None = None, batch_rows: tuple[int, ...] = (PROBED_ROWS,)) -> None:
    """Try a module out.

    Args:
        spec: The layer made of it.
        n_outputs: How many outputs the data need; None for any shape.
        batch_rows: The sizes of the mini-batches that it will see, that of the last one included.

    Raises:
        InputError: It does not run on such inputs, gives other outputs or nan, trains nothing, or is not repeatable.
    """
    who = f"{spec.name}: {type(spec.module).__name__}"
    if not spec.parameters:
        why = ": all its parameters are frozen (requires_grad=False)" if [*spec.module.parameters()] else ""
        raise InputError(f"{who} has nothing to train{why}")
    if n_outputs is not None and spec.shape_out != (n_outputs,):
        shape = (PROBED_ROWS, *spec.shape_out)
        raise InputError(
            f"{who} returns shape {shape} for {PROBED_ROWS} examples; the data need {(PROBED_ROWS, n_outputs)}"
        )
    check_building(spec, who)
    state = spec.initial_state(np.random.default_rng(0))
    check_test_mode(spec, state, who)
    for rows in batch_rows:
        check_training(spec, state, rows, who)


def check_building(spec: ModuleSpec, who: str) -> None:
    """Whether building the module again gives the same with the same seed, and the same shapes with another."""
    (first, _), (again, _), (other, _) = (spec.new_module(seed, np.random.default_rng(seed)) for seed in (0, 0, 1))
    if first is again:
        raise InputError(f"{who} is the same object each time; each member needs a new one")
    for (key, one), (_, same), (_, different) in zip(*map(tensors_of, (first, again, other)), strict=False):
        if one.shape != different.shape:
            raise InputError(f"{who} has other shapes with another seed: {key}")
        if not same_bits(one, same):
            raise InputError(f"{who} has another {key} each time, with the same seed; draw it by torch alone")
    if len(tensors_of(first)) != len(tensors_of(other)):
        raise InputError(f"{who} has other parameters with another seed")
    for key, one in plain_tensors(first).items():
        if not same_bits(one, plain_tensors(other).get(key, one)):
            raise InputError(f"{who}.{key} is random, but neither a parameter nor a buffer; use register_buffer")


def check_test_mode(spec: ModuleSpec, state: dict[str, np.ndarray], who: str) -> None:
    """Whether the module gives the same in test mode each time, and changes nothing."""
    layer, x = layer_of(spec, state), spec.example(PROBED_ROWS)[None]
    before, buffers = generator_states(), cloned(layer.buffers())
    outputs = [layer.forward(x, ForwardContext()) for _ in range(2)]
    if generator_states() != before:
        raise InputError(f"{who} draws random numbers in test mode too; F.dropout needs training=self.training")
    for key, buffer in layer.buffers().items():
        if not same_bits(buffer, buffers[key]):
            raise InputError(f"{who} changes its buffer {key} in test mode; do that only if self.training")
    check_repeats(outputs, f"{who} gives other outputs in test mode each time, with the same tensors and inputs")
    check_numbers(outputs[0], f"{who} gives nan or infinite outputs with its first weights, in test mode")


def check_training(spec: ModuleSpec, state: dict[str, np.ndarray], rows: int, who: str) -> None:
    """Whether the module gives the same outputs and gradients in training each time, with the same key."""
    x, keys = spec.example(rows)[None], torch.tensor([[1]], dtype=torch.int32)
    passes: list[list[torch.Tensor]] = []
    for _ in range(2):
        layer, before = layer_of(spec, state), generator_states()[1:]
        grads: Gradients = {}
        outputs = layer.forward(x, ForwardContext(training=True, dropout_keys=keys))
        layer.backward(torch.ones_like(outputs) / outputs.numel(), grads)
        if generator_states()[1:] != before:
            raise InputError(f"{who} draws from Python's or NumPy's generator; draw by torch alone")
        passes.append([outputs, *(densify(gradient).clone() for gradient in grads.values())])
    examples = "standard normal examples" if spec.dtype == "float32" else f"examples of token {int(x.max())}"
    batch = f"a mini-batch of {rows} {examples}"
    for one, again in zip(*passes, strict=True):
        check_repeats([one, again], f"{who} gives other numbers while training each time, with the same seed")
    for name, value in zip(("outputs", *spec.parameters), passes[0], strict=True):
        what = name if name == "outputs" else f"gradients of {name}"
        check_numbers(value, f"{who} gives nan or infinite {what} on its first training step, with {batch}")


def layer_of(spec: ModuleSpec, state: dict[str, np.ndarray]) -> ModuleLayer:
    """A layer of one member with these tensors."""
    tensors = {key: torch.from_numpy(value.copy())[None] for key, value in state.items()}
    parameters, buffers = ({key: tensors[key] for key in shapes} for shapes in (spec.parameters, spec.buffers))
    layer = spec.build(parameters, buffers, [spec], torch.device("cpu"))
    layer.connect(needs_input_grad=False, owns_input=False)
    return layer


def tensors_of(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """A module's parameters and buffers."""
    return [*module.named_parameters(), *module.named_buffers()]


def plain_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that a module holds as plain attributes, and that share no parameter's memory."""
    memory = {tensor.data_ptr() for _, tensor in tensors_of(module)}
    attributes = ((prefix, vars(part).items()) for prefix, part in module.named_modules())
    return {
        f"{prefix}.{key}".lstrip("."): value
        for prefix, items in attributes
        for key, value in items
        if isinstance(value, torch.Tensor) and not value.requires_grad and value.data_ptr() not in memory
    }


def generator_states() -> tuple[Any, ...]:
    """The states of the global generators: torch's, Python's and NumPy's."""
    numpys: Any = np.random.get_state(legacy=False)
    state = numpys["state"]
    return bytes(torch.get_rng_state().numpy()), python_random.getstate(), bytes(state["key"]), state["pos"]


def cloned(tensors: Tensors) -> Tensors:
    """Copies of tensors."""
    return {key: tensor.clone() for key, tensor in tensors.items()}


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal; nan equals nan."""
    return one.shape == other.shape and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))


def check_repeats(values: Sequence[torch.Tensor], refusal: str) -> None:
    """Raise the refusal unless both values are the same."""
    if not same_bits(*values):
        raise InputError(refusal)


def check_numbers(value: torch.Tensor, refusal: str) -> None:
    """Raise the refusal if there is a nan or an infinity."""
    if not bool(torch.isfinite(value).all()):
        raise InputError(refusal)
