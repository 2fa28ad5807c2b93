"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747): in full, and the part that is shipped here."""

from __future__ import annotations

import importlib.resources
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.dataset import Dataset, DatasetInfo
from dnntrain.data.idx import read_idx
from dnntrain.data.source import DataLocation, DataSource
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

    licence: ClassVar[str] = "MIT, Copyright (c) 2017 Zalando SE"
    class_names: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
    )  # fmt: skip
    shape: ClassVar[tuple[int, int]] = (28, 28)
    counts: ClassVar[tuple[int, int]]
    """Training and test examples."""
    checksums: ClassVar[tuple[int, int, int, int]]
    """CRC-32 of each file's values. MNIST and its relatives use the same names, sizes and labels: only this tells."""
    remedy: ClassVar[str]
    """What to do about a damaged or foreign file."""

    def static_info(self) -> DatasetInfo:
        return DatasetInfo(self.shape, self.class_names, self.counts[0])

    def read(self, home: DataLocation) -> Dataset:
        """All the data in memory; InputError that names the file where one is damaged, cut off or of other data."""
        train, test = self.counts
        shapes = ((train, *self.shape), (train,), (test, *self.shape), (test,))
        parts = zip(self.files(home), shapes, self.checksums, strict=True)
        train_inputs, train_targets, test_inputs, test_targets = (self._read(*part) for part in parts)
        return Dataset(
            name=self.name,
            train_inputs=train_inputs,
            train_targets=train_targets.astype(np.int64),
            test_inputs=test_inputs,
            test_targets=test_targets.astype(np.int64),
            classes=self.class_names,
            fingerprint=self.fingerprint(home),
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

    name: ClassVar[str] = "fashion-mini"
    summary: ClassVar[str] = "the first 10,000 + 2,000 images of Fashion-MNIST; part of dnntrain, works offline"
    counts: ClassVar[tuple[int, int]] = (10_000, 2_000)
    class_counts: ClassVar[tuple[int, ...]] = (942, 1_027, 1_016, 1_019, 974, 989, 1_021, 1_022, 990, 1_000)
    checksums: ClassVar[tuple[int, int, int, int]] = (0xBB35A23E, 0x448B6753, 0x49333794, 0x15CE07FE)
    remedy: ClassVar[str] = "install dnntrain again"

    def files(self, home: DataLocation) -> list[Path]:
        """The shipped files, wherever the package is installed; `home` does not matter."""
        folder = Path(str(importlib.resources.files("dnntrain.data"))) / "files" / self.name
        return [folder / f"{name}.gz" for name in FILE_NAMES]

    def find(self, home: DataLocation) -> list[Path]:
        return self.files(home)


class FashionMnist(_Fashion):
    """All 60,000 + 10,000 images: found on this machine, else downloaded."""

    name: ClassVar[str] = "fashion-mnist"
    summary: ClassVar[str] = (
        "Fashion-MNIST in full, 60,000 + 10,000 images; found on this machine, else downloaded (31 MB)"
    )
    size: ClassVar[str] = "31 MB"
    counts: ClassVar[tuple[int, int]] = (60_000, 10_000)
    class_counts: ClassVar[tuple[int, ...]] = (6_000,) * 10
    checksums: ClassVar[tuple[int, int, int, int]] = (0xAE65DCCD, 0x2ED6E46A, 0x12728439, 0x242BC73F)
    remedy: ClassVar[str] = "remove it, so that an intact copy is looked for or downloaded"

    system_folder: ClassVar[Path] = Path("/usr/share/datasets/fashion-mnist")
    """Where Debian's package dataset-fashion-mnist puts the files."""
    mirrors: ClassVar[Sequence[str]] = ()
    """Addresses to download from where the home names none; torchvision's where none is given here either."""
    resources: ClassVar[Sequence[tuple[str, str]]] = ()
    """Name and MD5 of each file on the mirrors; torchvision's where none is given."""

    def files(self, home: DataLocation) -> list[Path]:
        """The four files, downloaded into the home's folder fashion-mnist where no place has them all."""
        return self.find(home) or self._download(home)

    def find(self, home: DataLocation) -> list[Path]:
        """The four files in the first place that has them all, or [] where none has; downloads nothing."""
        places = (home.folder / self.name, home.folder / "FashionMNIST" / "raw", self.system_folder)
        return next((found for place in places if len(found := _present(place)) == len(FILE_NAMES)), [])

    def _download(self, home: DataLocation) -> list[Path]:
        from dnntrain.data.download import DownloadError, address, download  # the machinery of HTTP, seldom needed

        folder = home.folder / self.name
        try:
            mirrors, resources = self._addresses(home.mirror)
            here = {path.name.removesuffix(".gz") for path in _present(folder)}
            for name, md5 in resources:
                if name.removesuffix(".gz") not in here:
                    download([address(mirror, name) for mirror in mirrors], folder / name, md5)
        except (DownloadError, ImportError, RuntimeError) as error:  # RuntimeError: torchvision does not fit torch
            raise InputError(self._ways(folder, error)) from None
        return _present(folder)

    def _addresses(self, mirror: str | None) -> tuple[Sequence[str], Sequence[tuple[str, str]]]:
        mirrors = [mirror] if mirror else self.mirrors
        if mirrors and self.resources:
            return mirrors, self.resources
        known = import_torchvision().datasets.FashionMNIST
        return mirrors or known.mirrors, self.resources or known.resources

    def _ways(self, folder: Path, error: Exception) -> str:
        return (
            f"{self.name} is not on this machine and could not be downloaded: {error}\n"
            f"Any of these gives it:\n"
            f"  - Debian, Ubuntu: apt-get install dataset-fashion-mnist\n"
            f"  - put its four files (train-images-idx3-ubyte.gz ...) into {folder} (--data-dir changes that)\n"
            f"  - where there is internet: dnntrain data fetch {self.name} (--mirror: another address, or a folder)\n"
            f"Or use the part of it that is shipped with dnntrain: --data fashion-mini"
        )


def _present(folder: Path) -> list[Path]:
    """Those of the four files that are in `folder`; of a gzipped and a plain one, the gzipped: it has a checksum."""
    pairs = ((folder / f"{name}.gz", folder / name) for name in FILE_NAMES)
    found = (next((path for path in pair if path.is_file()), None) for pair in pairs)
    return [path for path in found if path]
