"""The base classes of data sources, and where data sets are kept on this machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dnntrain.data.balance import with_class_notes
from dnntrain.data.cache import cache_key, load_or_decode
from dnntrain.data.dataset import Dataset, DatasetInfo, class_numbers
from dnntrain.data.image_shape import as_shape, scale_images, shape_of
from dnntrain.errors import InputError
from dnntrain.utils.fields import as_names, hyperparameter
from dnntrain.utils.files import GZIP_MAGIC
from dnntrain.utils.user_code.reference import CodeReference
from dnntrain.utils.user_dirs import cache_dir, expanded

DECODED = "decoded"
"""The folder with decoded arrays, in that of a `DataLocation`."""


def default_data_dir() -> Path:
    """$DNNTRAIN_DATA, or else the folder `dnntrain` in the platform's cache folder (`cache_dir`)."""
    if chosen := os.environ.get("DNNTRAIN_DATA"):
        return expanded(chosen)
    return cache_dir() / "dnntrain"


@dataclass(frozen=True)
class DataLocation:
    """Where data sets are kept on this machine, and where they are downloaded from."""

    folder: Path = field(default_factory=default_data_dir)
    """The folder for downloads and decoded arrays."""
    mirror: str | None = None
    """A URL (http, https, or file) or a folder to download from instead of the official servers."""
    called_after: float = 0.0
    """A function of the user's is called again if its data are from before this time, in seconds since 1970."""

    @classmethod
    def at(cls, folder: str | Path | None, mirror: str | None = None) -> DataLocation:
        """Build a location from command-line values; the default folder if none is given."""
        return cls(expanded(str(folder)) if folder else default_data_dir(), mirror)


class DataSource(BaseModel):
    """A source of data. Subclasses declare class attributes; their fields are the options that go with `--data`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: ClassVar[str]
    """The name that `--data` takes, or the kind of file that is read."""
    summary: ClassVar[str]
    """One line for lists and `--help`."""
    license: ClassVar[str]
    """The license of the data, or how to cite them."""
    size: ClassVar[str] = ""
    """The size of the download as text, such as '31 MB'; empty if nothing is downloaded."""
    class_counts: ClassVar[tuple[int, ...]] = ()
    """Training examples per class, if known without reading the data."""
    test_class_counts: ClassVar[tuple[int, ...]] = ()
    """Test examples per class, if known without reading the data."""
    decodes: ClassVar[bool] = False
    """Whether decoding is expensive, so that the arrays are cached on disk and shared by the workers."""
    place: ClassVar[str] = ""
    """The field that holds what `--data` was given, such as a path; empty for a named data set."""
    reads_chosen: ClassVar[bool] = False
    """Whether `read` returns only the chosen classes, so that faults in the others do not matter."""

    classes: Annotated[str | None, BeforeValidator(as_names)] = hyperparameter(
        None, "only these classes: sandal,shirt. Positions work as well, unless the names are numbers: 5,6"
    )
    image_shape: Annotated[str | None, BeforeValidator(as_shape)] = hyperparameter(
        None, "scale images to this height and width, gray (28x28) or in color (3x28x28)"
    )

    def references(self) -> tuple[CodeReference, ...]:
        """The user's own code that makes the data."""
        return ()

    def display_name(self) -> str:
        """The data set's name in records and tables."""
        return self.name

    def files(self, location: DataLocation) -> list[Path]:
        """Find the data's files, or download them.

        Raises:
            InputError: They are not here and cannot be downloaded; says how to get them.
        """
        raise NotImplementedError

    def find(self, location: DataLocation) -> list[Path]:
        """Find the data's files without downloading; [] unless all of them are on this machine."""
        raise NotImplementedError

    def read(self, location: DataLocation) -> Dataset:
        """Read the data into memory: all classes, or only the chosen ones if `reads_chosen`.

        Raises:
            InputError: A file is damaged or belongs to other data; names the file.
        """
        raise NotImplementedError

    def static_info(self) -> DatasetInfo | None:
        """Shape, classes, and counts of the whole data set, if known without reading it."""
        return None

    def outline(self, location: DataLocation | None = None) -> DatasetInfo:
        """Shape, classes, and counts of the chosen classes.

        Raises:
            InputError: A chosen class does not exist, or the data cannot be read.
        """
        info = self.static_info()
        if info is None:
            if self not in _outlines:
                _outlines[self] = self.load(location or DataLocation()).outline
            return _outlines[self]
        if self.image_shape:
            info = info._replace(shape=shape_of(self.image_shape))
        if not self.classes:
            return info
        chosen = class_numbers(self.classes, info.classes)
        n_train = sum(self.class_counts[number] for number in chosen)
        n_test = sum(self.test_class_counts[number] for number in chosen)
        names = tuple(info.classes[number] for number in chosen)
        return info._replace(classes=names, n_train=n_train, n_test=n_test)

    def load(self, location: DataLocation) -> Dataset:
        """Load the chosen classes into memory, from the cache of decoded arrays if there is one.

        Raises:
            InputError: The data cannot be found, downloaded, or read.
        """
        if self.decodes:
            later = {"image_shape", *([] if self.reads_chosen else ["classes"])}
            options = self.model_dump_json(exclude={self.place, *later})
            folder = location.folder / DECODED / cache_key(self.name, self.fingerprint(location), options)
            dataset = load_or_decode(folder, lambda: self.read(location))
            dataset = replace(dataset, name=self.display_name())  # the cache may come from a copy at another path
        else:
            dataset = self.read(location)
        if self.classes and not self.reads_chosen:
            dataset = dataset.only(self.classes)
        return with_class_notes(scale_images(dataset, shape_of(self.image_shape)) if self.image_shape else dataset)

    def fingerprint(self, location: DataLocation) -> str:
        """16 hexadecimal digits of the SHA-256 of the files' bytes (not decoded).

        Raises:
            InputError: A file cannot be read.
        """
        digest = hashlib.sha256()
        for path in self.files(location):
            try:
                digest.update(without_gzip_header(path.read_bytes()))
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        return digest.hexdigest()[:16]


