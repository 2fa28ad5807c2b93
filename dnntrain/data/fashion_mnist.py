"""Fashion-MNIST (Xiao, Rasul, and Vollgraf 2017, arXiv:1708.07747): the full data and the part shipped here."""

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
from dnntrain.data.image_preprocessing import ImagePreprocessing
from dnntrain.data.source import DataLocation, DataSource
from dnntrain.errors import InputError
from dnntrain.utils.torchvision_compat import import_torchvision

FILE_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class _Fashion(DataSource):
    """Four IDX files, in the order of FILE_NAMES, gzipped or plain."""

    license: ClassVar[str] = "MIT, Copyright (c) 2017 Zalando SE"
    class_names: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
    )  # fmt: skip
    shape: ClassVar[tuple[int, int]] = (28, 28)
    counts: ClassVar[tuple[int, int]]
    """Training and test examples."""
    checksums: ClassVar[tuple[int, int, int, int]]
    """CRC-32 of each file's values, since MNIST and its relatives use the same file names, sizes, and labels."""
    remedy: ClassVar[str]
    """What to do about a damaged or wrong file, for error messages."""

    def static_info(self) -> DatasetInfo:
        return DatasetInfo(self.shape, self.class_names, self.counts[0], n_test=self.counts[1], kind="images")

    def read(self, location: DataLocation) -> Dataset:
        """Read all the data; InputError names a file that is damaged, truncated, or of another data set."""
        train, test = self.counts
        shapes = ((train, *self.shape), (train,), (test, *self.shape), (test,))
        parts = zip(self.files(location), shapes, self.checksums, strict=True)
        train_inputs, train_targets, test_inputs, test_targets = (self._read(*part) for part in parts)
        return Dataset(
            name=self.name,
            train_inputs=train_inputs,
            train_targets=train_targets.astype(np.int64),
            test_inputs=test_inputs,
            test_targets=test_targets.astype(np.int64),
            classes=self.class_names,
            fingerprint=self.fingerprint(location),
            license=self.license,
            preprocessing=ImagePreprocessing(shape=self.shape),
        )

    def _read(self, path: Path, shape: tuple[int, ...], checksum: int) -> NDArray[np.uint8]:
        try:
            values = read_idx(path)
            if values.shape != shape:
                raise ValueError(f"values of shape {values.shape}; {self.name} has {shape}")
            if zlib.crc32(values.data) != checksum:
                raise ValueError(f"its values are not those of {self.name}; is it from another data set?")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); {self.remedy}") from None
        except ValueError as error:
            raise InputError(f"{path}: {error}; {self.remedy}") from None
        return values


class FashionMini(_Fashion):
    """The first 10,000 training and 2,000 test images, shipped with the package."""

    name: ClassVar[str] = "fashion-mini"
    summary: ClassVar[str] = "the first 10,000 + 2,000 images of Fashion-MNIST; shipped with dnntrain, works offline"
    counts: ClassVar[tuple[int, int]] = (10_000, 2_000)
    class_counts: ClassVar[tuple[int, ...]] = (942, 1_027, 1_016, 1_019, 974, 989, 1_021, 1_022, 990, 1_000)
    test_class_counts: ClassVar[tuple[int, ...]] = (200, 203, 214, 190, 219, 195, 197, 200, 194, 188)
    checksums: ClassVar[tuple[int, int, int, int]] = (0xBB35A23E, 0x448B6753, 0x49333794, 0x15CE07FE)
    remedy: ClassVar[str] = "install dnntrain again"

    def files(self, location: DataLocation) -> list[Path]:
        """The shipped files; `location` does not matter."""
        folder = Path(str(importlib.resources.files("dnntrain.data"))) / "files" / self.name
        return [folder / f"{name}.gz" for name in FILE_NAMES]

    def find(self, location: DataLocation) -> list[Path]:
        return self.files(location)


class FashionMnist(_Fashion):
    """All 60,000 + 10,000 images, found on this machine or downloaded."""

    name: ClassVar[str] = "fashion-mnist"
    summary: ClassVar[str] = (
        "Fashion-MNIST in full, 60,000 + 10,000 images; found on this machine or downloaded (31 MB)"
    )
    size: ClassVar[str] = "31 MB"
    counts: ClassVar[tuple[int, int]] = (60_000, 10_000)
    class_counts: ClassVar[tuple[int, ...]] = (6_000,) * 10
    test_class_counts: ClassVar[tuple[int, ...]] = (1_000,) * 10
    checksums: ClassVar[tuple[int, int, int, int]] = (0xAE65DCCD, 0x2ED6E46A, 0x12728439, 0x242BC73F)
    remedy: ClassVar[str] = "remove it, so that an intact copy is found or downloaded"

    system_folder: ClassVar[Path] = Path("/usr/share/datasets/fashion-mnist")
    """Where Debian's package dataset-fashion-mnist puts the files."""
    mirrors: ClassVar[Sequence[str]] = ()
    """Mirrors to use if the location has none; torchvision's if empty."""
    resources: ClassVar[Sequence[tuple[str, str]]] = ()
    """Name and MD5 of each file on the mirrors; torchvision's if empty."""

    def files(self, location: DataLocation) -> list[Path]:
        """Find the four files, or download them into the folder fashion-mnist of the location."""
        return self.find(location) or self._download(location)

    def find(self, location: DataLocation) -> list[Path]:
        """The four files in the first folder that has them all, else []; downloads nothing."""
        places = (location.folder / self.name, location.folder / "FashionMNIST" / "raw", self.system_folder)
        return next((found for place in places if len(found := _present(place)) == len(FILE_NAMES)), [])

    def _download(self, location: DataLocation) -> list[Path]:
        from dnntrain.data.download import DownloadError, address, download  # imports HTTP, rarely needed

        folder = location.folder / self.name
        try:
            mirrors, resources = self._addresses(location.mirror)
            here = {path.name.removesuffix(".gz") for path in _present(folder)}
            for name, md5 in resources:
                if name.removesuffix(".gz") not in here:
                    download([address(mirror, name) for mirror in mirrors], folder / name, md5)
        except (DownloadError, ImportError, RuntimeError) as error:  # RuntimeError: torchvision does not fit torch
            raise InputError(self._instructions(folder, error)) from None
        return _present(folder)

    def _addresses(self, mirror: str | None) -> tuple[Sequence[str], Sequence[tuple[str, str]]]:
        mirrors = [mirror] if mirror else self.mirrors
        if mirrors and self.resources:
            return mirrors, self.resources
        torchvision = import_torchvision().datasets.FashionMNIST
        return mirrors or torchvision.mirrors, self.resources or torchvision.resources

    def _instructions(self, folder: Path, error: Exception) -> str:
        return (
            f"{self.name} is not on this machine and could not be downloaded: {error}\n"
            f"To get it, do one of these:\n"
            f"  - Debian, Ubuntu: apt-get install dataset-fashion-mnist\n"
            f"  - put its four files (train-images-idx3-ubyte.gz ...) into {folder} (--data-dir changes that)\n"
            f"  - with internet access: dnntrain data fetch {self.name} (--mirror: another URL or a folder)\n"
            f"Or use the part that is shipped with dnntrain: --data fashion-mini"
        )


def _present(folder: Path) -> list[Path]:
    """The files that are in `folder`; gzipped ones first, since they have a checksum."""
    pairs = ((folder / f"{name}.gz", folder / name) for name in FILE_NAMES)
    found = (next((path for path in pair if path.is_file()), None) for pair in pairs)
    return [path for path in found if path]
