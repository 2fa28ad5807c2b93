"""Multilayer perceptrons, with or without skip connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import LayerSpec
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.techniques.networks.base import Net, NetworkSettings, Unit
from dnntrain.utils.fields import hyperparameter


class MLP(Net):
    """Dense layers only."""

    name = "mlp"
    summary = "Dense layers, each on all outputs of the one below it; the inputs are one flat list of numbers."
    paper = "Rumelhart et al. 1986, Learning representations by back-propagating errors"
    formula = "h ← act(W h + b) for each layer of --hidden; outputs = W h + b"
    advice = "For tables, and as a fast test bed for training techniques. On images, cnn and resnet do better."
    auto: ClassVar = {"hidden": "300,100", "act": "relu"}

    def n_blocks(self, hidden: Sequence[int], skip: int) -> int:
        return len(skip_starts(hidden, skip)) if skip else 0

    def units(self, settings: NetworkSettings) -> list[Unit]:
        features = settings.data.n_features
        units = settings.hidden_units(features)
        width = settings.hidden[-1] if settings.hidden else features
        return [
            settings.inputs((features,)),
            *(with_skips(units, settings) if settings.skip else units),
            settings.output(width),
        ]


class SkipConnections(Switch):
    """Skip connections around dense layers."""

    family = "Residual connections"
    name = "residual"
    summary = "Adds the input of every few dense layers to their output, so that gradients reach the lowest layers."
    paper = "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
    formula = "h ← act(h + W₂ act(W₁ h + b₁) + b₂)"
    advice = "Against vanishing gradients in deep mlps. Layers that change the width have no skip. resnet has its own."
    every: int = hyperparameter(2, "dense layers that each skip connection passes by", ge=1, le=100)
    zero_init: bool = hyperparameter(
        False, "start each block as its skip connection: its last kernel, or the scale of a norm behind it, is 0"
    )

    def fault(self, run: RunExtent) -> str | None:
        if run.net != "mlp":
            return f"residual: for net mlp, not for {run.net}"
        if skip_starts(run.hidden, self.every):
            return None
        widths, n = ",".join(map(str, run.hidden)) or "none", self.every + 1
        return f"residual: a skip needs {n} hidden layers of one width in a row, as hidden {n}x100; hidden is {widths}"


def skip_starts(widths: Sequence[int], every: int) -> list[int]:
    """The first layers (from 0) of the skips: each is around `every` hidden layers that keep the width."""
    starts: list[int] = []
    first = 1  # the input of layer 0 has the width of the data
    while first + every <= len(widths):
        keeps_width = len(set(widths[first - 1 : first + every])) == 1
        starts += [first] if keeps_width else []
        first += every if keeps_width else 1
    return starts


def with_skips(units: list[Unit], settings: NetworkSettings) -> list[Unit]:
    """Hidden layers with a skip around every `settings.skip` of them that keep the width.

    The last of these layers is activated after the sum. The block is one unit in place of the last; the units of the
    others are empty, so that the units' numbers stay what they are.
    """
    every, starts = settings.skip, skip_starts(settings.hidden, settings.skip)
    result: list[Unit] = []
    while len(result) < len(units):
        first = len(result)
        if first not in starts:
            result.append(units[first])
            continue
        last = first + every
        body: list[LayerSpec] = [layer for unit in units[first : last - 1] for layer in unit]
        dense, *after = units[last - 1]
        if (activation := settings.activation(last)).inputs_per_unit > 1:
            raise InputError(f"act {activation}: hidden{last} ends a residual sum, which has no such pieces")
        n_before = 1 if settings.norm and settings.norm.stands("before") else 0
        body += [dense, *after[:n_before]]
        place = (starts.index(first) + 1) / len(starts)
        block = settings.block(f"skip{last}", body, [], place, settings.zero_skips)
        result += [[] for _ in range(every - 1)]
        result.append([block, *after[n_before:]])
    return result
