"""A folder of images with one subfolder per class, optionally within train/, val/, and test/."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress, islice
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.balance import MIN_CLASS_EXAMPLES
from dnntrain.data.copies import copy_groups
from dnntrain.data.dataset import MAX_LISTED_NAMES, Dataset, class_numbers, join_names
from dnntrain.data.image_files import IMAGE_SUFFIXES, PART_FOLDERS, subfolders, visible_files
from dnntrain.data.image_preprocessing import ImagePreprocessing
from dnntrain.data.images import FIT_NOTES, Decoder, DecodeResult, Fit, Images
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.data.user_data import (
    TRAIN,
    build_dataset,
    chosen_rows,
    exclusion_note,
    split_rows,
)
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter

Color = Literal["auto", "gray", "color"]


class ImageFile(NamedTuple):
    """An image file."""

    relative: str
    """The path within the data folder, with forward slashes."""
    path: Path
    folder: Path
    """The class's folder."""
    part: int
    """TRAIN, VALIDATION, or TEST."""


class ImageFolder(FileSource):
    """Images in one subfolder per class, or in such subfolders of train/ and, optionally, val/ and test/."""

    name: ClassVar[str] = "folder"
    summary: ClassVar[str] = "a folder of images, one subfolder per class"
    decodes: ClassVar[bool] = True

    image_size: int = hyperparameter(32, "height and width that images are scaled to", unit="pixels", ge=1, le=512)
    fit: Fit = hyperparameter(
        "stretch", "images that are not square: stretch, crop at the center, or pad with black bars"
    )
    color: Color = hyperparameter("auto", "gray or color. Auto is gray if every image is")
    max_corrupt: int = hyperparameter(10, "the most image files that may be unreadable", ge=0)

    @classmethod
    def reads(cls, path: str) -> bool:
        plain_path = path.replace(os.sep, "/")
        return Path(path).is_dir() or plain_path.endswith("/") or ("/" in plain_path and not Path(path).suffix)

    def files(self, location: DataLocation) -> list[Path]:
        """The image files, sorted by their paths in the folder."""
        return [item.path for item in find_images(self.path, self.classes)[0]]

    def find(self, location: DataLocation) -> list[Path]:
        try:
            return self.files(location)
        except InputError:
            return []

    def fingerprint(self, location: DataLocation) -> str:
        """Like `DataSource.fingerprint`, but includes the paths within the folder, which contain the classes."""
        digest = hashlib.sha256()
        for item in find_images(self.path, self.classes)[0]:
            try:
                data = item.path.read_bytes()
            except OSError:
                data = b""  # counts as corrupt
            digest.update(os.fsencode(item.relative) + b"\0" + hashlib.sha256(data).digest())
        return digest.hexdigest()[:16]

    def read(self, location: DataLocation) -> Dataset:
        items, classes = find_images(self.path, self.classes)
        targets = np.array([classes.index(item.folder.name) for item in items])
        chosen = chosen_rows(self.classes, targets, classes)
        check_classes(list(compress(items, chosen)), self.path)
        notes = exclusion_note(other_files(self.path, items), "file", "not an image in a class's folder")
        decoder = Decoder(self.image_size, self.color == "gray", self.fit)
        decoded = decoder.decode([item.path for item in items], chosen, self.path)
        images, outcomes = decoded.images, decoded.outcomes
        problems = {row: outcome.problem for row, outcome in outcomes.items() if outcome.problem}
        notes += decoded.notes + self.check_corrupt({items[row].relative: problem for row, problem in problems.items()})
        readable = np.isin(np.arange(len(items)), list(outcomes.keys() - problems.keys()))
        kept, copy_notes = drop_copies(items, images, readable)
        check_classes(list(compress(items, kept)), self.path)
        of_kept = [outcomes[row] for row in np.flatnonzero(kept).tolist()]
        notes += copy_notes + self.fit_note(of_kept) + self.size_note(of_kept)
        if self.color == "auto" and (images[:, :1] == images[:, 1:]).all():
            images = images[:, 0]
        # split before anything is left out, so that the choice of classes does not move an image to another part
        parts = split_rows(targets, np.array([item.part for item in items]), self.test, self.path, kept=kept)
        dataset = build_dataset(self, location, images, targets, classes, parts, notes)
        preprocessing = ImagePreprocessing(
            shape=dataset.shape, fit=self.fit, depth=decoded.depth, deep_depth=decoded.deep_depth
        )
        return replace(dataset, preprocessing=preprocessing)

    def check_corrupt(self, problems: Mapping[str, str]) -> tuple[str, ...]:
        """A note on unreadable files, given each one's path and problem; InputError if there are too many."""
        if len(problems) > self.max_corrupt:
            first = "; ".join(f"{name}: {problem}" for name, problem in islice(problems.items(), MAX_LISTED_NAMES))
            raise InputError(
                f"{self.path}: {len(problems)} unreadable images, --max-corrupt is {self.max_corrupt}: {first}"
            )
        names = list(problems)
        if names:
            names[0] += f" ({problems[names[0]]})"
        return exclusion_note(names, "image", "unreadable")

    def size_note(self, outcomes: Sequence[DecodeResult]) -> tuple[str, ...]:
        """A note on square images that have another size than the inputs, if there are any."""
        sizes = {outcome.size for outcome in outcomes if outcome.is_square and outcome.size[0] != self.image_size}
        if not sizes:
            return ()
        (low, _), (high, _) = min(sizes), max(sizes)
        from_sizes = f"{low} × {low}" + (f" to {high} × {high}" if low < high else "")
        to_size = f"{self.image_size} × {self.image_size}"
        return (f"images of {from_sizes} pixels are scaled to {to_size}; --image-size gives another size",)

    def fit_note(self, outcomes: Sequence[DecodeResult]) -> tuple[str, ...]:
        """A note on images that are not square, if there are any."""
        count = sum(not outcome.is_square for outcome in outcomes)
        if not count:
            return ()
        which = f"{count:,} of {len(outcomes):,} images are" if count > 1 else f"1 of {len(outcomes):,} images is"
        hint = " (--fit crop or pad keeps the proportions)" if self.fit == "stretch" else ""
        return (f"{which} not square: {FIT_NOTES[self.fit]} to {self.image_size} × {self.image_size}{hint}",)


