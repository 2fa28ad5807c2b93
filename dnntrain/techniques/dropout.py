"""Dropout and its relatives: noise while training that keeps units from relying on each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator

from dnntrain.errors import InputError
from dnntrain.nn import random
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.techniques.base import RunExtent, Switch, per_member, select, stack
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

SELU_LOW = -1.7580993408473766
"""The value of SELU for large negative inputs, -λα, at which alpha dropout holds a dropped unit."""


def read_places(text: object) -> str:
    """Where dropout goes: input, hidden, conv, lastK, or some of them joined by '+'."""
    places = str(text).replace(" ", "").split("+")
    if not all(re.fullmatch(r"input|hidden|conv|last[1-9]\d*", place) for place in places):
        raise ValueError("must be input, hidden, conv, last1, last2, …, or some of them joined by +, as input+hidden")
    return "+".join(places)


Places = Annotated[str, AfterValidator(read_places)]


class DropoutBase(Switch):
    """Drops units at random while training, another draw for every row and step."""

    family = "Dropout"
    exclusive = True
    primary = "rate"
    rate: float = hyperparameter(0.2, "share of the units that is dropped", ge=0, le=0.99, per_member=True)
    where: Places = hyperparameter(
        "hidden", "input, hidden (all dense ones), conv (after each block), last2 (the top two), or input+hidden"
    )
    spatial: bool = hyperparameter(False, "drop whole channels of a convolution instead of single units")

    def fault(self, run: RunExtent) -> str | None:
        if run.net == "module":
            is_default = self.where == type(self).model_fields["where"].default
            where = f"{self.name}_where {self.where}: your own module has dropout where its Dropout modules are"
            return None if is_default else where
        places = self.where.split("+")
        if "conv" in places and not run.conv:
            return f"{self.name}_where {self.where}: the network has no convolutions; hidden means its dense layers"
        if self.layers(len(run.hidden), run.conv):
            return None
        remedy = "conv drops after each convolution block" if run.conv else "input drops inputs"
        return f"{self.name}: there are no hidden layers; {self.name}_where {remedy}"

    def idle(self, run: RunExtent) -> str | None:
        if not self.spatial or (run.conv and min(self.layers(len(run.hidden), run.conv)) <= run.conv):
            return None
        remedy = f"; {self.name}_where conv does" if run.conv else ""
        return f"{self.name}_spatial has no effect: nothing drops the channels of a convolution{remedy}"

    def layers(self, hidden: int, conv: int = 0) -> set[int]:
        """The layers whose outputs are dropped.

        Args:
            hidden: Number of hidden (dense) layers.
            conv: Number of convolution blocks below them.

        Returns:
            Their indices: 0 is the input, 1 to `conv` are the convolution blocks, then come the hidden layers.
        """
        top = conv + hidden
        chosen: set[int] = set()
        for place in self.where.split("+"):
            named = {"input": range(1), "conv": range(1, conv + 1), "hidden": range(conv + 1, top + 1)}
            chosen |= set(named[place] if place in named else range(max(top + 1 - int(place[4:]), 1), top + 1))
        return chosen

    def drop(self, x: torch.Tensor, keep_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The noisy x (P, rows, …), and its slope; keep_mask (broadcasts to x) is 1 where a unit stays, else 0."""
        raise NotImplementedError

    def layer(self, name: str, shape: Shape) -> DropoutSpec:
        """The layer that drops from activations of this shape (of one example)."""
        return DropoutSpec(name, shape, self)

    def to_torch(self, drops_channels: bool) -> TorchCode:
        """Its module of plain torch, which drops whole channels or single units."""
        raise InputError(f"{self.name}: cannot be exported, since {type(self).__name__} declares no `to_torch`")


