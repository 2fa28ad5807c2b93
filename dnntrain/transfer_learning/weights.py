"""Weights of image models: found or downloaded, checked, and kept as pretrained/NAME-DIGEST.safetensors."""

from __future__ import annotations

import sys
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from dnntrain.data.download import address
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.data.source import DataLocation
from dnntrain.errors import InputError
from dnntrain.transfer_learning.image_models import Architecture, ImageModel, extra_missing, find_architecture
from dnntrain.transfer_learning.state_dicts import digest_of, load_fitting
from dnntrain.utils.files import atomic_file
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_dirs import expanded

TORCHVISION_WEIGHTS = "https://download.pytorch.org/models"


def fetch(name: str, home: DataLocation, weights: Path | None = None, seed: int | None = None) -> str:
    """Put a model's weights where `load_model` finds them.

    Args:
        name: An architecture.
        home: The data folder, and the mirror to download from.
        weights: A file with the weights (safetensors, or a PyTorch state dict). By default they are those for
            ImageNet, which are downloaded once.
        seed: Use random weights by this seed instead, for comparison.

    Returns:
        The model's identity: `resnet18@0123456789ab`, where the digits are of the SHA-256 over the layers' tensors; or
        `resnet18@seed7`.

    Raises:
        InputError: If the weights cannot be had or do not fit.
        DnntrainError: If they cannot be written.
    """
    architecture = find_architecture(name)
    if seed is not None:
        return f"{name}@seed{seed}"
    if weights is not None:
        return _keep(architecture, weights, home)
    if kept := _kept(architecture, home):
        return kept
    if architecture.package:
        return _keep(architecture, packaged_weights(architecture), home, architecture.weights)
    return _downloaded(architecture, home)


def load_model(identity: str, home: DataLocation) -> ImageModel:
    """The model that `fetch` named; InputError if its weights are gone or were changed."""
    name, _, digest = identity.partition("@")
    architecture = find_architecture(name)
    seed = digest.removeprefix("seed")
    is_random = seed != digest and seed.isdecimal()
    module = architecture.new_module(int(seed) if is_random else 0)
    if not is_random:
        path = _path(architecture, digest, home)
        tensors = load_fitting(path, architecture.expected_state(module), say=False)
        if digest_of(tensors) != digest:
            raise InputError(f"{path}: damaged or changed; remove it, so that it is fetched again")
        module.load_state_dict(tensors, strict=False)
    module.eval().requires_grad_(False)
    layers = architecture.layers(module)
    return ImageModel(name, identity, layers, *architecture.scaling, architecture.interpolation)


def packaged_weights(architecture: Architecture) -> Path:
    """The weights file in an installed package; InputError if the package is missing."""
    assert architecture.package is not None
    try:
        return Path(str(resources.files(architecture.package).joinpath("models", architecture.weights)))
    except ImportError:
        raise extra_missing(architecture.package.replace("_", "-")) from None


def _path(architecture: Architecture, digest: str, home: DataLocation) -> Path:
    return home.folder / "pretrained" / f"{architecture.name}-{digest}.safetensors"


def _kept(architecture: Architecture, home: DataLocation) -> str | None:
    """The identity of the ImageNet weights, if some file says that it was made from theirs."""
    from safetensors import SafetensorError, safe_open

    pattern = _path(architecture, "*", home)
    for path in pattern.parent.glob(pattern.name):
        try:
            with safe_open(path, "pt") as file:
                source = (file.metadata() or {}).get("source")
        except (OSError, SafetensorError):
            continue
        if source == architecture.weights:
            return f"{architecture.name}@{path.stem.removeprefix(f'{architecture.name}-')}"
    return None


def _downloaded(architecture: Architecture, home: DataLocation) -> str:
    """Download the ImageNet weights and keep them, in one process at a time. Returns the identity."""
    file = home.folder / "pretrained" / architecture.weights
    with exclusive_write(file):
        if kept := _kept(architecture, home):  # another process downloaded them in the meantime
            return kept
        _download(architecture, file, home.mirror or TORCHVISION_WEIGHTS)
        identity = _keep(architecture, file, home, architecture.weights)
        file.unlink()
    return identity


def _download(architecture: Architecture, file: Path, mirror: str) -> None:
    url = address(mirror, architecture.weights)
    if urlsplit(url).scheme not in ("http", "https", "file"):
        url = expanded(url).resolve().as_uri()
    print(f"downloading {url}", file=sys.stderr)
    try:
        torch.hub.download_url_to_file(url, str(file), architecture.sha256_prefix, progress=sys.stderr.isatty())
    except (OSError, HTTPException, RuntimeError, ValueError) as error:  # RuntimeError: another checksum
        raise InputError(
            f"{url}: {getattr(error, 'reason', error)}; --mirror names a folder or a server that has "
            f"{architecture.weights}, --weights a file with weights of {architecture.name} (.safetensors, or a state "
            f"dict)"
        ) from None


def _keep(architecture: Architecture, file: Path, home: DataLocation, source: str = "") -> str:
    """Check the weights in a file and keep a copy for `load_model`, marked as made from `source`; the identity."""
    from safetensors.torch import save

    tensors = load_fitting(file, architecture.expected_state(architecture.new_module(0)))
    digest = digest_of(tensors)
    path = _path(architecture, digest, home)
    if source or not path.exists():
        with exclusive_write(path), atomic_file(path) as scratch:
            scratch.write_bytes(save(tensors, {"source": source}))
    return f"{architecture.name}@{digest}"