def find_images(root: Path, chosen: str | None = None) -> tuple[list[ImageFile], tuple[str, ...]]:
    """List the images in a folder.

    Args:
        root: The data folder.
        chosen: The classes that must have images; all if None.

    Returns:
        The images of all classes, sorted by path, and the names of all classes, sorted.

    Raises:
        InputError: A folder is missing, or has no image of a chosen class.
    """
    if not root.is_dir():
        raise InputError(f"{root}: {'is a file, not a folder of images' if root.exists() else 'no such folder'}")
    items, empty, names = [], [], set()
    for part, top in part_folders(root):
        folders = subfolders(top)
        if not folders:
            raise InputError(f"{top}: no folder in it; put the images of each class into their own folder")
        for folder in folders:
            images = [path for path in visible_files(folder) if path.suffix.casefold() in IMAGE_SUFFIXES]
            items += [ImageFile(path.relative_to(root).as_posix(), path, folder, part) for path in images]
            empty += [] if images else [folder]
            names.add(folder.name)
    classes = tuple(sorted(names))
    used = {classes[number] for number in class_numbers(chosen, classes)} if chosen else names
    for folder in empty:
        if folder.name in used:
            raise InputError(f"{folder}: no image in it ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(items), classes


def part_folders(root: Path) -> list[tuple[int, Path]]:
    """The parts and the folders with their classes: train/ and the like if any has subfolders, else the root."""
    named = [
        (PART_FOLDERS[folder.name.casefold()], folder)
        for folder in subfolders(root)
        if folder.name.casefold() in PART_FOLDERS
    ]
    if not any(subfolders(folder) for _, folder in named):  # bus/, car/, and train/ are classes
        return [(TRAIN, root)]
    if TRAIN not in {part for part, _ in named}:
        raise InputError(f"{root}: has {named[0][1].name}/, but no train/")
    return named


def other_files(root: Path, items: Sequence[ImageFile]) -> list[str]:
    """The relative paths of the files that are not among the items."""
    images = {item.path for item in items}
    return sorted(path.relative_to(root).as_posix() for path in visible_files(root) if path not in images)


def check_classes(items: Sequence[ImageFile], root: Path) -> None:
    """Raise InputError if there are fewer than two classes, or if one has too few training images."""
    counts = Counter(item.folder.name for item in items if item.part == TRAIN)
    if len(counts) < 2:
        raise InputError(f"{root}: fewer than two classes ({', '.join(counts)}); each needs its own folder")
    for item in items:
        if (count := counts[item.folder.name]) < MIN_CLASS_EXAMPLES:
            remaining = f"{count} training images of this class are left; needs at least {MIN_CLASS_EXAMPLES}"
            raise InputError(f"{item.folder}: {remaining}")


def drop_copies(
    items: Sequence[ImageFile], images: Images, readable: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Leave out images whose scaled pixels equal those of another.

    The copy in the latest part stays (test, then validation, then training), and within a part the first one.

    Args:
        items: N images.
        images: Their pixels, (N, ...).
        readable: Which of them could be decoded, (N,); the others are left out without a note.

    Returns:
        Which images stay, (N,), and notes on the copies.
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
        notes += (f"{which} a different class than the image that stays: {join_names(disagreeing)}",)
    return np.isin(np.arange(len(items)), list(first.values())), notes
