"""Changes a user's module in place: its activations, dropout rates, norms and first weights.

Each function returns what it changed, as text such as "body.1: ReLU() → ELU(alpha=1.0)". An empty list means that the
module was so already; where there is nothing to change, an InputError says what the module has instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.linear import WeightInit
from dnntrain.nn.modules.noise import has_dropout_between_layers
from dnntrain.nn.modules.source_calls import Kind, source_calls
from dnntrain.utils.lazy import torch

ACTIVATIONS = (
    "ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Hardswish Hardtanh Tanh Sigmoid Softplus Softsign "
    "LogSigmoid Hardsigmoid"
)
"""The classes of torch.nn that `replace_activations` replaces; gates inside recurrent layers are no modules."""


def replace_activations(module: torch.nn.Module, make: Callable[[], torch.nn.Module]) -> list[str]:
    """Put a new activation in the place of each activation module, and of those of transformer layers.

    Args:
        module: The module that is changed.
        make: Makes one activation.
    """
    kinds = tuple(getattr(torch.nn, name) for name in ACTIVATIONS.split())
    made: dict[int, torch.nn.Module] = {}
    changes, found = [], False
    for place, parent, name, child in children(module):
        in_transformer = is_transformer_layer(parent) and name == "activation"
        if isinstance(child, kinds) or in_transformer:
            found = True
            new = made.setdefault(id(child), make())  # one module may stand in several places
            old = describe_activation(child)
            if old != repr(new):
                setattr(parent, name, new)
                changes.append(f"{place}: {old} → {new!r}")
                if in_transformer:
                    parent.activation_relu_or_gelu = 0  # type: ignore[assignment]  # its fast path knows no others
    if not found:
        advice = "nn.ReLU or other activation modules to let `act` replace them"
        raise nothing_found(module, "activation", "activation modules", advice)
    return changes


def describe_activation(activation: Callable[..., torch.Tensor]) -> str:
    """An activation as its module is written, without what changes no number: ReLU() for F.relu too."""
    if isinstance(activation, torch.nn.Module):
        return repr(activation).replace(", inplace=True", "").replace("inplace=True", "")
    names = {"relu": "ReLU()", "gelu": repr(torch.nn.GELU())}
    name = getattr(activation, "__name__", repr(activation))
    return names.get(name, name)


def set_dropout(module: torch.nn.Module, rate: float, spatial: bool = False) -> list[str]:
    """Set the rate of each dropout module, and of the dropout inside attention and between recurrent layers.

    Args:
        module: The module that is changed.
        rate: The share of the units that is dropped.
        spatial: Drop whole channels where torch's plain dropout drops single units.
    """
    changes, found = [], False
    for place, parent, name, child in children(module):
        if isinstance(child, torch.nn.modules.dropout._DropoutNd):
            found, old = True, repr(child)
            child.p = rate
            if spatial and type(child) is torch.nn.Dropout:
                setattr(parent, name, torch.nn.Dropout2d(rate))
            changes += changed(place, old, repr(getattr(parent, name)))
    for place, part in module.named_modules():
        if isinstance(part, torch.nn.MultiheadAttention) or has_dropout_between_layers(part):
            found, old = True, f"dropout {part.dropout:g}"
            part.dropout = rate
            changes += changed(place, old, f"dropout {rate:g}")
    if not found:
        raise nothing_found(module, "dropout", "nn.Dropout", "nn.Dropout modules to let `dropout` set their rate")
    return changes


def replace_norms(
    module: torch.nn.Module,
    setting: str,
    of_channels: Callable[[int], torch.nn.Module],
    of_last_axes: Callable[[tuple[int, ...]], torch.nn.Module | None] = lambda shape: None,
) -> list[str]:
    """Put a new norm in the place of each norm, and set the numbers of those that are of the new kind already.

    Args:
        module: The module that is changed.
        setting: What asks for it, for messages.
        of_channels: Makes a norm of inputs (rows, channels, …), in the place of batch, group and instance norms.
        of_last_axes: Makes a norm of the last axes of this shape, in the place of layer and RMS norms; None leaves
            these alone.
    """
    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    changes, found = [], False
    made: dict[int, torch.nn.Module] = {}
    for place, parent, name, child in children(module):
        if type(child) in (torch.nn.LayerNorm, torch.nn.RMSNorm):  # a subclass may normalize other axes
            new = of_last_axes(tuple(child.normalized_shape))  # type: ignore[arg-type]
        else:
            channels = normalized_channels(child)
            new = None if channels is None else of_channels(channels)
        if new is None:
            continue
        found, old = True, repr(child)
        if type(child) is type(new) or (isinstance(child, batch_norm) and isinstance(new, batch_norm)):
            for number in ("eps", "momentum", "num_groups"):  # it keeps its own tensors
                if hasattr(new, number):
                    setattr(child, number, getattr(new, number))
            changes += changed(place, old, repr(child))
        else:
            new = made.setdefault(id(child), new)
            setattr(parent, name, new)
            changes.append(f"{place}: {old} → {new!r}")
            if is_transformer_layer(parent):
                parent.activation_relu_or_gelu = 0  # type: ignore[assignment]  # its fast path has layer norm in it
    if not found:
        kinds = "norm modules" if of_last_axes((1,)) else "batch, group or instance norm"
        verb = "set" if setting == "bn" else "replace"
        advice = f"nn.BatchNorm modules to let `{setting}` {verb} them"
        raise nothing_found(module, "norm", kinds, advice)
    return changes


def normalized_channels(part: torch.nn.Module) -> int | None:
    """The channels of a batch, group or instance norm; None for any other part."""
    if isinstance(part, torch.nn.GroupNorm):
        return part.num_channels
    norms = torch.nn.modules.batchnorm._BatchNorm | torch.nn.modules.instancenorm._InstanceNorm
    return part.num_features if isinstance(part, norms) else None


def draw_weights(module: torch.nn.Module, init: WeightInit, rng: np.random.Generator) -> list[str]:
    """Draw the weights and biases of each linear layer and convolution anew.

    The fans count the receptive field and one group's channels: each output of a convolution sums `in / groups` ·
    kernel positions, and each input goes to `out / groups` · kernel positions.

    Args:
        module: The module that is changed.
        init: The initializer.
        rng: What it draws from.
    """
    changes = []
    for place, part in module.named_modules():
        if isinstance(part, torch.nn.Linear):
            transposed, groups, units = False, 1, part.out_features
        elif isinstance(part, torch.nn.modules.conv._ConvNd):
            transposed, groups, units = part.transposed, part.groups, part.out_channels
        else:
            continue
        shape = part.weight.shape
        field, inputs = prod(shape[2:]), shape[0] // groups if transposed else shape[1]
        fan_in, fan_out = inputs * field, units // groups * field
        drawn = init.kernel(rng, fan_in, fan_out, (inputs, *shape[2:], units))
        kernel = torch.from_numpy(np.moveaxis(drawn, -1, 0).copy())
        if transposed:  # torch keeps (in, out / groups, …)
            by_group = kernel.view(groups, units // groups, inputs, *shape[2:])
            kernel = by_group.transpose(1, 2)
        with torch.no_grad():
            if torch.nn.utils.parametrize.is_parametrized(part, "weight"):
                part.weight = kernel.reshape(shape)  # what it is computed from follows
            else:
                part.weight.copy_(kernel.reshape(shape))
            if part.bias is not None:
                part.bias.copy_(torch.from_numpy(init.bias(rng, fan_in, units)))
        changes.append(f"{place or type(part).__name__}: weights drawn with fan in {fan_in}, fan out {fan_out}")
    if not changes:
        raise nothing_found(module, None, "nn.Linear or nn.Conv", "these to let `init` draw their weights")
    return changes


def unreachable(module: torch.nn.Module, *kinds: Kind) -> list[str]:
    """What surgery of these kinds (all by default) leaves as it is in a module, as text."""
    from dnntrain.nn.modules.stand_ins import ChannelLayerNorm

    found = [str(call) for call in source_calls(module, *kinds)]
    for place, part in module.named_modules():
        is_own = isinstance(part, ChannelLayerNorm)  # from `replace_norms`
        if isinstance(part, torch.nn.LayerNorm) and not is_own and (not kinds or "norm" in kinds):
            found.append(f"{place}: {type(part).__name__} stays")
        if isinstance(part, torch.nn.RNNBase) and (not kinds or "activation" in kinds):
            found.append(f"{place}: the gates of {type(part).__name__} stay")
    return found


def children(module: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module, str, torch.nn.Module]]:
    """Each part of a module with its full name, its parent, and its name there; a part in two places comes twice.

    The activation function of a transformer layer counts as a part, although it may be a plain function.
    """
    for prefix, parent in list(module.named_modules()):
        names = list(parent._modules)
        if is_transformer_layer(parent) and "activation" not in names:
            names.append("activation")
        for name in names:
            child = getattr(parent, name)
            if child is not None:
                yield f"{prefix}.{name}".lstrip("."), parent, name, child


def is_transformer_layer(part: torch.nn.Module) -> bool:
    """Whether a part is one of torch's transformer layers, which keep their activation as an attribute."""
    return isinstance(part, torch.nn.TransformerEncoderLayer | torch.nn.TransformerDecoderLayer)


def changed(place: str, old: str, new: str) -> list[str]:
    """The change as text, if there is one."""
    return [] if old == new else [f"{place}: {old} → {new}"]


def nothing_found(module: torch.nn.Module, kind: Kind | None, missing: str, advice: str) -> InputError:
    """The error for a module with nothing to change: what it has instead.

    Args:
        module: The module.
        kind: The kind of functions that may do the same in its source.
        missing: What it does not have.
        advice: What to use instead, after "use".
    """
    calls = [str(call) for call in source_calls(module, kind)] if kind else []
    if calls:
        more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
        return InputError(f"{calls[0]}{more}: use {advice}")
    kinds = sorted({type(part).__name__ for part in module.modules() if not list(part.children())})
    return InputError(f"{type(module).__name__} has no {missing}, only {', '.join(kinds)}: use {advice}")
