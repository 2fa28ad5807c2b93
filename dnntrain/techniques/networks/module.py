"""The user's own `torch.nn.Module`, from a file or an installed package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from dnntrain.data import DatasetInfo
from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.modules.parts import check_parts, part_names
from dnntrain.nn.modules.spec import ModuleSpec
from dnntrain.nn.reshape import ReshapeSpec
from dnntrain.nn.torch_code import TorchCode, literal, source_of
from dnntrain.store.code import PICKLE
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.dropout import DropoutBase
from dnntrain.techniques.initializers import Initializer
from dnntrain.techniques.networks.base import Net, NetworkSettings, Unit
from dnntrain.techniques.normalization import Normalization
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.exported import user_module
from dnntrain.utils.user_code.reference import CodeReference


class Module(Net):
    """A torch.nn.Module of your own."""

    name = "module"
    summary = "Your own torch.nn.Module: any callable that returns one, from a .py file or an installed package."
    paper = "Paszke et al. 2019, PyTorch, arXiv:1912.01703; stacked members: torch.func"
    formula = "outputs (rows, classes) = your module's forward of (rows, *shape of an example)"
    advice = "act, dropout, norms and init change the module's own parts; --plan lists what they change."
    example = "module:presets/mynet.py:Net"
    auto: ClassVar = {"hidden": "none", "act": "auto"}
    takes_tokens = True
    code: str = hyperparameter("", "FILE.py:NAME or PACKAGE.MODULE:NAME, then :argument=value,… if it takes any")

    @classmethod
    def read(cls, text: str) -> dict[str, Any]:
        return {"code": str(CodeReference.parse(text))}

    def __str__(self) -> str:
        return f"{self.name}:{self.code}"

    @property
    def identity(self) -> str:
        return f"{self.name}:{self.reference.name}:{self.reference.identity()}"

    @property
    def kind(self) -> str:
        return f"{self.name} {self.reference.name}"

    @property
    def conv_units(self) -> int:
        return 1  # the module is one unit, whatever is in it

    @cached_property
    def reference(self) -> CodeReference:
        """The user's code."""
        return CodeReference.parse(self.code)

    def references(self) -> tuple[CodeReference, ...]:
        return (self.reference,)

    def check(self, hidden: Sequence[int], act: Sequence[Activation]) -> None:
        if hidden:
            raise ValueError("hidden: your own module has its own layers; give their number to it as an argument")
        if len(act) > 1:
            raise ValueError("act: one activation replaces all of your own module's")
        self.refuse_pieces(act, "the layers of your own module have no such pieces")

    def units(self, settings: NetworkSettings) -> list[Unit]:
        return [self.layers(settings, unit, unit + 1) for unit in range(self.n_units(settings))]

    def layers(self, settings: NetworkSettings, first: int = 0, last: int | None = None) -> Unit:
        """The layers of some units: the parts of the module (`nn.modules.parts`), which are one layer together."""
        module = module_spec(self, settings)
        if module.shape_out != (settings.n_outputs,):
            needed = "one number" if not settings.data.classes else f"{settings.n_outputs} numbers"
            raise InputError(
                f"net {self}: gives outputs of shape (rows, {', '.join(map(str, module.shape_out))}); the data need "
                f"{needed} for each example, (rows, {settings.n_outputs})"
            )
        inputs: Unit = (
            [ReshapeSpec("input", module.shape_in)] if len(module.shape_in) > 1 and first == 0 != last else []
        )
        if first == 0 and last is None:
            return [*inputs, module]
        units = self.n_units(settings)
        begin, end = max(first, 1) - 1, (units if last is None else min(last, units)) - 1
        return [*inputs, part_spec(module, begin, end)] if begin < end else inputs

    def n_units(self, settings: NetworkSettings) -> int:
        return 1 + (len(parts_of(module_spec(self, settings))) or 1)


def module_spec(net: Module, settings: NetworkSettings) -> ModuleSpec:
    """The module as a layer; one object for the same code and settings, since making it builds the module."""
    shape = image_shape(settings.data)
    act = next(iter(settings.activations), None)
    changes = ModuleChanges(act, settings.dropout, settings.norm, settings.init)
    return shared(
        ModuleSpec(
            "net",
            ModuleMaker(net.reference, net.identity, shape, settings.n_outputs, settings.data.n_tokens),
            shape,
            "int64" if settings.data.kind == "tokens" else "float32",
            settings.data.n_tokens,
            changes if changes != ModuleChanges() else None,
        )
    )


