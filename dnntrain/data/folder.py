"""A folder of images: one subfolder for each class, perhaps within train/, val/ and test/."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.balance import RARE
from dnntrain.data.dataset import LONGEST_NOTE, Dataset
from dnntrain.data.own import TEST, TRAIN, VALIDATION, assembled, cut, left_out
from dnntrain.data.source import DataHome, FileSource
from dnntrain.errors import InputError
from dnntrain.parameters import parameter

if TYPE_CHECKING:
    from PIL.Image import Image

Images = NDArray[np.uint8]
Colour = Literal["auto", "grey", "colour"]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""All that is tried: Pillow knows others, of which some start another program."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PARTS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip
MANY = 2000
"""Images from which on a sign is given that they are being read."""


class Item(NamedTuple):
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

    image_size: int = parameter(32, "height and width that images are brought to", unit="pixels", ge=1, le=512)
    colour: Colour = parameter("auto", "grey or colour; auto: grey where every image is")
    corrupt: int = parameter(10, "the most image files that may be unreadable", ge=0)

    @classmethod
    def reads(cls, path: str) -> bool:
        plain_path = path.replace(os.sep, "/")
        return Path(path).is_dir() or plain_path.endswith("/") or ("/" in plain_path and not Path(path).suffix)

    def files(self, home: DataHome) -> list[Path]:
        """The image files, sorted by their paths in the folder."""
        return [item.path for item in find_items(self.path)]

    def find(self, home: DataHome) -> list[Path]:
        try:
            return self.files(home)
        except InputError:
            return []

    def fingerprint(self, home: DataHome) -> str:
        """As DataSource.fingerprint, over the files' paths in the folder too: they hold the classes."""
        digest = hashlib.sha256()
        for item in find_items(self.path):
            try:
                data = item.path.read_bytes()
            except OSError:
                data = b""  # one that can not be read counts as corrupt
            digest.update(os.fsencode(item.relative) + b"\0" + hashlib.sha256(data).digest())
        return digest.hexdigest()[:16]

    def read(self, home: DataHome) -> Dataset:
        items = find_items(self.path)
        check_classes(self.path, items)
        images, found = decode_all(self.path, items, self.image_size, self.colour == "grey")
        notes = left_out(others(self.path, items), "file", "not an image in a class's folder")
        notes += self.check_corrupt([(item.relative, name) for item, name in zip(items, found, strict=True)])
        rows, more = without_copies(items, found)
        kept = [items[row] for row in rows]
        check_classes(self.path, kept)
        if self.colour == "auto" and (images[:, :1] == images[:, 1:]).all():
            images = images[:, 0]
        classes, targets = np.unique([item.folder.name for item in kept], return_inverse=True)
        parts = cut(targets, np.array([item.part for item in kept], np.int64), self.test, self.path)
        return assembled(self, home, images[rows], targets, tuple(map(str, classes)), parts, notes + more)

    def check_corrupt(self, found: Sequence[tuple[str, bytes | str]]) -> tuple[str, ...]:
        """A note on the files that could not be read; InputError where they are more than is accepted."""
        problems = [(name, result) for name, result in found if isinstance(result, str)]
        if len(problems) > self.corrupt:
            first = "; ".join(f"{name}: {problem}" for name, problem in problems[:LONGEST_NOTE])
            raise InputError(f"{self.path}: {len(problems)} unreadable images, --corrupt is {self.corrupt}: {first}")
        return left_out([name for name, _ in problems], "image", "unreadable")


def find_items(root: Path) -> list[Item]:
    """The images in the folders of classes, sorted by path; InputError where folders are missing or empty."""
    if not root.is_dir():
        raise InputError(f"{root}: {'is a file, not a folder of images' if root.exists() else 'no such folder'}")
    items = []
    for part, top in part_folders(root):
        folders = subfolders(top)
        if not folders:
            raise InputError(f"{top}: no folder in it; put each class's images into a folder of its own")
        for folder in folders:
            images = [path for path in visible_files(folder) if path.suffix.casefold() in SUFFIXES]
            if not images:
                raise InputError(f"{folder}: no image in it ({', '.join(SUFFIXES)})")
            items += [Item(path.relative_to(root).as_posix(), path, folder, part) for path in images]
    return sorted(items)


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


