"""Any `torch.nn.Module` as a layer of a network: its description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from textwrap import indent
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.modules.activations import unobserved_activations
from dnntrain.nn.modules.call import checked_outputs, user_code
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.nn.modules.noise import MemberNoise, dropout_rates
from dnntrain.nn.modules.parts import cut, norms_at_rest
from dnntrain.nn.modules.statements import state_with, surgery_statements
from dnntrain.nn.modules.structure import check_structure
from dnntrain.nn.torch_code import INDENT, NamedArrays, TorchCode
from dnntrain.utils.lazy import torch

Surgery = Callable[["torch.nn.Module", np.random.Generator], list[str]]
"""Changes a new module in place, with this generator for what it draws; returns what it changed, as text."""

PROBED_ROWS = 4
"""Rows of the batch with which a module is tried out; batch norm needs two."""


@runtime_checkable
class HasTorchCode(Protocol):
    """What builds a module and can be written as code."""

    def to_torch(self) -> TorchCode:
        """The expression that builds the module, without its tensors."""
        ...


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
    dtype: Literal["float32", "int64"] = "float32"
    """The type of its input's numbers: int64 for tokens."""
    n_tokens: int = 0
    """The number of tokens in the data, for int64."""
    surgery: Surgery | None = None
    """What is changed in each module after it is built."""
    parts: tuple[int, int] | None = None
    """Only parts `first` + 1 to `last` of the module that is built (`nn.modules.parts`); None for all of it."""
    whole: ModuleSpec | None = None
    """The layer of all of it."""
    frozen: frozenset[str] = frozenset()
    """Names of parameters that are kept but not trained; norms that have no others stay in test mode."""
    draws: ClassVar[bool] = True
    one_by_one: ClassVar[bool] = True
    draws_in_threads: ClassVar[bool] = False  # a module's own code draws from torch's global generator

    def example(self, rows: int) -> torch.Tensor:
        """A batch to try the module with: standard normal numbers, or the highest token everywhere."""
        shape = (rows, *self.shape_in)
        with torch.inference_mode(False):  # autograd saves no tensor that was made in inference mode
            if self.dtype == "int64":
                return torch.full(shape, max(self.n_tokens - 1, 0), dtype=torch.int64)
            return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))

    def new_module(self, seed: int, rng: np.random.Generator) -> tuple[torch.nn.Module, list[str]]:
        """A module with random weights, in test mode, and what surgery changed in it.

        Args:
            seed: For torch's global generator, which has its own state again in the end.
            rng: What surgery draws from.

        Raises:
            InputError: The module cannot be built, or cannot be a layer of a population.
        """
        from dnntrain.nn.modules.stand_ins import replace_dropout

        # outside inference mode, since autograd cannot use a tensor that was made in it
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._built()
            changes = self.surgery(module, rng) if self.surgery else []
            module = cut(module, *self.parts) if self.parts else module
            replace_dropout(module)
            for key, parameter in module.named_parameters():
                parameter.requires_grad_(parameter.requires_grad and key not in self.frozen)
        return module.eval(), changes

    def _built(self) -> torch.nn.Module:
        """A module as its author builds it; InputError if that fails, or it cannot be a layer of a population."""
        with user_code(f"{self.name}: the module cannot be built"):
            module = self.make()
        if isinstance(module, torch.nn.Module) and any(map(torch.nn.parameter.is_lazy, module.parameters())):
            first = (self.whole or self).example(PROBED_ROWS)  # lazy modules take their shapes from it
            what = f"{self.name}: {type(module).__name__} fails on its first batch, of shape {tuple(first.shape)}"
            with torch.no_grad(), user_code(what, self._hint):
                module(first)
        check_structure(module, self.name)
        return module

    @cached_property
    def _template(self) -> tuple[torch.nn.Module, list[str]]:
        return self.new_module(0, np.random.default_rng(0))

    @property
    def module(self) -> torch.nn.Module:
        """A module to read names and shapes off; InputError for one that cannot be a layer of a population."""
        return self._template[0]

    @property
    def changes(self) -> list[str]:
        """What surgery changes in it, as text."""
        return self._template[1]

    @cached_property
    def shape_out(self) -> Shape:
        """Measured with a batch in test mode."""
        return tuple(self._probe().shape[1:])

    @cached_property
    def flops(self) -> int:
        """Measured with a batch in test mode: what torch counts, matrix products and convolutions above all."""
        from dnntrain.nn.modules.flops import FlopCounter  # imports torch

        counter = FlopCounter()
        with counter:
            self._probe()
        return counter.total // PROBED_ROWS

    @cached_property
    def activations(self) -> int:
        """Measured with a batch in test mode: the outputs of all parts that have no parts themselves."""
        counted: list[int] = []

        def count(part: torch.nn.Module, args: object, output: object) -> None:
            counted.append(output.numel() if isinstance(output, torch.Tensor) else 0)

        leaves = [part for part in self.module.modules() if not list(part.children())]
        hooks = [part.register_forward_hook(count) for part in leaves]
        self._probe()
        for hook in hooks:
            hook.remove()
        return sum(counted) // PROBED_ROWS

    def _probe(self) -> torch.Tensor:
        """The module's outputs for a batch in test mode; not by fast paths, which gradients switch off."""
        example, who = self.example(PROBED_ROWS), f"{self.name}: {type(self.module).__name__}"
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            user_code(f"{who} fails on inputs of shape {tuple(example.shape)}", self._hint),
        ):
            outputs = self.module.eval()(example)
        return checked_outputs(outputs, example, who).detach()

    def _hint(self, error: BaseException) -> str:
        """What to change if the module failed because of how the data's inputs are read; else empty."""
        if self.dtype == "int64" and isinstance(error, IndexError):
            return (
                f"the data have {self.n_tokens} tokens, from 0 to {self.n_tokens - 1}; "
                "use {tokens} as the argument for the number of embeddings"
            )
        if self.dtype == "float32" and "embedding" in str(error):
            return "the inputs are read as numbers, and an embedding needs tokens; use inputs: tokens (--inputs tokens)"
        return ""

    @cached_property
    def draws_globally(self) -> bool:
        """Whether the module draws from torch's global generator while training, by itself."""
        layer = ModuleLayer(self.name, self.module, self.shape_in, {}, {}, at_once=False)
        layer.connect(needs_input_grad=False, owns_input=False)
        with torch.random.fork_rng(devices=[]):
            before = torch.get_rng_state()
            layer.forward(self.example(PROBED_ROWS)[None], ForwardContext(training=True))
            return not torch.equal(torch.get_rng_state(), before)

    @cached_property
    def in_turn(self) -> str:
        """Why the members go one after the other on an accelerator too: what vmap refuses. Tried out on the CPU."""
        layer, _ = self._tried(members=2, at_once=True)
        return layer.in_turn

    @property
    def channels_last(self) -> bool:
        """Whether a CPU gives it maps that lie channels last in memory, which torch convolves and pools faster."""
        return self._has_convolutions and not self.slow_layout

    @property
    def _has_convolutions(self) -> bool:
        is_image = self.dtype == "float32" and len(self.shape_in) == 3
        return is_image and any(len(shape) == 4 for shape in (self.parameters | self.buffers).values())

    @cached_property
    def slow_layout(self) -> str:
        """Why its maps have torch's default layout although it convolves them: how it fails on them channels last.

        Empty if they have the faster one, or it convolves nothing. `x.view(len(x), -1)` fails, `x.flatten(1)` does not.
        """
        if not self._has_convolutions:
            return ""
        try:
            (_, plain), (_, changed) = (self._tried(channels_last=way) for way in (False, True))
        except InputError as error:  # whatever is wrong with the module itself shows again
            return str(error).strip().split("\n")[-1]
        return "" if torch.allclose(plain, changed, rtol=1e-3, atol=1e-4) else "its outputs are others there"

    def _tried(
        self, members: int = 1, at_once: bool = False, channels_last: bool = False
    ) -> tuple[ModuleLayer, torch.Tensor]:
        """A layer that has tried out a way to compute on the CPU, training and testing; and its outputs of the test."""
        states = [self.initial_state(np.random.default_rng(seed)) for seed in range(members)]
        tensors = {key: torch.from_numpy(np.stack([state[key] for state in states])) for key in states[0]}
        parameters, buffers = ({key: tensors[key] for key in shapes} for shapes in (self.parameters, self.buffers))
        layer = self.build(parameters, buffers, [self] * members, torch.device("cpu"), at_once, channels_last)
        layer.connect(needs_input_grad=False, owns_input=False)
        x, keys = self.example(PROBED_ROWS)[None], torch.zeros((1, members), dtype=torch.int32)
        layer.forward(x, ForwardContext(training=True, dropout_keys=keys))
        return layer, layer.forward(x, ForwardContext())

    @property
    def parameters(self) -> dict[str, Shape]:
        return {key: tuple(p.shape) for key, p in self.module.named_parameters() if p.requires_grad}

    @property
    def buffers(self) -> dict[str, Shape]:
        """The module's buffers of any type, and its frozen parameters."""
        frozen = ((key, p) for key, p in self.module.named_parameters() if not p.requires_grad)
        return {key: tuple(tensor.shape) for key, tensor in (*frozen, *self.module.named_buffers())}

    @property
    def weights(self) -> dict[str, int]:
        return {key: 0 for key, shape in self.parameters.items() if len(shape) > 1 and key not in self.embeddings}

    @cached_property
    def embeddings(self) -> frozenset[str]:
        tables = (name for name, part in self.module.named_modules() if isinstance(part, torch.nn.Embedding))
        return frozenset(f"{name}.weight" for name in tables)

    @cached_property
    def unobserved(self) -> Sequence[str]:
        return unobserved_activations(self.module)

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        module, _ = self.new_module(int(rng.integers(2**63)), rng)
        state = {key: tensor.detach() for key, tensor in chain(module.named_parameters(), module.named_buffers())}
        return {key: state[key].numpy().copy() for key in (*self.parameters, *self.buffers)}

    def build(
        self,
        parameters: Tensors,
        buffers: Tensors,
        members: Sequence[Self],
        device: torch.device,
        at_once: bool | None = None,
        channels_last: bool | None = None,
    ) -> ModuleLayer:
        """The layer of P members; `at_once` as in `ModuleLayer`, and `channels_last` as tried out by default."""
        templates: dict[Self, Self] = {}  # equal specs share one module
        rates_of = [dropout_rates(templates.setdefault(spec, spec).module) for spec in members]
        rates = {name: [rates[name] for rates in rates_of] for name in rates_of[0]}
        module = self.module if device.type == "cpu" else self.new_module(0, np.random.default_rng(0))[0].to(device)
        noise = MemberNoise(module, rates, self.draws_globally, device)
        layer = ModuleLayer(self.name, module, self.shape_in, parameters, buffers, noise, at_once)
        layer.norms_at_rest = norms_at_rest(module, self.frozen)
        if device.type == "cpu":
            layer.channels_last = self.channels_last if channels_last is None else channels_last
        return layer

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        if self.parts or not isinstance(self.make, HasTorchCode):
            return super().to_torch(tensors)
        built = self.make.to_torch()
        with torch.random.fork_rng(devices=[]):
            original, changed = self._built(), self._built()
            if self.surgery:
                self.surgery(changed, np.random.default_rng(0))
        state = state_with(changed, self.own(tensors), self.name)
        statements, helpers = surgery_statements(original, changed)
        if not statements:
            return replace(built, state=state)
        comment = "# the parts that the run's settings changed"
        body = indent("\n".join([f"net = {built.code}", comment, *statements, "return net"]), INDENT)
        function = f'def new_{self.name}() -> nn.Module:\n{INDENT}"""The network without its weights."""\n{body}'
        return replace(built, code=f"new_{self.name}()", state=state, helpers=(*built.helpers, *helpers, function))
