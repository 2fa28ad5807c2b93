"""CIFAR-10 (Krizhevsky 2009), from either of its published formats: binary files or Python pickles."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.dataset import Dataset, DatasetInfo
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.data.image_preprocessing import ImagePreprocessing
from dnntrain.data.source import DataLocation, DataSource
from dnntrain.errors import InputError

SHAPE = (3, 32, 32)
"""3,072 inputs: 1,024 levels of each of red, green, and blue."""
RECORD_BYTES = 1 + 3 * 32 * 32
"""Bytes per example in a binary file: the label, then all red, all green, and all blue levels, row by row."""

LabeledImages = tuple[NDArray[Any], NDArray[np.uint8]]
"""Labels, (n,), and levels from 0 to 255, n · 3,072 values in the order of SHAPE."""


def from_binary(content: bytes) -> LabeledImages:
    """Decode a binary file; ValueError if it ends within a record."""
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    return records[:, 0], records[:, 1:]


def from_pickle(content: bytes) -> LabeledImages:
    """Decode a pickle written by Python 2; ValueError if it contains anything but numbers and arrays."""
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        return np.array(batch[b"labels"]), np.asarray(batch[b"data"], np.uint8)
    except (pickle.UnpicklingError, LookupError, TypeError, EOFError) as error:
        raise ValueError(f"not a batch of images ({error})") from None


class _ArraysOnly(pickle.Unpickler):
    """Unpickles only numbers, strings, lists, dicts, and NumPy arrays; a pickle could otherwise call any function."""

    _reconstruct = np.empty(0).__reduce__()[0]  # NumPy moved it, so the files use an old name
    _allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return self._allowed[module, name]


class ArchiveFormat(NamedTuple):
    """One of the published formats."""

    folder: str
    """The folder in its archive."""
    md5s: Mapping[str, str]
    """Maps file names to MD5s: the training files in order, then the test file."""
    decode: Callable[[bytes], LabeledImages]


class Cifar10(DataSource):
    """All 50,000 + 10,000 images, found on this machine or downloaded."""

    name: ClassVar[str] = "cifar10"
    summary: ClassVar[str] = (
        "CIFAR-10, 50,000 + 10,000 color images of 32 × 32; found on this machine or downloaded (170 MB)"
    )
    license: ClassVar[str] = (
        "no license to redistribute is stated; "
        "cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
    )
    size: ClassVar[str] = "170 MB"
    decodes: ClassVar[bool] = True

    class_names: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
    )  # fmt: skip
    class_counts: ClassVar[tuple[int, ...]] = (5_000,) * 10
    test_class_counts: ClassVar[tuple[int, ...]] = (1_000,) * 10
    per_file: ClassVar[int] = 10_000
    """Examples in each file."""
    binary: ClassVar[ArchiveFormat] = ArchiveFormat(
        "cifar-10-batches-bin",
        {
            "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
            "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
            "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
            "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
            "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
            "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
        },
        from_binary,
    )
    pickled: ClassVar[ArchiveFormat] = ArchiveFormat(
        "cifar-10-batches-py",
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        from_pickle,
    )
    mirrors: ClassVar[Sequence[str]] = ("https://www.cs.toronto.edu/~kriz/",)
    """Mirrors of the binary format, if the location has none."""
    archive: ClassVar[str] = "cifar-10-binary.tar.gz"
    archive_md5: ClassVar[str] = "c32a1d4ab5d03f1284b67883e8d87530"

    def static_info(self) -> DatasetInfo:
        n_train = self.per_file * (len(self.binary.md5s) - 1)
        return DatasetInfo(SHAPE, self.class_names, n_train, n_test=self.per_file, kind="images")

    def files(self, location: DataLocation) -> list[Path]:
        """Find the six files, or download them into the folder cifar10 of the location."""
        return self.find(location) or self._download(location)

    def find(self, location: DataLocation) -> list[Path]:
        """The six files in the first folder that has them all, else []; downloads nothing."""
        for form in (self.binary, self.pickled):
            for place in (location.folder, location.folder / self.name):
                files = [place / form.folder / name for name in form.md5s]
                if all(path.is_file() for path in files):
                    return files
        return []

    def read(self, location: DataLocation) -> Dataset:
        """Read all the data, one file at a time; InputError names a file that is not the original."""
        files, n = self.files(location), self.per_file
        images = np.empty((len(files) * n, *SHAPE), np.uint8)
        labels = np.empty(len(files) * n, np.int64)
        for number, path in enumerate(files):
            part = slice(number * n, (number + 1) * n)
            labels[part], images[part] = self._batch(path)
        return Dataset(
            name=self.name,
            train_inputs=images[:-n],
            train_targets=labels[:-n],
            test_inputs=images[-n:],
            test_targets=labels[-n:],
            classes=self.class_names,
            fingerprint=self._identity(),
            license=self.license,
            preprocessing=ImagePreprocessing(shape=SHAPE),
        )

    def fingerprint(self, location: DataLocation) -> str:
        """16 hexadecimal digits, the same for both formats; InputError if a file is not the original."""
        for path in self.files(location):
            self._content(path)
        return self._identity()

    def _identity(self) -> str:
        return hashlib.sha256("\n".join((self.name, *self.binary.md5s.values())).encode()).hexdigest()[:16]

    def _form(self, path: Path) -> ArchiveFormat:
        return self.binary if path.parent.name == self.binary.folder else self.pickled

    def _content(self, path: Path) -> bytes:
        """The file's bytes, verified by MD5."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != self._form(path).md5s[path.name]:
            raise InputError(
                f"{path}: its {len(content):,} bytes are not those of {self.name}; truncated or wrong file? "
                "Remove it, so that an intact copy is found or downloaded"
            )
        return content

    def _batch(self, path: Path) -> LabeledImages:
        """Labels, (per_file,), and images, (per_file, *SHAPE), of one file."""
        try:
            labels, images = self._form(path).decode(self._content(path))
            return labels.reshape(self.per_file), images.reshape(self.per_file, *SHAPE)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None

    def _download(self, location: DataLocation) -> list[Path]:
        from dnntrain.data.archive import unpack
        from dnntrain.data.download import DownloadError, address, download

        folder = location.folder / self.name / self.binary.folder
        archive = folder.with_name(self.archive)
        mirrors = [location.mirror] if location.mirror else self.mirrors
        sizes = {f"{self.binary.folder}/{name}": self.per_file * RECORD_BYTES for name in self.binary.md5s}
        try:
            with exclusive_write(folder):
                if not self.find(location):  # another process may have unpacked it meanwhile
                    download([address(mirror, self.archive) for mirror in mirrors], archive, self.archive_md5)
                    unpack(archive, folder, sizes)
                    archive.unlink()
        except DownloadError as error:
            raise InputError(self._instructions(location, error)) from None
        except ValueError as error:
            raise InputError(f"{archive}: {error}; remove it") from None
        return self.find(location)

    def _instructions(self, location: DataLocation, error: Exception) -> str:
        return (
            f"{self.name} is not on this machine and could not be downloaded: {error}\n"
            f"To get it, do one of these:\n"
            f"  - with internet access: dnntrain data fetch {self.name} (--mirror: another URL or a folder)\n"
            f"  - put {self.binary.folder} or {self.pickled.folder}, unpacked from an archive of\n"
            f"    https://www.cs.toronto.edu/~kriz/cifar.html, into {location.folder} (--data-dir changes that)\n"
            f"Or use the data shipped with dnntrain: --data fashion-mini"
        )
