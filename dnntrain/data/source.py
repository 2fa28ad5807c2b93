"""What a data set is, and what every source of one can do."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.idx import GZIP_MAGIC
from dnntrain.errors import InputError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels in memory; every value is as in the files (0 to 255), scaling is the engine's.

    Raises InputError where shapes, types, counts or labels do not fit each other.
    """

    name: str
    train_images: NDArray[np.uint8]
    """(N, *shape), grey or colour levels from 0 to 255, in the files' order."""
    train_labels: NDArray[np.int64]
    """(N,), class numbers from 0 to n_classes - 1."""
    test_images: NDArray[np.uint8]
    """(M, *shape), as train_images."""
    test_labels: NDArray[np.int64]
    """(M,), as train_labels."""
    classes: tuple[str, ...]
    """The classes' names, by class number."""
    fingerprint: str
    """16 hexadecimal digits that name the bytes of the files (DataSource.fingerprint)."""
    licence: str

    def __post_init__(self) -> None:
        """Check that the four arrays fit each other."""
        self._check("training", self.train_images, self.train_labels)
        self._check("test", self.test_images, self.test_labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image, without the leading count: (28, 28) for Fashion-MNIST."""
        return tuple(self.train_images.shape[1:])

    @property
    def n_features(self) -> int:
        """Values in one image: 784 for Fashion-MNIST."""
        return math.prod(self.shape)

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def description(self) -> dict[str, Any]:
        """What a record says of the data: name, fingerprint, counts, image shape, classes, licence."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "train_images": len(self.train_labels),
            "test_images": len(self.test_labels),
            "shape": list(self.shape),
            "classes": list(self.classes),
            "licence": self.licence,
        }

    def _check(self, part: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        where = f"data set {self.name}, {part} part"
        if images.dtype != np.uint8 or labels.dtype != np.int64:
            raise InputError(f"{where}: {images.dtype} images, {labels.dtype} labels; must be uint8 and int64")
        if images.shape[1:] != self.shape or labels.ndim != 1:
            raise InputError(f"{where}: images {images.shape}, labels {labels.shape}; one image is {self.shape}")
        if not len(images) or len(images) != len(labels):
            raise InputError(f"{where}: {len(images)} images and {len(labels)} labels; must be as many, at least one")
        if labels.min() < 0 or labels.max() >= self.n_classes:
            wrong = next(int(label) for label in labels if not 0 <= label < self.n_classes)
            raise InputError(f"{where}: a label is {wrong}; must be from 0 to {self.n_classes - 1}")


class DataSource(ABC):
    """Where a data set comes from: declared once, as a subclass with these attributes filled in."""

    name: str
    """What `--data` takes."""
    summary: str
    """One line for lists and help."""
    licence: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """The shape of one image."""

    @abstractmethod
    def files(self, data_dir: Path) -> list[Path]:
        """The data's files, found or fetched; InputError with the ways to get them where neither works."""

    @abstractmethod
    def load(self, data_dir: Path) -> Dataset:
        """The data in memory; InputError that names the file where one is damaged or foreign."""

    def fingerprint(self, data_dir: Path) -> str:
        """16 hexadecimal digits of the SHA-256 over the files' bytes, not decoded; InputError if one is unreadable."""
        digest = hashlib.sha256()
        for path in self.files(data_dir):
            try:
                digest.update(_without_gzip_header(path.read_bytes()))
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        return digest.hexdigest()[:16]


def _without_gzip_header(data: bytes) -> memoryview:
    """`data` after its gzip header, if it has one.

    The header holds the file's old name and time. Debian strips them, so that its copies of the very same
    compressed data would otherwise give runs another identity than downloaded ones.
    """
    view = memoryview(data)
    if not data.startswith(GZIP_MAGIC) or len(data) < 10:
        return view
    no_flags, name_only = 0, 8
    if data[3] == no_flags:
        return view[10:]
    return view[data.find(b"\0", 10) + 1 :] if data[3] == name_only else view
