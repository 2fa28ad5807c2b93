"""Users' modules as layers of a population, trained a few steps, and the same by plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.nn.modules.spec import ModuleSpec
from dnntrain.nn.random import step_keys

CPU = torch.device("cpu")
RATE = 0.1


def build_layer(
    specs: Sequence[ModuleSpec], seeds: Sequence[int], at_once: bool | None = None, input_grad: bool = False
) -> ModuleLayer:
    """The layer of one member for each seed, made in inference mode like the engine's."""
    with torch.inference_mode():
        states = [spec.initial_state(np.random.default_rng(seed)) for spec, seed in zip(specs, seeds, strict=True)]
        tensors = {key: torch.from_numpy(np.stack([state[key] for state in states])) for key in states[0]}
        parameters, buffers = ({key: tensors[key] for key in s} for s in (specs[0].parameters, specs[0].buffers))
        layer = specs[0].build(parameters, buffers, specs, CPU, at_once)
    layer.connect(needs_input_grad=input_grad, owns_input=False)
    return layer


def batches(shape_in: Sequence[int], seeds: Sequence[int], steps: int, rows: int = 6) -> list[torch.Tensor]:
    """Flat inputs (P, rows, features) of each step, which depend on the member's seed only."""
    draw = (torch.randn(steps, rows, int(np.prod(shape_in)), generator=torch.Generator().manual_seed(s)) for s in seeds)
    return list(torch.stack([*draw], dim=1))


def train(layer: ModuleLayer, xs: Sequence[torch.Tensor], seeds: Sequence[int], rate: float = RATE) -> list[Tensors]:
    """Steps of SGD on the mean of squared outputs, in inference mode; each member's outputs, gradients and tensors."""
    values: list[Tensors] = [{} for _ in seeds]
    with torch.inference_mode():
        for step, x in enumerate(xs):
            keys = torch.from_numpy(step_keys(seeds, "dropout", step, 1, 1))[0]
            outputs, grads = layer.forward(x, ForwardContext(training=True, dropout_keys=keys)), {}
            layer.backward(2 * outputs / outputs[0].numel(), grads)
            for name, parameter in layer.parameters().items():
                parameter.sub_(rate * densify(grads[name]))
            for m, value in enumerate(values):
                value[f"outputs {step}"] = outputs[m].clone()
                value |= {f"gradient {step} {name}": densify(g)[m].clone() for name, g in grads.items()}
        tested = layer.forward(xs[0], ForwardContext())
        for m, value in enumerate(values):
            value |= {name: t[m].clone() for name, t in (layer.parameters() | layer.buffers()).items()}
            value["tested"] = tested[m].clone()
    return values


def train_plainly(
    spec: ModuleSpec, seed: int, xs: Sequence[torch.Tensor], member: int, make: Callable[[], torch.nn.Module]
) -> Tensors:
    """The tensors after the same steps by a plain PyTorch loop, and the outputs in test mode."""
    module = make()
    for name, value in spec.initial_state(np.random.default_rng(seed)).items():
        owner, _, key = name.rpartition(".")
        with torch.no_grad():
            getattr(module.get_submodule(owner), key).copy_(torch.from_numpy(value))
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=RATE)
    module.train()
    for x in xs:
        optimizer.zero_grad()
        module(x[member].view(-1, *spec.shape_in).clone()).square().mean().backward()
        optimizer.step()
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    with torch.no_grad():
        tested = module.eval()(xs[0][member].view(-1, *spec.shape_in).clone())
    return {f"{spec.name}.{key}": tensor.detach() for key, tensor in tensors.items()} | {"tested": tested}


def assert_same_bits(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
