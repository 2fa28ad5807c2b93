"""P dense networks of one graph, computed as one: every tensor has the leading axis P."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.engine.initial_state import initial_state
from dnntrain.nn import random
from dnntrain.nn.layer import Gradients, Tape, autograd_vjp, real_rows
from dnntrain.nn.linear import FactoredGradient, product
from dnntrain.techniques.base import select, stack
from dnntrain.techniques.dropout import DropoutBase
from dnntrain.techniques.normalization import BatchNorm

Tensors = dict[str, torch.Tensor]
Observer = Callable[[int, torch.Tensor], None]
"""Is shown each hidden layer's number (from 1) and its activations (P, real rows, units)."""


class Trunk(Protocol):
    """Layers below the dense ones, of P members: those of a pretrained image network."""

    n_features: int
    """Numbers that it gives for one example."""

    def __call__(self, tensors: Tensors, x: torch.Tensor, training: bool = False, first: bool = False) -> torch.Tensor:
        """Its outputs (P, rows, n_features) for x (P or 1, rows, inputs), all rows real.

        The tensors are the parameters and buffers of all members. While training, those of its running averages that
        are not learned yet are updated in place; the `first` mini-batch sets them.
        """
        ...


@dataclass(frozen=True)
class ForwardContext:
    """How one forward pass is made."""

    real: int | None = None
    """How many rows are real; the others, behind them, are padding. None where all are."""
    by_batch: bool = False
    """Batch norm by the mini-batch's own statistics (training), not by the moving averages (testing)."""
    first: bool = False
    """Whether this is the first mini-batch, which initializes the moving averages of new layers."""
    noise: torch.Tensor | None = None
    """Keys of the dropout masks, int32 (layers, P); None switches dropout off."""
    observe: Observer | None = None
    tape: Tape | None = None
    """Takes down how to go back."""


EVAL = ForwardContext()

MOVING_AVERAGES = (".bn_mean", ".bn_variance", ".running_mean", ".running_var")
"""How the names of buffers end: batch norm's moving averages, ours and those of torch's modules."""


