"""Which functions the forward passes of a user's module call, read off their source: surgery cannot replace those."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dnntrain.utils.lazy import torch

Kind = Literal["activation", "dropout", "norm"]

FUNCTIONS: dict[Kind, str] = {
    "activation": "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish hardtanh tanh sigmoid "
    "softplus softsign logsigmoid hardsigmoid",
    "dropout": "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout",
    "norm": "batch_norm group_norm instance_norm layer_norm rms_norm",
}
"""The functions of torch and torch.nn.functional of each kind; those that end in _ do the same in place."""


@dataclass(frozen=True)
class SourceCall:
    """A call of one of torch's functions in a module's source."""

    kind: Kind
    module: str
    """The class whose source has the call."""
    function: str
    """As the source writes it: F.relu."""
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.module} calls {self.function} ({Path(self.file).name}, line {self.line})"


def source_calls(module: torch.nn.Module, *kinds: Kind) -> list[SourceCall]:
    """The calls in the methods of the module's classes, in the order of the source; all kinds by default.

    Classes of torch itself are left out, and classes whose source cannot be read.
    """
    classes = dict.fromkeys(type(part) for part in module.modules() if not type(part).__module__.startswith("torch."))
    found = (call for cls in classes for call in class_calls(cls))
    return [call for call in found if not kinds or call.kind in kinds]


def class_calls(cls: type) -> Iterator[SourceCall]:
    """The calls in one class."""
    functions = {id(function): kind for kind in FUNCTIONS for function in functions_of(kind)}
    try:
        lines, first = inspect.getsourcelines(cls)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        file = inspect.getsourcefile(cls) or ""
    except (OSError, TypeError, SyntaxError):  # a class made in a shell has no source
        return
    names = vars(inspect.getmodule(cls) or inspect)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            kind = functions.get(id(value_of(node.func, names))) or kind_of_method(node.func)
            if kind:
                yield SourceCall(kind, cls.__name__, ast.unparse(node.func), file, first + node.lineno - 1)


def functions_of(kind: Kind) -> Iterator[Any]:
    """Torch's functions of a kind."""
    for name in FUNCTIONS[kind].split():
        for home in (torch, torch.nn.functional):
            for function in (getattr(home, name, None), getattr(home, f"{name}_", None)):
                if function is not None:
                    yield function


def value_of(node: ast.expr, names: dict[str, Any]) -> Any:
    """What a name or a dotted name stands for in the source's module; None if that is not known."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        home = value_of(node.value, names)
        return None if home is None else inspect.getattr_static(home, node.attr, None)
    return None


def kind_of_method(node: ast.expr) -> Kind | None:
    """The kind of a method of tensors: x.relu()."""
    is_method = isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    if is_method and node.attr.rstrip("_") in ("relu", "prelu", "tanh", "sigmoid"):  # type: ignore[attr-defined]
        return "activation"
    return None
