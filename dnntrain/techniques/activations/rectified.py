"""The ReLU family: straight pieces that meet at zero."""

from __future__ import annotations

from dnntrain.nn.layer import VJP
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.torch_code import NamedArrays, TorchCode, source_of
from dnntrain.techniques.activations.base import Activation
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class ReLU(Activation):
    """max(0, z)."""

    name = "relu"
    summary = "Rectified linear unit: passes what is positive, so its gradient does not shrink with depth."
    paper = "Nair & Hinton 2010, Rectified Linear Units Improve Restricted Boltzmann Machines"
    formula = "max(0, z)"
    advice = (
        "The default, and among the fastest, by little: on a CPU, elu and selu take some 5 % more time for a training "
        "step of 5x100 units, and 25 % more for a prediction. Units can die (always 0): watch the dead share."
    )
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.relu(z)

    def in_place(self, z: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:
        return torch.relu_(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self.in_place(z)
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

    def in_place(self, z: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.leaky_relu_(z, self.alpha)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self.in_place(z)
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

    def to_torch(self, shape: Shape, trained: NamedArrays) -> TorchCode:
        return TorchCode(f"nn.PReLU({shape[0]})", {"weight": trained["alpha"].ravel()})


class ReLU6(Activation):
    """min(max(0, z), 6)."""

    name = "relu6"
    summary = "ReLU that ends at 6, so that activations fit into few bits."
    paper = "Howard et al. 2017, MobileNets, arXiv:1704.04861; Krizhevsky 2010, Convolutional Deep Belief Networks"
    formula = "min(max(0, z), 6)"
    advice = "For networks that will run in low precision on a phone; elsewhere like relu."
    init = "he"
    asymptotes = (6.0,)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.relu6(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = z.clamp_(0, 6)
        return h, lambda g: (torch.ops.aten.hardtanh_backward.default(g, h, 0, 6),)


class SquaredReLU(Activation):
    """max(0, z)²."""

    name = "relu2"
    summary = "Squared ReLU: smooth at zero, and steeper the more active a unit is."
    paper = "So et al. 2021, Primer: Searching for Efficient Transformers for Language Modeling, arXiv:2109.08668"
    formula = "max(0, z)²"
    advice = "In transformers instead of GELU. It grows fast: deep networks need a norm or a small rate."
    init = "lecun"  # the variance that keeps the mean square is 0.8 / fan_in

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.relu(z).square()

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        positive = torch.relu_(z)
        return positive.square(), lambda g: (g.mul_(positive).mul_(2),)

    def module(self) -> torch.nn.Module:
        from dnntrain.nn.modules.stand_ins import ReLUSquared

        return ReLUSquared()

    def to_torch(self, shape: Shape, trained: NamedArrays) -> TorchCode:
        from dnntrain.nn.modules.stand_ins import ReLUSquared

        return TorchCode("ReLUSquared()", helpers=(source_of(ReLUSquared),))