@dataclass
class Network:
    """The parameters and the forward pass of P networks."""

    spec: RunSpec
    """One member's spec: it describes the graph that all share."""
    parameters: Tensors
    """What is trained: `hidden1.kernel` (P, in, out), `hidden1.bias` (P, 1, out), …"""
    buffers: Tensors
    """Batch norm's moving averages, (P, 1, units)."""
    noise: DropoutBase | None
    """Dropout with a rate for each member."""
    trunk: Trunk | None = None
    """Layers below the dense ones."""
    learned: frozenset[str] = frozenset()
    """The layers whose moving averages come from an earlier training: no first mini-batch initializes them."""
    kernels: Tensors = field(init=False)
    """The weights among the parameters, from the lowest hidden layer to the output."""
    bn: BatchNorm | None = field(init=False)
    noisy: set[int] = field(init=False)
    least: torch.Tensor | None = field(init=False)
    """The dropout's threshold of each member."""
    _counters: dict[tuple[int, int], torch.Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.bn = self.spec.technique(BatchNorm)
        self.kernels = {name: p for name, p in self.parameters.items() if name.endswith(".kernel")}
        self.noisy = self.noise.layers(len(self.spec.hidden)) if self.noise else set()
        self.least = random.threshold(torch.as_tensor(self.noise.rate)) if self.noise else None

    def forward(self, x: torch.Tensor, how: ForwardContext = EVAL) -> torch.Tensor:
        """Outputs (P, rows, units of the last layer) for the inputs x (P or 1, rows, features)."""
        return self._dense("output", self.hidden_outputs(x, how), how)

    def hidden_outputs(self, x: torch.Tensor, how: ForwardContext = EVAL) -> torch.Tensor:
        """What the output layer is given, (P, rows, units of the highest hidden layer)."""
        if self.trunk:
            x = self._trunk(self.trunk, x, how)
        if self.bn and self.bn.input:
            x = self._normalize("input", x, how)
        x = self._drop(0, x, how)
        for i in range(1, len(self.spec.hidden) + 1):
            layer = f"hidden{i}"
            x = self._dense(layer, x, how)
            if self.bn and self.bn.place == "before":
                x = self._normalize(layer, x, how)
            x = self._activate(i, x, how)
            if how.observe:
                how.observe(i, real_rows(x, how.real))
            if self.bn and self.bn.place == "after":
                x = self._normalize(layer, x, how)
            x = self._drop(i, x, how)
        return x

    def _trunk(self, trunk: Trunk, x: torch.Tensor, how: ForwardContext) -> torch.Tensor:
        rows = x.shape[1]
        x = real_rows(x, how.real)
        if how.tape is None:
            return padded(trunk(self.state(), x), rows)
        names = [name for name in self.parameters if name.startswith("trunk.")]
        statistics = [name for name in self.buffers if name.startswith("trunk.")]
        moved: Tensors = {}

        def by_values(*values: torch.Tensor) -> torch.Tensor:
            *state, x = values
            tensors = dict(zip([*names, *statistics], state, strict=True))
            moved.update({name: tensors[name] for name in statistics})
            return trunk(tensors, x, training=True, first=how.first)

        given = [*(self.buffers[name] for name in statistics), x]
        outputs, back = autograd_vjp(by_values, *(self.parameters[name] for name in names), given=given)
        for name in statistics:
            self.buffers[name].copy_(moved[name])
        how.tape.steps.append(lambda g, found: found.update(zip(names, back(real_rows(g, how.real)), strict=True)))
        return padded(outputs, rows)

    def _dense(self, layer: str, x: torch.Tensor, how: ForwardContext) -> torch.Tensor:
        name, bias_name = f"{layer}.kernel", f"{layer}.bias"
        kernel, bias = self.kernels[name], self.parameters.get(bias_name)
        x = x if len(x) == len(kernel) else x.expand(len(kernel), -1, -1)
        if how.tape is not None:
            below = how.tape.begun

            def back(g: torch.Tensor, found: Gradients) -> torch.Tensor | None:
                real = real_rows(g, how.real)
                found[name] = FactoredGradient(real_rows(x, how.real), real)
                if bias is not None:
                    found[bias_name] = real.sum(dim=1, keepdim=True)
                return product(g, kernel.transpose(1, 2)) if below else None

            how.tape.steps.append(back)
        return product(x, kernel, bias)

    def _activate(self, number: int, z: torch.Tensor, how: ForwardContext) -> torch.Tensor:
        activation = self.spec.activations[number - 1]
        name = f"hidden{number}.{activation.trained}"
        slopes = () if activation.trained is None else (self.parameters[name],)
        if how.tape is None:
            return activation(z, *slopes)
        # a slope for each row, so that the sum over the real rows is taken here
        outputs, gradient = activation.value_and_vjp(z, *(slope.expand_as(z) for slope in slopes))

        def back(g: torch.Tensor, found: Gradients) -> torch.Tensor:
            towards, *trained = gradient(g)
            if trained:
                found[name] = real_rows(trained[0], how.real).sum(dim=1, keepdim=True)
            return towards

        how.tape.steps.append(back)
        return outputs

    def _normalize(self, layer: str, x: torch.Tensor, how: ForwardContext) -> torch.Tensor:
        bn = self.bn
        assert bn is not None
        mean, variance = self.buffers[f"{layer}.bn_mean"], self.buffers[f"{layer}.bn_variance"]
        scale, shift = (self.parameters[f"{layer}.{name}"] for name in ("bn_scale", "bn_shift"))
        if not how.by_batch:
            return bn.normalize(x, mean, variance, scale, shift)
        batch = bn.by_batch(x, how.real)
        first = how.first and layer not in self.learned
        bn.update(mean, batch.mean, first)
        bn.update(variance, batch.variance, first)
        if how.tape is not None:
            below = how.tape.begun

            def back(g: torch.Tensor, found: Gradients) -> torch.Tensor | None:
                scale_gradient, shift_gradient = batch.sums(g)
                found[f"{layer}.bn_scale"], found[f"{layer}.bn_shift"] = scale_gradient, shift_gradient
                return batch.back(g, scale, scale_gradient, shift_gradient) if below else None

            how.tape.steps.append(back)
        return torch.addcmul(shift, batch.normalized, scale)

    def _drop(self, layer: int, x: torch.Tensor, how: ForwardContext) -> torch.Tensor:
        if how.noise is None or self.noise is None or self.least is None or layer not in self.noisy:
            return x
        rows, units = x.shape[1:]
        if (rows, units) not in self._counters:
            self._counters[rows, units] = random.counters(rows, units, x.device)
        kept = random.kept(self._counters[rows, units], how.noise[layer], self.least)
        outputs, slope = self.noise.drop(x, kept)
        if how.tape is not None and how.tape.begun:
            how.tape.steps.append(lambda g, found: g * slope)
        return outputs

    def select(self, members: torch.Tensor) -> Network:
        """The network of some members, by their indices; its tensors are copies."""
        noise = self.noise and select(self.noise, members)
        parameters, buffers = ({k: t[members] for k, t in state.items()} for state in (self.parameters, self.buffers))
        return replace(self, parameters=parameters, buffers=buffers, noise=noise)

    def state(self) -> Tensors:
        """All tensors that make the members what they are; the storage is shared."""
        return self.parameters | self.buffers


def initialize(
    specs: Sequence[RunSpec],
    n_features: int,
    n_outputs: int,
    device: torch.device,
    known: Sequence[Mapping[str, np.ndarray]] = (),
    trunk: Trunk | None = None,
) -> Network:
    """The networks of P specs of one graph, each drawn from its own seed's stream, but for what is known already."""
    drawn = [initial_state(spec, trunk.n_features if trunk else n_features, n_outputs) for spec in specs]
    members = [state | dict(given) for state, given in zip(drawn, known or [{}] * len(drawn), strict=True)]
    tensors = {k: torch.from_numpy(np.stack([m[k] for m in members])).to(device) for k in members[0]}
    buffers = {k: t for k, t in tensors.items() if k.endswith(MOVING_AVERAGES)}
    parameters = {k: t for k, t in tensors.items() if k not in buffers}
    switches = [spec.technique(DropoutBase) for spec in specs]
    noise = stack([s for s in switches if s], device) if switches[0] else None
    learned = frozenset(name.split(".")[0] for given in known for name in given if name.endswith(MOVING_AVERAGES))
    return Network(specs[0], parameters, buffers, noise, trunk, learned)


def padded(x: torch.Tensor, rows: int) -> torch.Tensor:
    """x (P, real rows, units) with rows of zeros behind it, (P, rows, units)."""
    return x if x.shape[1] == rows else torch.nn.functional.pad(x, (0, 0, 0, rows - x.shape[1]))


def network_of(spec: RunSpec, weights: Mapping[str, np.ndarray], device: torch.device) -> Network:
    """One network (P = 1) with these weights, to be used but not trained; its output layer may be missing."""
    tensors = {name: torch.from_numpy(np.array(value))[None].to(device) for name, value in weights.items()}
    buffers = {name: t for name, t in tensors.items() if name.endswith(MOVING_AVERAGES)}
    return Network(spec, {name: t for name, t in tensors.items() if name not in buffers}, buffers, None)


def dropout_keys(
    network: Network, seeds: Sequence[int], stream: str, first: int, steps: int
) -> list[torch.Tensor | None]:
    """Keys of the dropout masks of each step, int32 (layers, P); None without dropout."""
    if network.noise is None:
        return [None] * steps
    keys = random.step_keys(seeds, stream, first, steps, len(network.spec.hidden) + 1)
    return list(torch.from_numpy(keys).to(network.kernels["output.kernel"].device))
