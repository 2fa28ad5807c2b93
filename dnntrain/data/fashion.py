"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747): in full, and the part that is shipped here."""

from __future__ import annotations

import importlib.resources
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.idx import read_idx
from dnntrain.data.source import Dataset, DataSource
from dnntrain.data.torchvision_compat import import_torchvision
from dnntrain.errors import InputError

FILE_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class _Fashion(DataSource):
    """Four IDX files, in the order of FILE_NAMES, gzipped or plain."""

    licence = "MIT, Copyright (c) 2017 Zalando SE"
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
    )  # fmt: skip
    shape = (28, 28)
    counts: tuple[int, int]
    """Training and test examples."""
    checksums: tuple[int, int, int, int]
    """CRC-32 of each file's values. MNIST and its relatives use the same names, sizes and labels: only this tells."""
    remedy: str
    """What to do about a damaged or foreign file."""

    def load(self, data_dir: Path) -> Dataset:
        """The data in memory; InputError that names the file where one is damaged, cut off or another data set's."""
        train, test = self.counts
        shapes = ((train, *self.shape), (train,), (test, *self.shape), (test,))
        parts = zip(self.files(data_dir), shapes, self.checksums, strict=True)
        train_images, train_labels, test_images, test_labels = (self._read(*part) for part in parts)
        return Dataset(
            name=self.name,
            train_images=train_images,
            train_labels=train_labels.astype(np.int64),
            test_images=test_images,
            test_labels=test_labels.astype(np.int64),
            classes=self.classes,
            fingerprint=self.fingerprint(data_dir),
            licence=self.licence,
        )

    def _read(self, path: Path, shape: tuple[int, ...], checksum: int) -> NDArray[np.uint8]:
        try:
            values = read_idx(path)
            if values.shape != shape:
                raise ValueError(f"values of shape {values.shape}, where {self.name} has {shape}")
            if zlib.crc32(values.data) != checksum:
                raise ValueError(f"its values are not those of {self.name}; another data set's file?")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); {self.remedy}") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}; {self.remedy}") from None
        return values


class FashionMini(_Fashion):
    """The first 10,000 training and 2,000 test images, shipped in the package."""

    name = "fashion-mini"
    summary = "the first 10,000 + 2,000 images of Fashion-MNIST; part of dnntrain, works offline"
    counts = (10_000, 2_000)
    checksums = (0xBB35A23E, 0x448B6753, 0x49333794, 0x15CE07FE)
    remedy = "install dnntrain again"

    def files(self, data_dir: Path) -> list[Path]:
        """The shipped files, wherever the package is installed; `data_dir` does not matter."""
        folder = Path(str(importlib.resources.files("dnntrain.data"))) / "files" / self.name
        return [folder / f"{name}.gz" for name in FILE_NAMES]


@dataclass(frozen=True)
class FashionMnist(_Fashion):
    """All 60,000 + 10,000 images: found on this machine, else downloaded."""

    name = "fashion-mnist"
    summary = "Fashion-MNIST in full, 60,000 + 10,000 images; found on this machine, else downloaded (31 MB)"
    counts = (60_000, 10_000)
    checksums = (0xAE65DCCD, 0x2ED6E46A, 0x12728439, 0x242BC73F)
    remedy = "remove it, so that an intact copy is looked for or downloaded"

    system_folder: Path = Path("/usr/share/datasets/fashion-mnist")
    """Where Debian's package dataset-fashion-mnist puts the files."""
    mirrors: Sequence[str] = ()
    """Addresses, each ending in a slash, to download from; torchvision's where none is given."""
    resources: Sequence[tuple[str, str]] = ()
    """Name and MD5 of each file on the mirrors; torchvision's where none is given."""

    def files(self, data_dir: Path) -> list[Path]:
        """The four files, downloaded into `data_dir`/fashion-mnist where no place has them all."""
        return self.find(data_dir) or self._download(data_dir / self.name)

    def find(self, data_dir: Path) -> list[Path]:
        """The four files in the first place that has them all, or [] where none has; downloads nothing."""
        places = (data_dir / self.name, data_dir / "FashionMNIST" / "raw", self.system_folder)
        return next((found for place in places if len(found := _present(place)) == len(FILE_NAMES)), [])

    def _download(self, folder: Path) -> list[Path]:
        from dnntrain.data.download import DownloadError, download  # loads the machinery of HTTP, seldom needed

        try:
            mirrors, resources = self._addresses()
            here = {path.name.removesuffix(".gz") for path in _present(folder)}
            for name, md5 in resources:
                if name.removesuffix(".gz") not in here:
                    download([mirror + name for mirror in mirrors], folder / name, md5)
        except (DownloadError, ImportError, RuntimeError) as error:  # RuntimeError: torchvision does not fit torch
            raise InputError(self._ways(folder, error)) from None
        return _present(folder)

    def _addresses(self) -> tuple[Sequence[str], Sequence[tuple[str, str]]]:
        if self.mirrors and self.resources:
            return self.mirrors, self.resources
        known = import_torchvision().datasets.FashionMNIST
        return self.mirrors or known.mirrors, self.resources or known.resources

    def _ways(self, folder: Path, error: Exception) -> str:
        return (
            f"{self.name} is not on this machine and could not be downloaded: {error}\n"
            f"Any of these gives it:\n"
            f"  - Debian, Ubuntu: apt-get install dataset-fashion-mnist\n"
            f"  - put its four files (train-images-idx3-ubyte.gz ...) into {folder} (--data-dir changes that)\n"
            f"  - run this again where there is internet: it downloads them into that folder\n"
            f"Or use the part of it that is shipped with dnntrain: --data fashion-mini"
        )


def _present(folder: Path) -> list[Path]:
    """Those of the four files that are in `folder`; of a gzipped and a plain one, the gzipped: it has a checksum."""
    pairs = ((folder / f"{name}.gz", folder / name) for name in FILE_NAMES)
    found = (next((path for path in pair if path.is_file()), None) for pair in pairs)
    return [path for path in found if path]