@lru_cache(maxsize=64)
def shared(spec: ModuleSpec) -> ModuleSpec:
    """The first of equal specs."""
    return spec


@lru_cache(maxsize=64)
def parts_of(whole: ModuleSpec) -> tuple[str, ...]:
    """The names of the parts that a module can be cut into; empty if it does not say so."""
    names = part_names(whole.module)
    if names:
        check_parts(whole.module, whole.example(2), f"{whole.name}: {type(whole.module).__name__}")
    return names


@lru_cache(maxsize=64)
def part_spec(whole: ModuleSpec, first: int, last: int) -> ModuleSpec:
    """Parts `first` + 1 to `last` of a module as a layer; of a module without parts, all of it."""
    if not parts_of(whole):
        return whole
    part = replace(whole, parts=(first, last), whole=whole)
    return part if first == 0 else replace(part, shape_in=part_spec(whole, 0, first).shape_out, dtype="float32")


def image_shape(data: DatasetInfo) -> Shape:
    """The shape of an example as a module takes it: images are (C, H, W), anything else is as in the data."""
    return (1, *data.shape) if data.kind == "images" and len(data.shape) == 2 else data.shape


@dataclass(frozen=True)
class ModuleMaker:
    """Builds a module for some data."""

    reference: CodeReference
    identity: str
    """Of the code: another one is another module."""
    shape: Shape
    n_outputs: int
    n_tokens: int

    @property
    def known(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is known of the data: the values of placeholders, and of parameters that are not given."""
        channels = self.shape[0]
        values = {"classes": self.n_outputs, "channels": channels}
        values |= dict(zip(("height", "width"), self.shape[-2:], strict=True)) if len(self.shape) > 2 else {}
        values |= {"tokens": self.n_tokens} if self.n_tokens else {}
        fill = dict.fromkeys(("num_classes", "n_outputs"), self.n_outputs)
        fill |= dict.fromkeys(("in_channels", "in_chans"), channels)
        return values, {**fill, "input_shape": self.shape}

    def __call__(self) -> torch.nn.Module:
        """A new module. What the arguments leave open is filled in from the data."""
        where = f"{self.reference.module}:{self.reference.name}"
        if isinstance(built := self.reference.load(), torch.nn.Module):
            raise InputError(f"{where}: is a module already; name its class {type(built).__name__}, or a function")
        module = self.reference.call(*self.known)
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"{where}: returns {type(module).__name__}, not a torch.nn.Module")
        return module

    def to_torch(self) -> TorchCode:
        """The expression that builds the module. In it, CODE is the folder that holds the user's code."""
        values = self.reference.keywords(*self.known).items()
        arguments = ", ".join(f"{key}={literal(value)}" for key, value in values)
        name, code = self.reference.name, self.reference.code()
        if code is None:
            package = self.reference.module
            return TorchCode(f"{package}.{name}({arguments})", imports=(f"import {package}",))
        if code.pickled:
            loaded = f"user_callable = cloudpickle.loads((CODE / {literal(PICKLE)}).read_bytes())"
            return TorchCode(f"user_callable({arguments})", helpers=(loaded,), imports=("import cloudpickle",))
        module = code.entry.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        files = [PurePosixPath(file) for file in code.files]
        own = sorted({file.parts[0].removesuffix(".py") for file in files} | {file.stem for file in files})
        loaded = f"user_code = user_module(\n    CODE,\n    {literal(module)},\n    own={literal(own)},\n)"
        imports = ("import importlib", "import sys", "from types import ModuleType")
        return TorchCode(f"user_code.{name}({arguments})", helpers=(source_of(user_module), loaded), imports=imports)


@dataclass(frozen=True)
class ModuleChanges:
    """What techniques change in a module, by surgery."""

    act: Activation | None = None
    dropout: DropoutBase | None = None
    norm: Normalization | None = None
    init: Initializer | None = None

    def __call__(self, module: torch.nn.Module, rng: np.random.Generator) -> list[str]:
        """Change a new module in place; InputError if a technique finds nothing to change.

        Returns:
            What was changed, a line for each part.
        """
        from dnntrain.nn.modules.surgery import draw_weights, replace_activations, replace_norms, set_dropout

        changes: list[str] = []
        if self.norm:
            changes += replace_norms(module, self.norm.name, self.norm.module, self.norm.module_of_last_axes)
        if self.act:
            changes += replace_activations(module, self.act.module)
        if self.dropout:
            changes += set_dropout(module, self.dropout.rate, self.dropout.spatial)
        if self.init:
            changes += draw_weights(module, self.init, rng)
        return changes
