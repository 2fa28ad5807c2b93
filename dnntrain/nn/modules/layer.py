"""Any `torch.nn.Module` as a layer: P copies of it, with stacked parameters and autograd's backward pass."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Self

from dnntrain.errors import InputError
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Observer, Tensors, pad_rows, real_rows
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.modules.activations import observing
from dnntrain.nn.modules.call import TensorPlaces, checked_outputs, user_code
from dnntrain.nn.modules.noise import MemberNoise
from dnntrain.nn.precision import is_lowered
from dnntrain.utils.lazy import torch

INPUT = ""
"""Stands for the layer's input among the names of its parameters."""

Graph = tuple["torch.Tensor", Tensors]
"""Outputs with autograd's graph, and the tensors whose gradients are needed, by name."""


class ModuleLayer(Layer):
    """P copies of a module (rows, *shape_in) → (rows, …). It never sees a row of padding.

    The module's own tensors are not used: each member's parameters and buffers, named as in the module, take their
    place. Running statistics move as the module moves them.

    On a CPU the members go one after the other, each with an autograd graph of its own. That is faster there
    (convolutions of 10 copies at once took 1.5 times as long), and a member makes the same calls alone and in a
    population, so that it has the same bits. On an accelerator all go at once, under `torch.func.vmap`.
    """

    norms_at_rest: Sequence[torch.nn.Module] = ()
    """Norms that stay in test mode while training."""
    channels_last = False
    """Whether members that go one after the other get their maps channels last in memory."""

    def __init__(
        self,
        name: str,
        module: torch.nn.Module,
        shape_in: Shape,
        parameters: Tensors,
        buffers: Tensors,
        noise: MemberNoise | None = None,
        at_once: bool | None = None,
    ) -> None:
        """Make a layer of P members.

        Args:
            name: The prefix of its tensors' names.
            module: The module whose copies these are.
            shape_in: The shape of one example as the module takes it.
            parameters: What it trains, (P, …), by its name in the module.
            buffers: What it keeps but does not train, likewise.
            noise: What is random in the module; nothing by default.
            at_once: Whether all members go at once; by default they do on an accelerator.
        """
        super().__init__(name, parameters, buffers)
        self.module, self.shape_in = module, shape_in
        tensors = parameters | buffers
        device = next((tensor.device for tensor in tensors.values()), torch.device("cpu"))
        self.noise = noise or MemberNoise(module, {}, seeded=False, device=device)
        self.at_once = device.type != "cpu" if at_once is None else at_once
        self.in_turn = "it draws from torch's global generator" if self.noise.seeded else ""
        """Why the members go one after the other where they should go at once: what vmap refuses."""
        self._places = TensorPlaces(module, tensors)
        self._take_tensors()

    def _take_tensors(self) -> None:
        """Move the tensors to where autograd can use them, and note each member's share."""
        with torch.inference_mode(False):  # autograd saves no tensor that was made in inference mode
            self._parameters = {key: aligned(tensor) for key, tensor in self._parameters.items()}
            self._buffers = {key: aligned(tensor) for key, tensor in self._buffers.items()}
            tensors = self._parameters | self._buffers
            # `.data` has a version counter of its own, so that autograd does not take the new running statistics of
            # one member for a change of all others'
            self._members = [
                {key: tensor[i].data.requires_grad_(key in self._parameters) for key, tensor in tensors.items()}
                for i in range(min(map(len, tensors.values()), default=0))
            ]
            # the memory of the gradients, which each backward pass uses again
            self._gradients = {key: p.new_empty(p.shape) for key, p in self._parameters.items()}

    def select(self, members: torch.Tensor) -> Self:
        layer = super().select(members)
        layer.noise = self.noise.select(members.tolist())
        layer._take_tensors()
        return layer

    def set_mode(self, ctx: ForwardContext, rows: int) -> None:
        """Put the module in training or test mode, for a pass over so many real rows."""
        if self.module.training != ctx.training:
            self.module.train(ctx.training)
        for norm in self.norms_at_rest:
            norm.eval()

    def uses_keys(self) -> bool:
        return self.noise.is_random()

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        shape, x = x.shape, real_rows(x, ctx.real)
        self.set_mode(ctx, x.shape[1])
        keys = None if ctx.dropout_keys is None or not self.uses_keys() else ctx.dropout_keys[self.index]
        self.noise.switch(on=ctx.training or keys is not None)
        self._moves_buffers = ctx.training and ctx.statistics != 0
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(ctx.training),
            nullcontext() if ctx.statistics is None else statistics_share(self.module, ctx.statistics),
        ):
            x = x.reshape(*x.shape[:2], *self.shape_in)
            together = None if ctx.observe else self._at_once(x, keys)  # hooks do not see the tensors under vmap
            graphs = [together] if together else self._in_turn(x, keys, ctx.observe)
            if ctx.training and any(leaves and not value.requires_grad for value, leaves in graphs):
                raise InputError(f"{self._who} returns numbers that depend on none of its parameters")
            outputs = together[0].detach() if together else torch.stack([value.detach() for value, _ in graphs])
        if ctx.training:
            self._saved = graphs, together is not None, keys, ctx.real, shape
        return pad_rows(outputs, shape[1])

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        graphs, together, keys, real, shape = self._saved
        del self._saved
        grad, found = real_rows(grad, real), self._gradients
        with torch.inference_mode(False):
            if self.needs_input_grad:
                found = {INPUT: grad.new_empty(*grad.shape[:2], *self.shape_in), **found}
            if together:
                self._differentiate(graphs[0], grad, found)
            for i in range(0 if together else len(graphs)):
                # what `torch.utils.checkpoint` computes again needs the same tensors and the same dropout
                self.noise.start_member(i, keys)
                with self._places.filled(dict(self._members[i]) if self._members else {}):
                    self._differentiate(graphs[i], grad[i], {key: gradient[i] for key, gradient in found.items()})
        grads.update({f"{self.name}.{key}": gradient for key, gradient in self._gradients.items()})
        return pad_rows(found[INPUT].reshape(*grad.shape[:2], *shape[2:]), shape[1]) if self.needs_input_grad else None

    def _differentiate(self, graph: Graph, grad: torch.Tensor, found: Tensors) -> None:
        """Write the gradients of a graph's leaves to `found`, from that of its outputs."""
        value, leaves = graph
        if not leaves:
            return
        with user_code(f"{self._who} fails in its backward pass"):
            # a clone, since `grad` was made in inference mode; zeros for a leaf that the outputs do not depend on
            own = torch.autograd.grad(value, [*leaves.values()], grad.clone(), materialize_grads=True)
        for key, gradient in zip(leaves, own, strict=True):
            # a copy, since the gradients of two leaves may be one tensor
            found[key].copy_(gradient.to_dense() if gradient.is_sparse else gradient)

    def _in_turn(self, x: torch.Tensor, keys: torch.Tensor | None, observe: Observer | None) -> list[Graph]:
        """One member after the other; x is (P or 1, rows, *shape_in)."""
        members = self._members or [{} for _ in x]
        x = x.expand(len(members), *x.shape[1:])
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        graphs = []
        with self.noise.generators(keys) as seed:
            for i, member in enumerate(members):
                # a copy: autograd saves it, and the module may change it in place
                own, tensors = x[i].clone(memory_format=layout), dict(member)
                if torch.is_grad_enabled() and not self._moves_buffers:  # a norm changes them in place
                    tensors |= {key: member[key].clone() for key in self._buffers}
                leaves = self._leaves(own, member)
                self.noise.start_member(i, keys)
                seed(i)
                watched = observing(self.module, self.name, observe) if observe else nullcontext()
                with watched, user_code(f"{self._who} fails on inputs of shape {tuple(own.shape)}"):
                    value = self._one(tensors, own)
                graphs.append((checked_outputs(value, own, self._who), leaves))
                if self._moves_buffers:
                    self._keep_buffers({key: member[key] for key in self._buffers}, tensors)
        return graphs

    def _at_once(self, x: torch.Tensor, keys: torch.Tensor | None) -> Graph | None:
        """All members by vmap; None if that is not wanted, or refused."""
        if not self.at_once or self.in_turn:
            return None
        shared = len(x) == 1 and bool(self._members)  # all members have the same rows
        x = x[0].clone() if shared else x.clone()
        parameters = {key: p.detach().requires_grad_(torch.is_grad_enabled()) for key, p in self._parameters.items()}
        leaves = self._leaves(x, parameters)
        tensors = parameters | {key: buffer.clone() for key, buffer in self._buffers.items()}

        def member(tensors: Tensors, x: torch.Tensor, *draws: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
            self.noise.start_pass(*(draws or [None]))
            value = checked_outputs(self._one(tensors, x), x, self._who)
            return value, {key: tensors[key] for key in self._buffers}

        draws = self.noise.stacked(keys)
        in_dims = (0, None if shared else 0, *(axis for _, axis in draws))
        at_once = torch.func.vmap(member, in_dims, randomness="error")
        try:
            with vmap_settings(), redirect_stdout(sys.stderr):
                value, moved = at_once(tensors, x, *(tensor for tensor, _ in draws))
        except torch.cuda.OutOfMemoryError:
            raise
        except (Exception, SystemExit) as error:  # whatever is wrong with the module itself shows again one by one
            self.in_turn = str(error).strip().split("\n")[0]
            return None
        if self._moves_buffers:
            self._keep_buffers(self._buffers, moved)
        return value, leaves

    def _leaves(self, x: torch.Tensor, tensors: Tensors) -> Tensors:
        """The tensors whose gradients a pass needs, by name."""
        if not torch.is_grad_enabled():
            return {}
        return ({INPUT: x.requires_grad_()} if self.needs_input_grad else {}) | {
            key: tensors[key] for key in self._parameters
        }

    def _keep_buffers(self, buffers: Tensors, moved: Tensors) -> None:
        """Copy what the module has put in the place of its buffers."""
        for key, buffer in buffers.items():
            if moved[key] is not buffer:
                if moved[key].shape != buffer.shape:
                    raise InputError(
                        f"{self._who} replaces its buffer {key} of shape {tuple(buffer.shape)} "
                        f"by one of shape {tuple(moved[key].shape)}; the shape must stay"
                    )
                buffer.copy_(moved[key].detach())

    def _one(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        """One copy's outputs (rows, …). The buffers that it replaces are replaced in `tensors` as well."""
        with self._places.filled(tensors):
            outputs: torch.Tensor = self.module(x)
            if is_lowered(x.device) and isinstance(outputs, torch.Tensor) and outputs.is_floating_point():
                return outputs.to(torch.float32)
            return outputs

    @property
    def _who(self) -> str:
        """The beginning of messages."""
        return f"{self.name}: {type(self.module).__name__}"


@contextmanager
def statistics_share(module: torch.nn.Module, share: float) -> Iterator[None]:
    """Set the share of a mini-batch in the running statistics of all norms, which torch calls momentum."""
    norms = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._NormBase)]
    own = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = share
        yield
    finally:
        for norm, momentum in zip(norms, own, strict=True):
            norm.momentum = momentum


@contextmanager
def vmap_settings() -> Iterator[None]:
    """Keep torch's transformers off their fast path, which vmap cannot take, and hide how slow some functions are."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def aligned(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor (P, …) in which each member's share starts at a multiple of 64 bytes.

    A tensor of its own does so on a CPU, and the rounding of matrix products depends on it: without this, a member
    would have other bits alone than in a population.
    """
    if tensor.device.type != "cpu":
        return tensor.clone()
    size, unit = tensor[0].numel(), 64 // tensor.element_size()
    room = tensor.new_empty(len(tensor), -(-size // unit) * unit)
    return room[:, :size].view(tensor.shape).copy_(tensor)
