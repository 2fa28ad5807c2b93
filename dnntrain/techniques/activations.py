"""Activations: the nonlinearity after each hidden layer and convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import VJP, ForwardContext, Layer, Tensors, autograd_vjp, real_rows
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.maps import per_channel, pixel_rows
from dnntrain.techniques.base import Choice
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

ALPHA, LAMBDA = 1.6732632423543772, 1.0507009873554805  # SELU's (Klambauer et al. 2017, appendix A.1)


class Activation(Choice):
    """A nonlinearity applied to every element of (P, rows, units) or of maps (P, rows, C, H, W)."""

    family = "Activation"
    slot = "act"
    init: ClassVar[str] = "glorot"
    """The initializer that `--init auto` picks for the layer below it (Géron, table 11-1)."""
    asymptotes: ClassVar[tuple[float, ...]] = ()
    """The values at which a bounded activation saturates."""
    trained: ClassVar[str | None] = None
    """The hyper-parameter that is trained, with one value per unit or channel that starts at the given one."""

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        """The activation of z (P, rows, …), same shape; `trained`, if there is any, broadcasts to it."""
        raise NotImplementedError

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        """The activation of z, and its VJP for z and for what is trained; by autograd unless a subclass has a rule.

        What is trained has z's shape here, and so has its gradient. Value and VJP may overwrite their arguments.
        """
        return autograd_vjp(self, z, *trained)

    def module(self) -> torch.nn.Module:
        """torch's module of the same name and function, for networks that are modules."""
        module: torch.nn.Module = getattr(torch.nn, type(self).__name__)(*self.model_dump().values())
        return module

    def layer(self, name: str, shape: Shape) -> ActivationSpec:
        """The layer that applies it to activations of this shape (of one example)."""
        return ActivationSpec(name, shape, self)


class ActivationLayer(Layer):
    """Applies an activation; trains its slopes (P, 1, units or channels, …), if it has any."""

    def __init__(self, name: str, activation: Activation, parameters: Tensors) -> None:
        super().__init__(name, parameters)
        self.activation = activation

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        trained = self._parameters.values()
        if ctx.training:
            # a slope for each row, so that `backward` can sum over the real rows only
            slopes = (slope.expand_as(x) for slope in trained)
            h, vjp = self.activation.value_and_vjp(x if self.owns_input else x.clone(), *slopes)
            self._saved = vjp, ctx.real
        else:
            h = self.activation(x, *trained)
        if ctx.observe:
            ctx.observe(self.name, real_rows(h, ctx.real), self.activation.asymptotes)
        return h

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        vjp, real = self._saved
        del self._saved
        grad_in, *trained = vjp(grad)
        for (key, slope), gradient in zip(self._parameters.items(), trained, strict=True):
            grads[f"{self.name}.{key}"] = pixel_rows(real_rows(gradient, real)).sum(dim=1).view_as(slope)
        return grad_in


@dataclass(frozen=True)
class ActivationSpec(LayerSpec):
    """An activation of a layer's units or maps."""

    name: str
    shape: Shape
    activation: Activation

    @property
    def shape_out(self) -> Shape:
        return self.shape

    @property
    def parameters(self) -> dict[str, Shape]:
        trained = self.activation.trained
        return {} if trained is None else {trained: per_channel(self.shape)}

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        first = self.activation.model_dump()
        return {key: np.full(shape, first[key], np.float32) for key, shape in self.parameters.items()}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> ActivationLayer:
        return ActivationLayer(self.name, self.activation, parameters)


class ReLU(Activation):
    """max(0, z)."""

    name = "relu"
    summary = "Rectified linear unit: passes what is positive, so its gradient does not shrink with depth."
    paper = "Nair & Hinton 2010, Rectified Linear Units Improve Restricted Boltzmann Machines"
    formula = "max(0, z)"
    advice = "The default, and the fastest where run time counts. Units can die (always 0): watch the dead share."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.relu(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = torch.relu_(z)
        return h, lambda g: (torch.ops.aten.threshold_backward.grad_input(g, h, 0, grad_input=g),)


class LeakyReLU(Activation):
    """ReLU with a small slope below zero."""

    name = "leaky_relu"
    summary = "ReLU with a small slope for negative inputs, so that no unit can die."
    paper = "Maas et al. 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models"
    formula = "max(alpha z, z)"
    advice = "Try it where ReLU units die. torch's slope is .01, Keras's .3; Xu et al. 2015 found .2 better than .01."
    init = "he"
    alpha: float = hyperparameter(0.01, "slope for negative inputs", ge=0, lt=1)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.leaky_relu(z, self.alpha)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.leaky_relu_backward.default(g, h, self.alpha, True),)


