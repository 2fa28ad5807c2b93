"""Decodes image files to arrays of one size, upright, and on white where they are transparent."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.levels import MAX_BIT_DEPTH, bit_depth, scaled_note, to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
Images = NDArray[np.uint8]
Fit = Literal["stretch", "crop", "pad"]

IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""The formats that Pillow may try; it knows others, and some of them start another program."""


PROGRESS_THRESHOLD = 2000
"""Progress is shown for more things to read than this."""
FIT_NOTES = {"stretch": "stretched", "crop": "cropped at the center", "pad": "padded with black bars"}
"""What each fit does to an image that is not square, for notes."""


class DecodeResult(NamedTuple):
    """The outcome of decoding one file."""

    problem: str = ""
    """Why the file is unreadable; empty if it is readable."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the image in the file; 0 if it is unreadable."""
    max_level: int = -1
    """The highest level of an image with more than 8 bits; -1 for all others."""

    @property
    def is_square(self) -> bool:
        """Whether height and width are equal."""
        return self.size[0] == self.size[1]


class DecodedImages(NamedTuple):
    """Images of one size, and how they were decoded."""

    images: Images
    """(N, size, size) gray or (N, 3, size, size), levels from 0 to 255; zero where not decoded."""
    outcomes: dict[int, DecodeResult]
    """By row, for the images that were to be decoded."""
    notes: tuple[str, ...] = ()
    """On levels that do not have 8 bits."""
    depth: int = 8
    """Bits per level of the images that have at most 8."""
    deep_depth: int = MAX_BIT_DEPTH
    """Bits per level of the images that have more than 8."""


@dataclass(frozen=True)
class Decoder:
    """Decodes image files to levels from 0 to 255."""

    size: int
    """Height and width, in pixels."""
    gray: bool
    fit: Fit = "stretch"
    """What happens to an image that is not square."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return (self.size, self.size) if self.gray else (3, self.size, self.size)

    def decode(self, paths: Sequence[Path], chosen: NDArray[np.bool_], root: Path) -> DecodedImages:
        """Decode some of the files.

        If all images with more than 8 bits use fewer than 16, such as those of a 12-bit camera, they are decoded again
        with the depth they have.

        Args:
            paths: N image files.
            chosen: Which of them to decode, (N,).
            root: The folder that progress messages name.
        """
        images = np.zeros((len(paths), *self.shape), np.uint8)  # rows that are never written take no memory
        outcomes = self._decode(paths, images, np.flatnonzero(chosen).tolist(), MAX_BIT_DEPTH, root)
        if deep := [row for row, outcome in outcomes.items() if outcome.max_level >= 0]:
            highest = max(outcomes[row].max_level for row in deep)
            if (depth := bit_depth(highest)) < MAX_BIT_DEPTH:
                self._decode(paths, images, deep, depth, root)
            notes = (f"images of more than 8 bits, {scaled_note(highest, depth)}",)
            return DecodedImages(images, outcomes, notes, deep_depth=depth)
        if (depth := bit_depth(highest := int(images.max()))) < 8:
            return DecodedImages(to_bytes(images, depth), outcomes, (scaled_note(highest, depth),), depth)
        return DecodedImages(images, outcomes)

    def decode_as(self, paths: Sequence[Path], depth: int, deep_depth: int, root: Path) -> DecodedImages:
        """Decode all files with the bits per level of other images, as in `DecodedImages`.

        An image with a level that does not fit counts as unreadable.
        """
        images = np.zeros((len(paths), *self.shape), np.uint8)
        outcomes = self._decode(paths, images, range(len(paths)), deep_depth, root)
        if depth < 8:
            for row in (row for row, outcome in outcomes.items() if not outcome.problem and outcome.max_level < 0):
                if (highest := int(images[row].max())) < 2**depth:
                    images[row] = to_bytes(images[row], depth)
                else:
                    outcomes[row] = DecodeResult(too_deep(highest, depth))
        return DecodedImages(images, outcomes, (), depth, deep_depth)

    def _decode(
        self, paths: Sequence[Path], images: Images, rows: Sequence[int], depth: int, root: Path
    ) -> dict[int, DecodeResult]:
        """Decode these rows into `images`; returns the outcome of each."""

        def decode(row: int) -> DecodeResult:
            try:
                images[row], outcome = self.levels(paths[row].read_bytes(), depth)
            except Exception as error:  # Pillow's readers raise any kind of exception
                return DecodeResult(decode_problem(error))
            return outcome

        pool = ThreadPoolExecutor()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on large images, odd metadata
            try:
                results = with_progress(pool.map(decode, rows), len(rows), f"images of {root}")
                return dict(zip(rows, results, strict=True))
            finally:
                pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest

    def levels(self, data: bytes, depth: int) -> tuple[Images, DecodeResult]:
        """Decode the first image in a file, to (size, size) gray or (3, size, size).

        Args:
            data: The file's content.
            depth: The bits per level, if the image has more than 8.
        """
        from PIL import Image

        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            size = image.height, image.width
            image.draft(None, (2 * self.size, 2 * self.size))  # JPEG decodes faster at a fraction of its size
            flat, highest = normalize_mode(image, depth)
            pixels = np.asarray(self._fitted(flat.convert("L" if self.gray else "RGB")))
        return pixels if self.gray else pixels.transpose(2, 0, 1), DecodeResult("", size, highest)

    def _fitted(self, image: Image) -> Image:
        from PIL import Image, ImageOps

        square, smooth = (self.size, self.size), Image.Resampling.BILINEAR
        if self.fit == "crop":
            return ImageOps.fit(image, square, smooth)
        return ImageOps.pad(image, square, smooth) if self.fit == "pad" else image.resize(square, smooth)


def normalize_mode(image: Image, depth: int) -> tuple[Image, int]:
    """Turn an image upright (EXIF), put it on white where it is transparent, and scale its levels to 8 bits.

    Returns:
        The image, and its highest level if it has more than 8 bits, else -1.

    Raises:
        ValueError: Its levels are not whole numbers, or do not fit.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its levels are not whole numbers")
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        lowest, highest = int(levels.min()), int(levels.max())
        if lowest < 0 or highest >= 2**MAX_BIT_DEPTH:
            raise ValueError(f"levels from {lowest:,} to {highest:,}; must be from 0 to {2**MAX_BIT_DEPTH - 1:,}")
        if highest >= 2**depth:
            raise ValueError(too_deep(highest, depth))
        return Image.fromarray(to_bytes(levels, depth)), highest
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")), -1
    return image, -1


def too_deep(highest: int, depth: int) -> str:
    """What is wrong with a level that does not fit the bits per level of the training images."""
    return f"levels up to {highest:,}; the training images have {depth} bits, 0 to {2**depth - 1:,}"


def decode_problem(error: Exception) -> str:
    """Why an image is unreadable, without addresses and the like that differ between runs."""
    from PIL import UnidentifiedImageError

    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__


def with_progress(
    steps: Iterable[T], count: int, what: str, doing: str = "reading", threshold: int | None = None
) -> Iterable[T]:
    """Show a bar on stderr if there are many things to do, or one plain line if stderr is not a terminal."""
    if count <= (PROGRESS_THRESHOLD if threshold is None else threshold):
        return steps
    if not sys.stderr.isatty():
        print(f"{doing} {count:,} {what}", file=sys.stderr)
        return steps
    from rich.progress import track

    from dnntrain.utils.console import console

    return track(steps, f"{doing} {what}", count, console=console(stderr=True))
