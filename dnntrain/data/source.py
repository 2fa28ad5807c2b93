"""Where data sets come from: what every source declares and can do."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dnntrain.data.balance import with_class_notes
from dnntrain.data.dataset import Dataset, DatasetInfo, numbers_of
from dnntrain.data.idx import GZIP_MAGIC
from dnntrain.errors import InputError
from dnntrain.utils.fields import as_names, hyperparameter
from dnntrain.utils.user_dirs import cache_dir, expanded


def default_data_dir() -> Path:
    """$DNNTRAIN_DATA, else the folder dnntrain in the platform's folder for caches (a temporary one without a home)."""
    if chosen := os.environ.get("DNNTRAIN_DATA"):
        return expanded(chosen)
    return cache_dir() / "dnntrain"


@dataclass(frozen=True)
class DataLocation:
    """Where data sets are on this machine, and where they are fetched from."""

    folder: Path = field(default_factory=default_data_dir)
    """What is downloaded, and what was decoded, is kept here."""
    mirror: str | None = None
    """An address (http, https or file, or a folder's path) to fetch files from instead of the official ones."""

    @classmethod
    def at(cls, folder: str | None, mirror: str | None = None) -> DataLocation:
        """The home that a command line names; the default folder where it names none."""
        return cls(expanded(folder) if folder else default_data_dir(), mirror)


class DataSource(BaseModel):
    """A source of data, declared once as a subclass; its fields are the options that `--data` takes with it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: ClassVar[str]
    """What `--data` takes, or what kind of file it reads."""
    summary: ClassVar[str]
    """One line for lists and help."""
    licence: ClassVar[str]
    size: ClassVar[str] = ""
    """How much there is to download, as people read it: '31 MB'."""
    class_counts: ClassVar[tuple[int, ...]] = ()
    """How many training examples each class has, where that is known without reading the data."""
    decodes: ClassVar[bool] = False
    """Whether reading takes so long, or so much memory, that the arrays are kept on disk and shared by the workers."""
    reads_chosen: ClassVar[bool] = False
    """Whether `read` keeps to the chosen classes, so that what is wrong with others does not matter."""

    classes: Annotated[str | None, BeforeValidator(as_names)] = hyperparameter(
        None, "only these classes, by name: sandal,shirt; by position where names are no numbers: 5,6"
    )

    def display_name(self) -> str:
        """What its data set is called in records and tables."""
        return self.name

    def files(self, home: DataLocation) -> list[Path]:
        """The data's files, found or fetched; InputError with the ways to get them where neither works."""
        raise NotImplementedError

    def find(self, home: DataLocation) -> list[Path]:
        """The data's files where all are on this machine, else []; fetches nothing."""
        raise NotImplementedError

    def read(self, home: DataLocation) -> Dataset:
        """The data in memory, of all classes or (`reads_chosen`) those chosen.

        InputError that names the file where one is damaged or foreign.
        """
        raise NotImplementedError

    def static_info(self) -> DatasetInfo | None:
        """Shape, classes and counts of all the data, where they are known without reading it."""
        return None

    def outline(self, home: DataLocation | None = None) -> DatasetInfo:
        """Shape, classes and counts as a network meets them; InputError for classes that are not there."""
        known = self.static_info()
        if known is None:
            if self not in _outlines:
                _outlines[self] = self.load(home or DataLocation()).outline
            return _outlines[self]
        if not self.classes:
            return known
        chosen = numbers_of(self.classes, known.classes)
        n_train = sum(self.class_counts[number] for number in chosen)
        return DatasetInfo(known.shape, tuple(known.classes[number] for number in chosen), n_train)

    def load(self, home: DataLocation) -> Dataset:
        """The data in memory, of the chosen classes only; InputError where it cannot be had."""
        from dnntrain.data.cache import decoded

        dataset = decoded(self, home) if self.decodes else self.read(home)
        return with_class_notes(dataset.only(self.classes) if self.classes and not self.reads_chosen else dataset)

    def fingerprint(self, home: DataLocation) -> str:
        """16 hexadecimal digits of the SHA-256 over the files' bytes, not decoded; InputError if one is unreadable."""
        digest = hashlib.sha256()
        for path in self.files(home):
            self._add(digest, path)
        return digest.hexdigest()[:16]

    def _add(self, digest: Any, path: Path) -> None:
        try:
            digest.update(without_gzip_header(path.read_bytes()))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None


_outlines: dict[DataSource, DatasetInfo] = {}
"""Of data that had to be read to know it: a study asks for it many times."""


class FileSource(DataSource):
    """A person's own data, at a path."""

    reads_chosen: ClassVar[bool] = True

    path: Path
    test: float = hyperparameter(0.2, "share held out as the test part, where the data have none", gt=0, lt=1)

    licence: ClassVar[str] = "your own data"

    @classmethod
    def reads(cls, path: str) -> bool:
        """Whether a path looks like this kind's; it may not be there."""
        raise NotImplementedError

    def display_name(self) -> str:
        return self.path.resolve().name

    def files(self, home: DataLocation) -> list[Path]:
        """The file itself."""
        if not self.path.is_file():
            raise InputError(f"{self.path}: {'is a folder' if self.path.is_dir() else 'no such file'}")
        return [self.path]

    def find(self, home: DataLocation) -> list[Path]:
        return [self.path] if self.path.is_file() else []


def without_gzip_header(data: bytes) -> memoryview:
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