_outlines: dict[DataSource, DatasetInfo] = {}
"""Of data that had to be read: a study asks for it many times."""


def forget_outlines() -> None:
    """Read outlines anew: files and code may change between two studies of one process, such as a notebook."""
    _outlines.clear()


class OwnSource(DataSource):
    """The user's own data. Their contents identify them, not where they are."""

    reads_chosen: ClassVar[bool] = True
    license: ClassVar[str] = "your own data"

    @classmethod
    def reads(cls, given: str) -> bool:
        """Whether this source reads what `--data` was given, such as a path; the path need not exist."""
        raise NotImplementedError


class FileSource(OwnSource):
    """The user's own data, at a path."""

    place: ClassVar[str] = "path"

    path: Path
    test: float = hyperparameter(0.2, "share held out as the test part, where the data have none", gt=0, lt=1)

    def display_name(self) -> str:
        return self.path.resolve().name

    def files(self, location: DataLocation) -> list[Path]:
        """The file at `path`; InputError if there is none."""
        if not self.path.is_file():
            raise InputError(f"{self.path}: {'is a folder' if self.path.is_dir() else 'no such file'}")
        return [self.path]

    def find(self, location: DataLocation) -> list[Path]:
        return [self.path] if self.path.is_file() else []


def without_gzip_header(data: bytes) -> memoryview:
    """Skip the gzip header of `data`, if it has one.

    The header holds the file's original name and time. Debian strips them, so its copies of the same compressed data
    would otherwise get another fingerprint than downloaded ones.
    """
    view = memoryview(data)
    if not data.startswith(GZIP_MAGIC) or len(data) < 10:
        return view
    no_flags, name_only = 0, 8
    if data[3] == no_flags:
        return view[10:]
    return view[data.find(b"\0", 10) + 1 :] if data[3] == name_only else view
