"""A folder of images: one subfolder for each class, perhaps within train/, val/ and test/."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.balance import RARE
from dnntrain.data.copies import copy_groups
from dnntrain.data.dataset import LONGEST_NOTE, Dataset, join_names, numbers_of
from dnntrain.data.images import FITTED, DecodedImages, Decoder, Fit, Images
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.data.user_data import (
    TEST,
    TRAIN,
    VALIDATION,
    build_dataset,
    chosen_rows,
    exclusion_note,
    split_rows,
)
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter

Color = Literal["auto", "gray", "color"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PARTS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip


class ImageFile(NamedTuple):
    """An image file."""

    relative: str
    """Its path within the data's folder, with slashes."""
    path: Path
    folder: Path
    """The folder that is its class."""
    part: int


class ImageFolder(FileSource):
    """Images in one subfolder for each class; with train/ and perhaps val/ and test/, in subfolders of these."""

    name: ClassVar[str] = "folder"
    summary: ClassVar[str] = "a folder of images, one subfolder a class"
    decodes: ClassVar[bool] = True

    image_size: int = hyperparameter(32, "height and width that images are brought to", unit="pixels", ge=1, le=512)
    fit: Fit = hyperparameter(
        "stretch", "images that are not square: stretch, crop at the center, or pad with black bars"
    )
    color: Color = hyperparameter("auto", "gray or color; auto: gray if every image is")
    max_corrupt: int = hyperparameter(10, "the most image files that may be unreadable", ge=0)

    @classmethod
    def reads(cls, path: str) -> bool:
        plain_path = path.replace(os.sep, "/")
        return Path(path).is_dir() or plain_path.endswith("/") or ("/" in plain_path and not Path(path).suffix)

    def files(self, home: DataLocation) -> list[Path]:
        """The image files, sorted by their paths in the folder."""
        return [item.path for item in find_items(self.path, self.classes)[0]]

    def find(self, home: DataLocation) -> list[Path]:
        try:
            return self.files(home)
        except InputError:
            return []

    def fingerprint(self, home: DataLocation) -> str:
        """As DataSource.fingerprint, over the files' paths in the folder too: they hold the classes."""
        digest = hashlib.sha256()
        for item in find_items(self.path, self.classes)[0]:
            try:
                data = item.path.read_bytes()
            except OSError:
                data = b""  # an unreadable file counts as corrupt
            digest.update(os.fsencode(item.relative) + b"\0" + hashlib.sha256(data).digest())
        return digest.hexdigest()[:16]

    def read(self, home: DataLocation) -> Dataset:
        items, classes = find_items(self.path, self.classes)
        targets = np.array([classes.index(item.folder.name) for item in items])
        chosen = chosen_rows(self.classes, targets, classes)
        check_classes(some(items, chosen), self.path)
        notes = exclusion_note(others(self.path, items), "file", "not an image in a class's folder")
        decoder = Decoder(self.image_size, self.color == "gray", self.fit)
        images, found, on_levels = decoder.decode([item.path for item in items], chosen, self.path)
        notes += on_levels + self.check_corrupt([(items[row].relative, one.problem) for row, one in found.items()])
        readable = np.isin(np.arange(len(items)), [row for row, one in found.items() if not one.problem])
        kept, on_copies = without_copies(items, images, readable)
        check_classes(some(items, kept), self.path)
        notes += on_copies + self.fitted([found[row] for row in np.flatnonzero(kept).tolist()])
        if self.color == "auto" and (images[:, :1] == images[:, 1:]).all():
            images = images[:, 0]
        # cut before anything is left out, so that the choice of classes does not move an image to another part
        parts = split_rows(targets, np.array([item.part for item in items]), self.test, self.path, kept=kept)
        return build_dataset(self, home, images, targets, classes, parts, notes)

    def check_corrupt(self, found: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """A note on the files that could not be read; InputError where they are more than is accepted."""
        problems = [(name, problem) for name, problem in found if problem]
        if len(problems) > self.max_corrupt:
            first = "; ".join(f"{name}: {problem}" for name, problem in problems[:LONGEST_NOTE])
            raise InputError(
                f"{self.path}: {len(problems)} unreadable images, --max-corrupt is {self.max_corrupt}: {first}"
            )
        names = [name for name, _ in problems]
        if problems:
            names[0] += f" ({problems[0][1]})"
        return exclusion_note(names, "image", "unreadable")

    def fitted(self, found: Sequence[DecodedImages]) -> tuple[str, ...]:
        """A note on the images that are not square, if there are any."""
        count = sum(not one.is_square for one in found)
        if not count:
            return ()
        which = f"{count:,} of {len(found):,} images are" if count > 1 else f"1 of {len(found):,} images is"
        hint = " (--fit crop or pad keeps the proportions)" if self.fit == "stretch" else ""
        return (f"{which} not square: {FITTED[self.fit]} to {self.image_size} × {self.image_size}{hint}",)


def find_items(root: Path, chosen: str | None = None) -> tuple[list[ImageFile], tuple[str, ...]]:
    """The images in the folders of classes, sorted by path, and all the classes.

    InputError where folders are missing, or one of a class that is used (all, if none are chosen) has no image.
    """
    if not root.is_dir():
        raise InputError(f"{root}: {'is a file, not a folder of images' if root.exists() else 'no such folder'}")
    items, empty, names = [], [], set()
    for part, top in part_folders(root):
        folders = subfolders(top)
        if not folders:
            raise InputError(f"{top}: no folder in it; put each class's images into a folder of its own")
        for folder in folders:
            images = [path for path in visible_files(folder) if path.suffix.casefold() in SUFFIXES]
            items += [ImageFile(path.relative_to(root).as_posix(), path, folder, part) for path in images]
            empty += [] if images else [folder]
            names.add(folder.name)
    classes = tuple(sorted(names))
    used = {classes[number] for number in numbers_of(chosen, classes)} if chosen else names
    for folder in empty:
        if folder.name in used:
            raise InputError(f"{folder}: no image in it ({', '.join(SUFFIXES)})")
    return sorted(items), classes


def part_folders(root: Path) -> list[tuple[int, Path]]:
    """Each part and the folder that holds its classes: train/ and the like if any holds folders, else all of it."""
    named = [(PARTS[folder.name.casefold()], folder) for folder in subfolders(root) if folder.name.casefold() in PARTS]
    if not any(subfolders(folder) for _, folder in named):  # bus/, car/, train/ are classes
        return [(TRAIN, root)]
    if TRAIN not in {part for part, _ in named}:
        raise InputError(f"{root}: has {named[0][1].name}/, but no train/")
    return named


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder but for hidden ones, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def visible_files(folder: Path) -> list[Path]:
    """The files in a folder and all below it that are not hidden."""
    found = (path for path in folder.rglob("*") if not any(map(is_hidden, path.relative_to(folder).parts)))
    return [path for path in found if path.is_file()]


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not for people; __MACOSX is what macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def others(root: Path, items: Sequence[ImageFile]) -> list[str]:
    """The paths of the files that are not among the items."""
    known = {item.path for item in items}
    return sorted(path.relative_to(root).as_posix() for path in visible_files(root) if path not in known)


def some(items: Sequence[ImageFile], rows: NDArray[np.bool_]) -> list[ImageFile]:
    """The items where rows (N,) is true."""
    return list(compress(items, rows))


def check_classes(items: Sequence[ImageFile], root: Path) -> None:
    """Raise InputError for fewer than two classes, one that is not trained, or one of too few training images."""
    counts = Counter(item.folder.name for item in items if item.part == TRAIN)
    if len(counts) < 2:
        raise InputError(f"{root}: fewer than two classes ({', '.join(counts)}); each needs a folder of its own")
    for item in items:
        if counts[item.folder.name] < RARE:
            left = f"{counts[item.folder.name]} training images of this class are left; needs at least {RARE}"
            raise InputError(f"{item.folder}: {left}")


def without_copies(
    items: Sequence[ImageFile], images: Images, readable: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Of each item, whether it stays; notes on the readable others, whose pixels, brought to size, equal one that does.

    Of copies in two parts, that in the test part stays, else that in the validation part; within a part, the first.
    """
    groups = copy_groups(images)
    first: dict[int, int] = {}
    copies: list[tuple[ImageFile, ImageFile]] = []
    for row in sorted(np.flatnonzero(readable).tolist(), key=lambda row: (-items[row].part, row)):
        original = first.setdefault(int(groups[row]), row)
        if original != row:
            copies.append((items[row], items[original]))
    within = [copy.relative for copy, original in copies if copy.part == original.part]
    across = [copy.relative for copy, original in copies if copy.part != original.part]
    disagreeing = [
        f"{copy.relative} = {kept.relative}" for copy, kept in copies if copy.folder.name != kept.folder.name
    ]
    notes = exclusion_note(within, "image", "exact copies of others")
    notes += exclusion_note(across, "image", "exact copies of others in test/ or val/")
    if disagreeing:
        which = "1 copy has" if len(disagreeing) == 1 else f"{len(disagreeing):,} copies have"
        notes += (f"{which} another class than the image that stays: {join_names(disagreeing)}",)
    return np.isin(np.arange(len(items)), list(first.values())), notes
