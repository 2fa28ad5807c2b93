"""Finds a network's tensors in published state dicts, under any prefix and in any wrapper.

There is no list of wrappers ('state_dict', 'model', …) or prefixes ('module.', 'backbone.', …). Instead, every mapping
in the file and every prefix with some of the network's names is compared with the network's names and shapes.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnntrain.data.dataset import join_names
from dnntrain.errors import InputError
from dnntrain.utils.finite import check_finite
from dnntrain.utils.lazy import torch

StateTensors = dict[str, "torch.Tensor"]

WRAPPING = ("module", "_orig_mod")
"""Parts that DataParallel and torch.compile add to names: `module.conv1.weight`, `features.module.0.weight`."""
COUNTER = "num_batches_tracked"
"""Batch norm's count of batches. It has no effect in test mode, so a file may lack it."""
AVERAGED = re.compile(r"(^|[._ ])ema($|[._ ])")
"""Matches the name of a moving average of weights, which is loaded only if the weights themselves are missing."""
DEEPEST = 4
"""Levels of nested mappings that are searched."""


@dataclass(frozen=True)
class ExpectedState:
    """The tensors that a network needs."""

    network: str
    """Its name, for messages."""
    tensors: StateTensors
    """By name, in the order of its state dict."""
    keeps: Callable[[str], bool]
    """Whether a tensor of this name belongs to the network; tensors of its classifier do not."""
    in_order: Sequence[str] = ()
    """All names in order, if a file may have the same tensors in this order under other names."""


@dataclass(frozen=True)
class MatchedState:
    """The tensors under one prefix of one mapping in a file."""

    place: str
    """The keys that lead to the mapping, such as 'model.state_dict'; empty for the file itself."""
    prefix: str
    """The prefix of the names, such as 'module.backbone.'."""
    tensors: StateTensors
    """By their names without the prefix."""
    ignored: tuple[str, ...] = ()
    """The names of the mapping's other tensors."""

    @property
    def is_average(self) -> bool:
        """Whether these are a moving average of weights."""
        return bool(AVERAGED.search(f"{self.place}.{self.prefix}"))

    def __str__(self) -> str:
        where = (f"under '{self.prefix}'" if self.prefix else "", f"in '{self.place}'" if self.place else "")
        return " ".join(filter(None, where)) or "without a prefix"


def load_fitting(file: Path, wanted: ExpectedState, say: bool = True) -> StateTensors:
    """Load the tensors that a network needs. Code in a pickle is never run.

    Args:
        file: A .safetensors file, or one that torch.save wrote.
        wanted: The network's tensors.
        say: Whether to print what else the file holds, and is not loaded, on stderr.

    Returns:
        The tensors by name, in the network's order and types.

    Raises:
        InputError: If the file does not fit, with the first names and shapes that differ; or if a value is not finite.
    """
    saved = read(file)
    found = found_in(saved, wanted.tensors) or other_names(saved, wanted)
    if not any(is_plain(tensor) for each in found for tensor in each.tensors.values()):
        raise no_state_dict(file, contents(saved))
    found = [replace(each, tensors={k: t for k, t in each.tensors.items() if wanted.keeps(k)}) for each in found]
    faults = [differences(each.tensors, wanted) for each in found]
    if all(faults):
        place = f" ({found[0]})" if found[0].prefix or found[0].place else ""
        raise InputError(f"{file}: these weights{place} do not fit {wanted.network}; {faults[0]}")
    fitting = [
        replace(each, tensors={k: each.tensors[k].to(t.dtype).contiguous() for k, t in wanted.tensors.items()})
        for each, fault in zip(found, faults, strict=True)
        if not fault
    ]
    tensors = chosen(fitting, file, say).tensors
    check_finite(tensors, str(file), f"{wanted.network} cannot be computed with it")
    return tensors


def read(file: Path) -> Any:
    """The contents of a .safetensors file or of one that torch.save wrote; InputError if it is neither."""
    from safetensors.torch import load_file

    if not file.is_file():
        raise InputError(f"{file}: {'is a folder' if file.is_dir() else 'no such file'}")
    try:
        return load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged pickle can raise anything
        code = re.search(r"GLOBAL (\S+)", str(error))
        found = f"it holds {code[1]}, which takes code from the file to load" if code else "or it is damaged"
        raise no_state_dict(file, found) from None


def no_state_dict(file: Path, found: str) -> InputError:
    """The error for a file without a plain state dict."""
    return InputError(
        f"{file}: not a plain state dict (tensors by name), {found}, so it is not loaded; "
        "torch.save(model.state_dict(), FILE) writes one, safetensors.torch.save_file a .safetensors file"
    )


