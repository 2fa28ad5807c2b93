"""Residual networks for small images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from dnntrain.nn.convolution import ConvolutionSpec
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.pooling import GlobalAveragePoolSpec
from dnntrain.nn.reshape import ReshapeSpec
from dnntrain.nn.residual import ResidualSpec, SubsampleSpec
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.networks.base import Counts, Net, NetworkSettings, Unit, counts, map_shape
from dnntrain.utils.fields import hyperparameter


class ResNet(Net):
    """A convolution, stages of residual blocks, and the average of each channel."""

    name = "resnet"
    summary = "Stages of residual blocks of two 3 × 3 convolutions; each stage halves the map and doubles the channels."
    paper = "He et al. 2016, arXiv:1512.03385, section 4.2; pre-activation: He et al. 2016, arXiv:1603.05027"
    formula = "h ← act(s(h) + conv₂(act(conv₁(h)))), s the shortcut; preact: h ← s(h) + conv₂(act(conv₁(act(h))))"
    advice = "For CIFAR-10 with --bn, as in the paper: resnet:blocks=3/3/3 is ResNet-20 and 9/9/9 is ResNet-56."
    auto: ClassVar = {"hidden": "none", "act": "relu"}
    blocks: Counts = hyperparameter("3/3/3", "residual blocks of each stage")
    width: int = hyperparameter(16, "channels of the first stage", ge=1, le=4096)
    shortcut: Literal["identity", "projection"] = hyperparameter(
        "identity",
        "where the shape changes: identity (every second pixel, new channels 0) or projection (1 × 1 convolution)",
    )
    preact: bool = hyperparameter(False, "norm and activation before each convolution instead of after it")
    zero_init: bool = hyperparameter(
        False,
        "start each block that keeps its shape as its shortcut: its last batch norm has scale 0, or without one after "
        "the last convolution, that kernel is 0",
    )

    @property
    def conv_units(self) -> int:
        return 1 + self.n_blocks()

    def n_blocks(self, hidden: Sequence[int] = (), skip: int = 0) -> int:
        return sum(counts(self.blocks))

    def check(self, hidden: Sequence[int], act: Sequence[Activation]) -> None:
        super().check(hidden, act)
        self.refuse_pieces(act, "the sums of residual blocks have no such pieces")

    def units(self, settings: NetworkSettings) -> list[Unit]:
        shape = map_shape(self.name, settings.data)
        inputs: Unit = [ReshapeSpec("input", shape), *settings.inputs(shape)]
        stem = ConvolutionSpec("conv1", shape, self.width, settings.initializer(1), bias=settings.biases)
        shape = stem.shape_out
        activated = [] if self.preact else settings.activated("conv1", shape, 1)
        units: list[Unit] = [inputs, [stem, *activated, *settings.dropped("conv1", shape, 1)]]
        for stage, blocks in enumerate(counts(self.blocks)):
            for block in range(blocks):
                name, stride = f"stage{stage + 1}.block{block + 1}", 2 if stage and not block else 1
                unit = Block(self, settings, len(units), name, shape, self.width * 2**stage, stride).layers()
                shape = unit[0].shape_out
                units.append([*unit, *settings.dropped(name, shape, len(units))])
        final = settings.activated("final", shape, len(units) - 1) if self.preact else []
        width = shape[0]
        dense, *rest = [*settings.hidden_units(width), settings.output((width, *settings.hidden)[-1])]
        return [*units, [*final, GlobalAveragePoolSpec("average", shape), *dense], *rest]


@dataclass(frozen=True)
class Block:
    """One residual block of two convolutions."""

    net: ResNet
    settings: NetworkSettings
    unit: int
    """The number of its unit, counted from 1: the stem is the first."""
    name: str
    shape_in: Shape
    channels: int
    stride: int

    def layers(self) -> Unit:
        """The block, and unless it is of the pre-activation kind, the activation of the sum."""
        one, two = (f"{self.name}.conv{i}" for i in (1, 2))
        first = self._convolution(one, self.shape_in, self.stride)
        last = self._convolution(two, first.shape_out)
        activated = self.settings.activated
        if self.net.preact:
            body = [*activated(one, self.shape_in, self.unit), first, *activated(two, first.shape_out, self.unit), last]
            return [self._join(body)]
        before, after = (self.settings.normalized(two, last.shape_out, place) for place in ("before", "after"))
        body = [first, *activated(one, first.shape_out, self.unit), last, *before]
        return [self._join(body), self.settings.activation(self.unit).layer(two, last.shape_out), *after]

    def _convolution(self, name: str, shape: Shape, stride: int = 1, kernel: int = 3) -> ConvolutionSpec:
        init, biases = self.settings.initializer(self.unit), self.settings.biases
        return ConvolutionSpec(name, shape, self.channels, init, kernel, stride, kernel // 2, biases)

    def _join(self, body: Unit) -> ResidualSpec:
        shortcut = self._shortcut()
        # the new channels of a shortcut without weights are 0: with 0 added, ReLU would keep them so for ever
        zero_init = self.net.zero_init and not any(isinstance(layer, SubsampleSpec) for layer in shortcut)
        return self.settings.block(self.name, body, shortcut, (self.unit - 1) / self.net.n_blocks(), zero_init)

    def _shortcut(self) -> Unit:
        if self.stride == 1 and self.channels == self.shape_in[0]:
            return []
        name = f"{self.name}.shortcut"
        if self.net.shortcut == "identity":
            return [SubsampleSpec(name, self.shape_in, self.channels, self.stride)]
        projection = self._convolution(name, self.shape_in, self.stride, kernel=1)
        return [projection, *self.settings.normalized(name, projection.shape_out, "before")]
