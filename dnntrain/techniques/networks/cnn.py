"""Plain convolutional networks."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, model_validator

from dnntrain.nn.convolution import ConvolutionSpec
from dnntrain.nn.pooling import PoolSpec
from dnntrain.nn.reshape import ReshapeSpec
from dnntrain.techniques.networks.base import Counts, Net, NetworkSettings, Unit, counts, map_shape
from dnntrain.utils.fields import hyperparameter


def read_padding(text: object) -> str:
    """`same`, `valid`, or a number of pixels."""
    if text not in ("same", "valid") and not (str(text).isdecimal() and int(str(text)) <= 32):
        raise ValueError("must be same, valid, or a number of pixels up to 32")
    return str(text)


class CNN(Net):
    """Convolutions and pools, then dense layers."""

    name = "cnn"
    summary = "Stages of convolutions that each end with a pool, then the dense layers of --hidden."
    paper = "LeCun et al. 1998, Gradient-based learning applied to document recognition"
    formula = "each block: convolution, batch norm, activation; after a stage's last one the pool; then dropout"
    advice = "For images. Write channels with slashes: cnn:channels=32/64/128. On CIFAR-10 add --bn and dropout."
    auto: ClassVar = {"hidden": "128", "act": "relu"}
    channels: Counts = hyperparameter("32/64", "channels of each stage")
    blocks: int = hyperparameter(1, "convolutions per stage", ge=1, le=100)
    kernel: int = hyperparameter(3, "height and width of each kernel", ge=1, le=31, unit="pixels")
    stride: int = hyperparameter(1, "step of each stage's first convolution", ge=1, le=16, unit="pixels")
    padding: Annotated[str, AfterValidator(read_padding)] = hyperparameter(
        "same", "zeros around each map: same (as many as keep its size), valid (none), or a number"
    )
    pool: Literal["max", "avg", "none"] = hyperparameter("max", "2 × 2 pool after each stage: max, avg or none")

    @model_validator(mode="after")
    def _check_kernel(self) -> CNN:
        if self.padding == "same" and self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel}: padding same needs an odd kernel")
        return self

    @property
    def conv_units(self) -> int:
        return self.blocks * len(counts(self.channels))

    @property
    def pixels(self) -> int:
        """Zeros on each side of a map."""
        if self.padding == "same":
            return self.kernel // 2
        return 0 if self.padding == "valid" else int(self.padding)

    def units(self, settings: NetworkSettings) -> list[Unit]:
        shape = map_shape(self.name, settings.data)
        units: list[Unit] = [[ReshapeSpec("input", shape), *settings.inputs(shape)]]
        for channels in counts(self.channels):
            for block in range(self.blocks):
                number = len(units)
                name, stride = f"conv{number}", self.stride if block == 0 else 1
                init, outputs = settings.initializer(number), channels * settings.activation(number).inputs_per_unit
                convolution = ConvolutionSpec(
                    name, shape, outputs, init, self.kernel, stride, self.pixels, settings.biases
                )
                shape = convolution.shape_out
                unit = [convolution, *settings.activated(name, shape, number)]
                shape = (channels, *shape[1:])
                if self.pool != "none" and block == self.blocks - 1:
                    pool = PoolSpec(name, shape, self.pool)
                    shape = pool.shape_out
                    unit.append(pool)
                units.append([*unit, *settings.dropped(name, shape, number)])
        width = prod(shape)
        dense, *rest = [*settings.hidden_units(width), settings.output((width, *settings.hidden)[-1])]
        return [*units, [ReshapeSpec("flat", (width,)), *dense], *rest]