def contents(saved: Any) -> str:
    """Says for an error what a file without named tensors holds."""
    if not isinstance(saved, Mapping):
        return f"it holds an object of type {type(saved).__name__}"
    return f"it holds {join_names([str(key) for key in saved])}" if saved else "it is empty"


def mappings(saved: Any, place: str = "", depth: int = DEEPEST) -> Iterator[MatchedState]:
    """The tensors of a mapping by name, then those of nested mappings."""
    if not isinstance(saved, Mapping):
        return
    named = {key: value for key, value in saved.items() if isinstance(key, str)}
    tensors = {key: value.detach() for key, value in named.items() if isinstance(value, torch.Tensor)}
    if tensors:
        yield MatchedState(place, "", tensors)
    for key, value in named.items() if depth else ():
        yield from mappings(value, f"{place}.{key}" if place else key, depth - 1)


def found_in(saved: Any, names: Mapping[str, object]) -> list[MatchedState]:
    """All prefixes in all mappings that have some of the names; those with the most come first."""
    found: list[tuple[int, MatchedState]] = []
    for every in mappings(saved):
        split = {pair: key for key in every.tensors for pair in splits(key)}
        for prefix, count in Counter(prefix for prefix, name in split if name in names).items():
            keys = {name: key for (start, name), key in split.items() if start == prefix}
            tensors = {name: every.tensors[key] for name, key in keys.items()}
            ignored = tuple(every.tensors.keys() - keys.values())
            found.append((count, MatchedState(every.place, prefix, tensors, tuple(sorted(ignored)))))
    return [each for _, each in sorted(found, key=lambda pair: -pair[0])]


def splits(key: str) -> Iterator[tuple[str, str]]:
    """Every way to split a key into prefix and name: 'a.b.weight' is also 'b.weight' under 'a.'."""
    parts = key.split(".")
    for start, first in enumerate(parts):
        if first not in WRAPPING:  # a name never begins with a wrapper
            prefix = "".join(f"{part}." for part in parts[:start])
            yield prefix, ".".join(part for part in parts[start:] if part not in WRAPPING)


def other_names(saved: Any, wanted: ExpectedState) -> list[MatchedState]:
    """The tensors of a file without any of the network's names, named by their order if possible."""
    found = []
    for every in mappings(saved):
        given = {name: tensor for name, tensor in every.tensors.items() if not name.endswith(COUNTER)}
        names = [name for name in wanted.in_order if not name.endswith(COUNTER)]
        if len(given) <= len(names):
            given = dict(zip(names, given.values(), strict=False))
        found.append(replace(every, tensors=given))
    return found


def differences(given: StateTensors, wanted: ExpectedState) -> str:
    """Says which of the given tensors do not fit, and which are missing; empty if all fit."""
    own = wanted.tensors
    both = [name for name in own if name in given]
    shapes = {name: (tuple(given[name].shape), tuple(own[name].shape)) for name in both}
    found = {
        "not in the file": [name for name in own if name not in given],
        f"not in {wanted.network}": [name for name in given if name not in own],
        "of another shape": [f"{name} is {one}, must be {other}" for name, (one, other) in shapes.items()
                             if one != other],
        "no array of floating-point numbers": [name for name in both if not is_plain(given[name])],
    }  # fmt: skip
    return "; ".join(f"{fault}: {join_names(names)}" for fault, names in found.items() if names)


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether it is an ordinary array of real numbers on the CPU."""
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return dense and tensor.is_floating_point()


def chosen(fitting: Sequence[MatchedState], file: Path, say: bool) -> MatchedState:
    """The match to load, of those that fit; InputError if they differ and none is preferred."""
    plain = [found for found in fitting if not found.is_average] or fitting
    if len({digest_of(found.tensors) for found in plain}) > 1:
        raise InputError(
            f"{file}: several sets of weights fit, {'; '.join(map(str, plain))}; save the one that you mean alone"
        )
    taken = plain[0]
    ignored = [*taken.ignored, *(f"the weights {found}" for found in fitting if found not in plain)]
    if say and (ignored or taken.is_average):
        rest = f", not {join_names(ignored)}" if ignored else ""
        print(f"{file}: the weights {taken} are loaded{rest}", file=sys.stderr)
    return taken


def digest_of(tensors: StateTensors) -> str:
    """The first 12 hexadecimal digits of the SHA-256 over names, shapes, and values, in order."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:12]
