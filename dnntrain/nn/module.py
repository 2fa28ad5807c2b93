"""Any `torch.nn.Module` as a layer: P copies of it, with stacked parameters and autograd's backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import ClassVar, Self

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Tensors, autograd_vjp, pad_rows, real_rows
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.utils.lazy import torch


class ModuleLayer(Layer):
    """P copies of a module (rows, *shape_in) → (rows, …). It never sees a row of padding.

    The module's own tensors are not used: each member's parameters and buffers, named as in the module, take their
    place. Running statistics move as the module moves them.
    """

    def __init__(
        self, name: str, module: torch.nn.Module, shape_in: Shape, parameters: Tensors, buffers: Tensors
    ) -> None:
        super().__init__(name, parameters, buffers)
        self.module, self.shape_in = module, shape_in

    def set_mode(self, ctx: ForwardContext, rows: int) -> None:
        """Put the module in training or test mode, for a pass over so many real rows."""
        self.module.train(ctx.training)

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        rows, x = x.shape[1], real_rows(x, ctx.real)
        self.set_mode(ctx, x.shape[1])
        if not ctx.training:
            return pad_rows(self.outputs(self._parameters | self._buffers, x), rows)
        moved: Tensors = {}

        def outputs(*values: torch.Tensor) -> torch.Tensor:
            x, *state = values if self.needs_input_grad else (values[-1], *values[:-1])
            tensors = dict(zip([*self._parameters, *self._buffers], state, strict=True))
            moved.update({key: tensors[key] for key in self._buffers})
            return self.outputs(tensors, x)

        parameters, buffers = self._parameters.values(), self._buffers.values()
        if self.needs_input_grad:
            value, vjp = autograd_vjp(outputs, x, *parameters, args=[*buffers])
        else:
            value, vjp = autograd_vjp(outputs, *parameters, args=[*buffers, x])
        for key, buffer in self._buffers.items():
            buffer.copy_(moved[key])
        self._saved = vjp, ctx.real, rows
        return pad_rows(value, rows)

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        vjp, real, rows = self._saved
        del self._saved
        found = vjp(real_rows(grad, real))
        grad_in = pad_rows(found[0], rows) if self.needs_input_grad else None
        own = found[1:] if self.needs_input_grad else found
        grads.update({f"{self.name}.{key}": gradient for key, gradient in zip(self._parameters, own, strict=True)})
        return grad_in

    def outputs(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        """The copies' outputs as a function of their tensors.

        Args:
            tensors: Parameters and buffers (P, …) by their short names; buffers may change in place.
            x: (P or 1, rows, …), all rows real.

        Returns:
            (P, rows, …).
        """
        x = x.reshape(*x.shape[:2], *self.shape_in)
        return self._in_turn(tensors, x) if x.device.type == "cpu" else self._at_once(tensors, x)

    def _one(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        """One copy's outputs (rows, …)."""
        outputs: torch.Tensor = torch.func.functional_call(self.module, tensors, (x,))
        return outputs

    def _at_once(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        shared = len(x) == 1 and bool(tensors)  # all copies have the same rows
        outputs: torch.Tensor = torch.func.vmap(self._one, (0, None if shared else 0))(tensors, x[0] if shared else x)
        return outputs

    def _in_turn(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        """One copy after the other.

        On a CPU this is faster: convolutions of 10 copies at once took 1.5 times as long. And a copy has the same bits
        alone and in a population.
        """
        members = max(map(len, (x, *tensors.values())))
        x = x.expand(members, *x.shape[1:])
        return torch.stack([self._one({key: t[i] for key, t in tensors.items()}, x[i]) for i in range(members)])


@dataclass(frozen=True)
class ModuleSpec(LayerSpec):
    """A layer made of a user's module.

    Each member's module is built with torch's global generator seeded from its own init stream, so the module keeps the
    initialization that its author gave it.
    """

    name: str
    make: Callable[[], torch.nn.Module]
    """Builds one module, on the CPU."""
    shape_in: Shape
    """The shape of one example as the module takes it."""
    draws: ClassVar[bool] = True

    def new_module(self, seed: int) -> torch.nn.Module:
        """A module with random weights by this seed; torch's global generator is left as it was."""
        # outside inference mode, since autograd cannot use a tensor that was made in it
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.make()

    @cached_property
    def module(self) -> torch.nn.Module:
        """A module to read names and shapes off; InputError for one that cannot be a layer of a population."""
        module = self.new_module(0)
        for name, part in module.named_modules():
            if isinstance(part, torch.nn.modules.dropout._DropoutNd) and part.p > 0:
                # its masks come from torch's global generator, so a run would depend on what else the process trains
                raise InputError(f"{self.name}: the module's own dropout ({name}) is not supported; use dropout layers")
            if getattr(part, "momentum", 0.0) is None:
                raise InputError(f"{self.name}: {name} averages over all batches (momentum=None); give it a momentum")
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                raise InputError(f"{self.name}: {name} is frozen (requires_grad=False); make it a buffer")
        for name, buffer in module.named_buffers():
            # counters of batches change no result; other whole numbers would belong to each member
            if not buffer.is_floating_point() and not name.endswith("num_batches_tracked"):
                raise InputError(
                    f"{self.name}: buffer {name} has type {buffer.dtype}; only floating-point buffers work"
                )
        return module

    @cached_property
    def shape_out(self) -> Shape:
        """Measured with one example of zeros, in test mode."""
        with torch.no_grad():
            return tuple(self.module.eval()(torch.zeros(1, *self.shape_in)).shape[1:])

    @property
    def parameters(self) -> dict[str, Shape]:
        return {key: tuple(p.shape) for key, p in self.module.named_parameters()}

    @property
    def buffers(self) -> dict[str, Shape]:
        # counters of batches are integers, and no result depends on them
        return {key: tuple(b.shape) for key, b in self.module.named_buffers() if b.is_floating_point()}

    @property
    def weights(self) -> dict[str, int]:
        embeddings = {
            f"{name}.weight" for name, part in self.module.named_modules() if isinstance(part, torch.nn.Embedding)
        }
        return {key: 0 for key, shape in self.parameters.items() if len(shape) > 1 and key not in embeddings}

    @property
    def flops(self) -> int:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.module.eval()(torch.zeros(1, *self.shape_in))
        return int(counter.get_total_flops())

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        module = self.new_module(int(rng.integers(2**63)))
        state = {key: tensor.detach() for key, tensor in chain(module.named_parameters(), module.named_buffers())}
        return {key: state[key].numpy().copy() for key in (*self.parameters, *self.buffers)}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> ModuleLayer:
        return ModuleLayer(self.name, self.module.to(device), self.shape_in, parameters, buffers)
