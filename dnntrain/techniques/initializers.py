"""Weight initialization of the hidden layers; biases start at zero unless the initializer says otherwise.

The output layer keeps Glorot's uniform distribution whatever the hidden layers use, as in Keras.
Normal distributions are truncated at two standard deviations and rescaled to the stated variance, as in Keras.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

import numpy as np

from dnntrain.techniques.base import Choice
from dnntrain.utils.fields import hyperparameter

TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal cut at ±2, by which the draws are divided."""


class Initializer(Choice):
    """Draws one layer's first weights from the run's own random stream."""

    family = "Initialization"
    in_graph = False
    slot = "init"

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """The first weights, float32.

        Args:
            rng: The layer's own stream.
            fan_in: Inputs of each output.
            fan_out: Outputs that each input takes part in. Both fans count a convolution's receptive field.
            shape: Their shape, inputs first and outputs last: (fan_in, fan_out) by default; in a convolution the input
                channels of a group, the kernel's height and width, and the output channels.
        """
        raise NotImplementedError

    def bias(self, rng: np.random.Generator, fan_in: int, units: int) -> np.ndarray:
        """The first biases, float32 (units,)."""
        return np.zeros(units, np.float32)


def uniform(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    """U(-r, r) of the given variance, float32."""
    limit = np.sqrt(3.0 * variance)
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    """A normal cut at two deviations, rescaled to the given variance, float32."""
    draws = rng.standard_normal(prod(shape))
    outside = np.flatnonzero(np.abs(draws) > 2.0)
    while len(outside):  # one draw in 22: only these are looked at again
        again = rng.standard_normal(len(outside))
        draws[outside] = again
        outside = outside[np.abs(again) > 2.0]
    # the product is rounded once, from double precision
    weights = np.empty(shape, np.float32)
    np.multiply(draws.reshape(shape), np.sqrt(variance) / TRUNCATED_DEVIATION, out=weights, casting="same_kind")
    return weights


class VarianceScaling(Initializer):
    """Keeps the variance of activations or gradients from layer to layer."""

    dist: Literal["uniform", "normal"] = hyperparameter("uniform", "distribution: uniform, or normal (truncated)")

    def variance(self, fan_in: int, fan_out: int) -> float:
        """The variance of each weight."""
        raise NotImplementedError

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        draw = uniform if self.dist == "uniform" else truncated_normal
        return draw(rng, shape or (fan_in, fan_out), self.variance(fan_in, fan_out))


class Glorot(VarianceScaling):
    """Variance 2 / (fan in + fan out)."""

    name = "glorot"
    aliases: ClassVar = {"xavier": {}, "glorot_uniform": {}, "glorot_normal": {"dist": "normal"}}
    summary = "Balances the variance of activations forward and of gradients backward."
    paper = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
    formula = "variance 2 / (fan_in + fan_out)"
    advice = "For tanh, sigmoid, softsign and the output layer."

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / (fan_in + fan_out)


class He(VarianceScaling):
    """Variance 2 / fan in."""

    name = "he"
    aliases: ClassVar = {"kaiming": {}, "he_normal": {}, "he_uniform": {"dist": "uniform"}}
    summary = "Doubles LeCun's variance, since ReLU passes half of its input."
    paper = "He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852"
    formula = "variance 2 / fan_in"
    advice = "For ReLU and its family."
    dist: Literal["uniform", "normal"] = hyperparameter("normal", "distribution: uniform, or normal (truncated)")

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / fan_in


class LeCun(VarianceScaling):
    """Variance 1 / fan in."""

    name = "lecun"
    aliases: ClassVar = {"lecun_normal": {}, "lecun_uniform": {"dist": "uniform"}}
    summary = "Keeps the variance of the activations where the nonlinearity is close to linear."
    paper = "LeCun et al. 1998, Efficient BackProp"
    formula = "variance 1 / fan_in"
    advice = "For SELU, whose self-normalisation rests on it."
    dist: Literal["uniform", "normal"] = hyperparameter("normal", "distribution: uniform, or normal (truncated)")

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in


class TorchDefault(Initializer):
    """torch.nn.Linear's own."""

    name = "torch"
    summary = "What torch.nn.Linear does: uniform weights and biases within 1/√fan_in."
    paper = "PyTorch, torch.nn.Linear.reset_parameters"
    formula = "weights and biases U(-1/√fan_in, 1/√fan_in): variance 1 / (3 fan_in)"
    advice = "To compare with PyTorch code; too small for deep ReLU networks."

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        return uniform(rng, shape or (fan_in, fan_out), 1.0 / (3.0 * fan_in))

    def bias(self, rng: np.random.Generator, fan_in: int, units: int) -> np.ndarray:
        return uniform(rng, (units,), 1.0 / (3.0 * fan_in))


class Normal(Initializer):
    """A plain normal of a chosen deviation."""

    name = "normal"
    summary = "A normal distribution whose deviation ignores the layer's size: what was common before 2010."
    paper = "Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks (std 0.01)"
    formula = "N(0, std²), not truncated"
    advice = "To show what a poor initialization does: too small vanishes, too large explodes."
    std: float = hyperparameter(0.05, "standard deviation of the weights", gt=0)

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        return (self.std * rng.standard_normal(shape or (fan_in, fan_out))).astype(np.float32)


class Orthogonal(Initializer):
    """Orthogonal columns or rows."""

    name = "orthogonal"
    summary = "Orthogonal weights: the layer turns its inputs and keeps their length, at any depth."
    paper = "Saxe et al. 2014, Exact solutions to the nonlinear dynamics of learning, arXiv:1312.6120"
    formula = "gain · Q from the QR decomposition of a normal matrix, its signs fixed by R's diagonal"
    advice = "For very deep or recurrent networks; gain 1.414 for ReLU, since it passes half of its input."
    gain: float = hyperparameter(1.0, "factor of the weights", gt=0)

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        *inputs, units = shape or (fan_in, fan_out)
        normal = rng.standard_normal((units, prod(inputs)))
        q, r = np.linalg.qr(normal.T if units < normal.shape[1] else normal)
        q *= np.sign(np.diag(r))
        matrix = q if units < normal.shape[1] else q.T
        return (self.gain * matrix).astype(np.float32).reshape(*inputs, units)


class Dirac(Initializer):
    """The identity."""

    name = "dirac"
    aliases: ClassVar = {"identity": {}}
    summary = "Starts each layer as the identity, as far as its shape allows: each output copies one input."
    paper = "Zagoruyko & Komodakis 2017, DiracNets, arXiv:1706.00388; Le et al. 2015, arXiv:1504.00941 (dense)"
    formula = "1 from input i to output i, for convolutions at the center of the kernel; all else 0"
    advice = "For deep networks of one width. Outputs beyond the number of inputs are 0, and with ReLU may stay so."

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        inputs, *field, units = shape or (fan_in, fan_out)
        weights = np.zeros((inputs, *field, units), np.float32)
        per_group = fan_out // prod(field)  # outputs that each input goes to
        for output in range(units):
            if output % per_group < inputs:
                weights[(output % per_group, *(size // 2 for size in field), output)] = 1.0
        return weights


class Zeros:
    """Weights that start at 0, such as those that end a residual block; no choice for a whole network."""

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """Zeros, float32."""
        return np.zeros(shape or (fan_in, fan_out), np.float32)

    def bias(self, rng: np.random.Generator, fan_in: int, units: int) -> np.ndarray:
        """Zeros, float32 (units,)."""
        return np.zeros(units, np.float32)