def others(root: Path, items: Sequence[Item]) -> list[str]:
    """The paths of the files that are not among the items."""
    known = {item.path for item in items}
    return sorted(path.relative_to(root).as_posix() for path in visible_files(root) if path not in known)


def check_classes(root: Path, items: Sequence[Item]) -> None:
    """Raise InputError for fewer than two classes, one that is not trained, or one of too few training images."""
    counts = Counter(item.folder.name for item in items if item.part == TRAIN)
    if len(counts) < 2:
        raise InputError(f"{root}: fewer than two classes ({', '.join(counts)}); each needs a folder of its own")
    for item in items:
        if counts[item.folder.name] < RARE:
            left = f"{counts[item.folder.name]} training images of this class are left; needs at least {RARE}"
            raise InputError(f"{item.folder}: {left}")


def without_copies(items: Sequence[Item], found: Sequence[bytes | str]) -> tuple[list[int], tuple[str, ...]]:
    """The numbers of the items that stay, and notes on the others, which have the same digest as one that does.

    Of copies in two parts, that in the test part stays, else that in the validation part; within a part, the first.
    """
    first: dict[bytes | str, Item] = {}
    within: list[str] = []
    across: list[str] = []
    rows = []
    for row in sorted(range(len(items)), key=lambda row: (-items[row].part, row)):
        if isinstance(found[row], str):
            continue
        original = first.setdefault(found[row], items[row])
        if original is items[row]:
            rows.append(row)
        else:
            (within if original.part == items[row].part else across).append(items[row].relative)
    notes = left_out(within, "image", "exact copies of others")
    return sorted(rows), notes + left_out(across, "image", "exact copies of others in test/ or val/")


def decode_all(root: Path, items: Sequence[Item], size: int, grey: bool) -> tuple[Images, list[bytes | str]]:
    """The images, (N, size, size) grey or (N, 3, size, size); of each its file's digest, or why it is unreadable."""
    images = np.zeros((len(items), size, size) if grey else (len(items), 3, size, size), np.uint8)

    def decode(row: int) -> bytes | str:
        try:
            data = items[row].path.read_bytes()
            images[row] = levels(data, size, grey)
        except Exception as error:  # Pillow's readers raise whatever they stumble on
            return reason(error)
        return hashlib.sha256(data).digest()

    pool = ThreadPoolExecutor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on large images, odd metadata
        try:
            return images, list(watched(pool.map(decode, range(len(items))), len(items), root))
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest


def watched(results: Iterable[bytes | str], count: int, root: Path) -> Iterable[bytes | str]:
    """The results, with a bar on stderr if they are many; one plain line where stderr is not a terminal."""
    if count <= MANY:
        return results
    if not sys.stderr.isatty():
        print(f"reading {count:,} images of {root}", file=sys.stderr)
        return results
    from rich.progress import track

    from dnntrain.consoles import console

    return track(results, f"reading {root.name}", count, console=console(stderr=True))


def levels(data: bytes, size: int, grey: bool) -> Images:
    """The levels, (size, size) grey or (3, size, size), of a file's first image, squeezed into the square."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.draft(None, (2 * size, 2 * size))  # a photo's JPEG is faster decoded at a fraction of its size
        flat = plain(image).convert("L" if grey else "RGB")
        pixels = np.asarray(flat.resize((size, size), Image.Resampling.BILINEAR))
    return pixels if grey else pixels.transpose(2, 0, 1)


def plain(image: Image) -> Image:
    """The image upright as its camera meant it, on white where it is transparent, of 8 bits where it has 16."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its levels are no whole numbers")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, np.float64) / 257).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA"))
    return image


def reason(error: Exception) -> str:
    """Why an image is unreadable, without what differs from one run to the next."""
    from PIL import UnidentifiedImageError

    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