class DropoutLayer(Layer):
    """Drops units, each member at its own rate. The masks come from the context's keys; without keys it is off."""

    def __init__(self, name: str, dropout: DropoutBase) -> None:
        super().__init__(name)
        self.dropout = dropout
        self.threshold = random.threshold(torch.as_tensor(dropout.rate))
        self._counters: dict[torch.Size, torch.Tensor] = {}

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        self._slope: torch.Tensor | None = None
        if ctx.dropout_keys is None:
            return x
        outputs, slope = self.dropout.drop(x, self._keep_mask(x, ctx.dropout_keys[self.index]))
        if ctx.training and self.needs_input_grad:
            self._slope = slope
        return outputs

    def _keep_mask(self, x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """1 for each unit of x (or channel, if spatial) that is kept, else 0; broadcasts to x (P, rows, …)."""
        shape = x.shape[1:]
        if x.dim() == 5:  # draws follow the memory's order: channels last
            rows, channels, height, width = shape
            shape = torch.Size([rows, 1, 1, channels] if self.dropout.spatial else [rows, height, width, channels])
        if shape not in self._counters:
            self._counters[shape] = random.counters(shape[0], shape[1:].numel(), x.device)
        keep_mask = random.keep_mask(self._counters[shape], keys, self.threshold)
        return keep_mask.view(-1, *shape).movedim(-1, 2)  # a dense layer's units stand there already

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        slope, self._slope = self._slope, None
        return grad if slope is None else grad * slope

    def uses_keys(self) -> bool:
        return True

    def select(self, members: torch.Tensor) -> DropoutLayer:
        layer = super().select(members)
        layer.dropout, layer.threshold = select(self.dropout, members), self.threshold[members]
        return layer


@dataclass(frozen=True)
class DropoutSpec(LayerSpec):
    """Dropout of a layer's units or maps."""

    name: str
    shape: Shape
    dropout: DropoutBase

    @property
    def shape_out(self) -> Shape:
        return self.shape

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> DropoutLayer:
        return DropoutLayer(self.name, stack([member.dropout for member in members], device))

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        return self.dropout.to_torch(drops_channels=self.dropout.spatial and len(self.shape) == 3)


class Dropout(DropoutBase):
    """Inverted dropout: what is kept is divided by the keep probability while training, and testing changes nothing.

    Srivastava et al. (2014) do not divide, but multiply the weights of the layer above by the keep probability k after
    training. The two are one network in other units: with weights W above the layer here, the weights there are W/k.
    Then they compute the same, in training and in testing. Gradients there are k times those here, so plain SGD takes
    the same path with the rate of those weights divided by k².
    """

    name = "dropout"
    essential = True
    summary = "Sets each unit to zero with probability `rate` at every training step, never on the output."
    paper = "Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting"
    formula = "x ← x · mask / (1 - rate) while training; nothing at test time"
    advice = (
        "Rates of 10 to 50 % are usual: 20 to 30 % in recurrent networks, 40 to 50 % in convolutional ones (Géron, "
        "Hands-On Machine Learning, ch. 11). Often on the last one to three hidden layers only (--dropout-where last3)."
    )

    def drop(self, x: torch.Tensor, keep_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slope = keep_mask.mul_(per_member(self.gain, keep_mask))
        return x * slope, slope

    @cached_property
    def gain(self) -> torch.Tensor:
        """What the survivors are multiplied by, (P,)."""
        return 1 / (1 - torch.as_tensor(self.rate))

    def to_torch(self, drops_channels: bool) -> TorchCode:
        return TorchCode(f"nn.{'Dropout2d' if drops_channels else 'Dropout'}({self.rate:g})")


class AlphaDropout(DropoutBase):
    """Dropout for SELU."""

    name = "alpha_dropout"
    summary = "Dropout for SELU networks: keeps mean and deviation of its input, so self-normalization survives."
    paper = "Klambauer et al. 2017, Self-Normalizing Neural Networks, arXiv:1706.02515"
    formula = "x ← a · (x where kept, else -1.7581) + b, with a and b that restore mean 0 and deviation 1"
    advice = "Instead of dropout wherever the activation is SELU."

    def fault(self, run: RunExtent) -> str | None:
        if run.net == "module":
            return "alpha_dropout: your own module has it where it uses nn.AlphaDropout; dropout sets its rate"
        return super().fault(run)

    def drop(self, x: torch.Tensor, keep_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rate = per_member(self.rate, x)
        a = torch.rsqrt((1 - rate) * (1 + rate * SELU_LOW**2))
        slope = keep_mask.mul_(a)
        return torch.addcmul(a * SELU_LOW * (1 - rate), slope, x - SELU_LOW), slope

    def to_torch(self, drops_channels: bool) -> TorchCode:
        return TorchCode(f"nn.{'FeatureAlphaDropout' if drops_channels else 'AlphaDropout'}({self.rate:g})")


class MonteCarloDropout(Switch):
    """Dropout left on at test time."""

    family = "Dropout"
    name = "mc_dropout"
    primary = "samples"
    example: ClassVar = {"dropout": 0.2, "mc_dropout": 10}
    summary = "Averages the predicted probabilities of several passes with dropout on, besides the plain test metrics."
    paper = "Gal & Ghahramani 2016, Dropout as a Bayesian Approximation, arXiv:1506.02142"
    formula = "p(y|x) ≈ mean over T passes of softmax(f(x; mask_t))"
    advice = (
        "Better probabilities: compare the loss and the calibration error; published gains in accuracy lie within "
        "noise. `dnntrain runs evaluate RUN --mc 100` applies it to a run that is trained already."
    )
    not_exported = (
        "Monte Carlo dropout is not part of it; average the probabilities of passes with its dropout in training mode."
    )
    samples: int = hyperparameter(100, "number T of passes", ge=1, le=10_000)