class PReLU(Activation):
    """Leaky ReLU with a trained slope."""

    name = "prelu"
    summary = "Leaky ReLU whose slope is learned, one for each unit, or each channel of a convolution."
    paper = "He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852"
    formula = "max(0, z) + alpha min(0, z), alpha trained"
    advice = "Good on large image data sets; may overfit small ones. Keras starts the slope at 0."
    init = "he"
    trained = "alpha"
    alpha: float = hyperparameter(0.25, "first value of the trained slope", ge=0, lt=1)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.relu(z) + (self.alpha if trained is None else trained) * z.clamp(max=0)

    def module(self) -> torch.nn.Module:
        return torch.nn.PReLU(init=self.alpha)


class ELU(Activation):
    """Exponential linear unit."""

    name = "elu"
    summary = "Smooth, and negative below zero, which keeps the mean activation near zero."
    paper = "Clevert et al. 2016, Fast and Accurate Deep Network Learning by ELUs, arXiv:1511.07289"
    formula = "z where z > 0, else alpha (exp(z) - 1)"
    advice = "Often better than the ReLU family where its slower exponential is affordable."
    init = "he"
    alpha: float = hyperparameter(1.0, "value approached for large negative inputs, negated", gt=0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.elu(z, self.alpha)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.elu_backward.default(g, self.alpha, 1, 1, True, h),)


class SELU(Activation):
    """Scaled ELU."""

    name = "selu"
    summary = "ELU scaled so that a plain stack of dense layers normalizes itself (mean 0, deviation 1)."
    paper = "Klambauer et al. 2017, Self-Normalizing Neural Networks, arXiv:1706.02515"
    formula = "1.0507 z where z > 0, else 1.0507 · 1.6733 (exp(z) - 1)"
    advice = "Needs LeCun normal weights, standardized inputs (--scale standard), and alpha dropout instead of dropout."
    init = "lecun"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.selu(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.elu_backward.default(g, ALPHA, LAMBDA, 1, True, h),)


class Tanh(Activation):
    """Hyperbolic tangent."""

    name = "tanh"
    summary = "Squashes to (-1, 1) around zero; its gradient vanishes where it saturates."
    paper = "LeCun et al. 1998, Efficient BackProp"
    formula = "(exp(z) - exp(-z)) / (exp(z) + exp(-z))"
    advice = "Better than the sigmoid in hidden layers, since its mean is zero; saturates in deep networks."
    asymptotes = (-1.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.tanh(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.tanh_backward.default(g, h),)


class Sigmoid(Activation):
    """Logistic function."""

    name = "sigmoid"
    summary = "Squashes to (0, 1); its gradient is at most 1/4, so it vanishes with depth."
    paper = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
    formula = "1 / (1 + exp(-z))"
    advice = "The baseline that shows vanishing gradients; not for hidden layers of a deep network."
    asymptotes = (0.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.sigmoid(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.sigmoid_backward.default(g, h),)


class Softsign(Activation):
    """z / (1 + |z|)."""

    name = "softsign"
    summary = "Like tanh, with polynomial instead of exponential tails, so that it saturates later."
    paper = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
    formula = "z / (1 + |z|)"
    advice = "Instead of tanh where a bounded activation is wanted."
    asymptotes = (-1.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.softsign(z)


class Softplus(Activation):
    """Smooth ReLU."""

    name = "softplus"
    summary = "A smooth ReLU, always positive."
    paper = "Dugas et al. 2000, Incorporating Second-Order Functional Knowledge"
    formula = "log(1 + exp(z))"
    advice = "Rarely better than ReLU: its output's mean is far from zero."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.softplus(z)


class GELU(Activation):
    """Gaussian error linear unit."""

    name = "gelu"
    summary = "Weights its input by the normal distribution function: smooth and not monotonic."
    paper = "Hendrycks & Gimpel 2016, Gaussian Error Linear Units, arXiv:1606.08415"
    formula = "z Φ(z)"
    advice = "A good modern default where run time does not count."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.gelu(z)


class SiLU(Activation):
    """Sigmoid linear unit."""

    name = "silu"
    aliases: ClassVar[dict[str, dict[str, object]]] = {"swish": {}}
    summary = "Weights its input by its own sigmoid; also known as Swish."
    paper = "Ramachandran et al. 2017, Searching for Activation Functions, arXiv:1710.05941"
    formula = "z sigmoid(z)"
    advice = "Like GELU, a little cheaper."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.silu(z)


class Mish(Activation):
    """z tanh(softplus(z))."""

    name = "mish"
    summary = "A smoother relative of SiLU."
    paper = "Misra 2019, Mish: A Self Regularized Non-Monotonic Activation Function, arXiv:1908.08681"
    formula = "z tanh(log(1 + exp(z)))"
    advice = "Like SiLU, at a higher cost."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.mish(z)
