"""Image files as arrays of levels: all of one size, upright, on white where they are transparent."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.levels import DEEPEST, bit_depth, scaled_note, to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

Images = NDArray[np.uint8]
Fit = Literal["stretch", "crop", "pad"]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""All that is tried: Pillow knows others, of which some start another program."""
MANY = 2000
"""Images from which on a sign is given that they are being read."""
FITTED = {"stretch": "stretched", "crop": "cropped at the center", "pad": "padded with black bars"}
"""What each way to fit does to an image that is not square."""


class DecodedImages(NamedTuple):
    """What decoding a file found out."""

    problem: str = ""
    """Why it is unreadable; empty where it is not."""
    is_square: bool = True
    most: int = -1
    """The highest level of an image of more than 8 bits; -1 for any other."""


@dataclass(frozen=True)
class Decoder:
    """How image files become levels."""

    size: int
    grey: bool
    fit: Fit = "stretch"

    def decode(
        self, paths: Sequence[Path], chosen: NDArray[np.bool_], root: Path
    ) -> tuple[Images, dict[int, DecodedImages], tuple[str, ...]]:
        """The images, (N, size, size) grey or (N, 3, size, size), zero but for the chosen (N,), and what was found out.

        And notes on levels that are not of 8 bits. Where all images of more keep to the levels of fewer than 16, as
        those of a 12-bit camera do, they are decoded again by the depth that they have.
        """
        shape = (self.size, self.size) if self.grey else (3, self.size, self.size)
        images = np.zeros((len(paths), *shape), np.uint8)  # rows that are not read take no memory
        found = self._decode(paths, images, np.flatnonzero(chosen).tolist(), DEEPEST, root)
        if deep := [row for row, one in found.items() if one.most >= 0]:
            most = max(found[row].most for row in deep)
            if (depth := bit_depth(most)) < DEEPEST:
                self._decode(paths, images, deep, depth, root)
            return images, found, (f"images of more than 8 bits, {scaled_note(most, depth)}",)
        if (depth := bit_depth(most := int(images.max()))) < 8:
            return to_bytes(images, depth), found, (scaled_note(most, depth),)
        return images, found, ()

    def _decode(
        self, paths: Sequence[Path], images: Images, rows: Sequence[int], depth: int, root: Path
    ) -> dict[int, DecodedImages]:
        """Fill these rows of the images; what was found out about each."""

        def decode(row: int) -> DecodedImages:
            try:
                images[row], found = self.levels(paths[row].read_bytes(), depth)
            except Exception as error:  # Pillow's readers raise whatever they stumble on
                return DecodedImages(reason(error))
            return found

        pool = ThreadPoolExecutor()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on large images, odd metadata
            try:
                results = with_progress(pool.map(decode, rows), len(rows), root)
                return dict(zip(rows, results, strict=True))
            finally:
                pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest

    def levels(self, data: bytes, depth: int) -> tuple[Images, DecodedImages]:
        """The levels, (size, size) grey or (3, size, size), of a file's first image; `depth` is that of deep images."""
        from PIL import Image

        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            is_square = image.width == image.height
            image.draft(None, (2 * self.size, 2 * self.size))  # a photo's JPEG is faster decoded at a fraction
            flat, most = plain(image, depth)
            pixels = np.asarray(self._fitted(flat.convert("L" if self.grey else "RGB")))
        return pixels if self.grey else pixels.transpose(2, 0, 1), DecodedImages("", is_square, most)

    def _fitted(self, image: Image) -> Image:
        from PIL import Image, ImageOps

        square, smooth = (self.size, self.size), Image.Resampling.BILINEAR
        if self.fit == "crop":
            return ImageOps.fit(image, square, smooth)
        return ImageOps.pad(image, square, smooth) if self.fit == "pad" else image.resize(square, smooth)


def plain(image: Image, depth: int) -> tuple[Image, int]:
    """The image upright as its camera meant it, on white where it is transparent, its levels scaled to 8 bits.

    And its highest level where it has more than 8 bits, else -1.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its levels are not whole numbers")
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        least, most = int(levels.min()), int(levels.max())
        if least < 0 or most >= 2**DEEPEST:
            raise ValueError(f"levels from {least:,} to {most:,}; must be from 0 to {2**DEEPEST - 1:,}")
        return Image.fromarray(to_bytes(levels, depth)), most
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")), -1
    return image, -1


def reason(error: Exception) -> str:
    """Why an image is unreadable, without what differs from one run to the next."""
    from PIL import UnidentifiedImageError

    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__


def with_progress(results: Iterable[DecodedImages], count: int, root: Path) -> Iterable[DecodedImages]:
    """The results, with a bar on stderr if they are many; one plain line where stderr is not a terminal."""
    if count <= MANY:
        return results
    if not sys.stderr.isatty():
        print(f"reading {count:,} images of {root}", file=sys.stderr)
        return results
    from rich.progress import track

    from dnntrain.utils.console import console

    return track(results, f"reading {root.name}", count, console=console(stderr=True))
