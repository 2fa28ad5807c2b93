"""Images scaled to another height and width, and turned gray or to color, after they were read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from dnntrain.data.dataset import Dataset, InputArray
from dnntrain.errors import InputError

MOST_PIXELS = 512
"""The most pixels a side."""


def as_shape(value: Any) -> Any:
    """`28x28` or `3x28x28`, or the shape itself: (28, 28); ValueError for another text."""
    if isinstance(value, list | tuple):
        value = "x".join(map(str, value))
    if not isinstance(value, str):
        return value
    text = value.replace(" ", "").lower()
    match = re.fullmatch(r"(?:3x)?(\d{1,3})x(\d{1,3})", text)
    if not match or not all(1 <= int(side) <= MOST_PIXELS for side in match.groups()):
        raise ValueError(f"{value!r} is no shape of images, such as 28x28 (gray) or 3x28x28 (color)")
    return text


def shape_of(text: str) -> tuple[int, ...]:
    """`3x28x28` → (3, 28, 28)."""
    return tuple(map(int, text.split("x")))


def scale_images(dataset: Dataset, shape: tuple[int, ...]) -> Dataset:
    """The data with images of this shape, and a note that says so; InputError if they are no images."""
    if not dataset.is_image:
        raise InputError(f"image_shape: the examples of {dataset.name} are {dataset.kind}, not images")
    if dataset.shape == shape:
        return dataset
    # an ImagePreprocessing, which cannot be imported here
    preprocessing = dataset.preprocessing and dataset.preprocessing.model_copy(update={"shape": shape})
    before, now = (f"{' × '.join(map(str, each[-2:]))} {'gray' if len(each) == 2 else 'color'}"
                   for each in (dataset.shape, shape))  # fmt: skip
    return replace(
        dataset,
        train_inputs=resize_images(dataset.train_inputs, shape),
        test_inputs=resize_images(dataset.test_inputs, shape),
        notes=(*dataset.notes, f"images scaled from {before} to {now}"),
        preprocessing=preprocessing,
    )


def resize_images(images: InputArray, shape: tuple[int, ...]) -> InputArray:
    """Images (N, *shape), scaled bilinearly with antialiasing; gray is ITU-R 601 luma, as in Pillow."""
    from PIL import Image

    size, mode = (shape[-1], shape[-2]), "L" if len(shape) == 2 else "RGB"
    found = np.empty((len(images), *shape), np.uint8)
    for row, levels in enumerate(images):
        image = Image.fromarray(levels if levels.ndim == 2 else np.ascontiguousarray(levels.transpose(1, 2, 0)))
        pixels = np.asarray(image.convert(mode).resize(size, Image.Resampling.BILINEAR))
        found[row] = pixels if mode == "L" else pixels.transpose(2, 0, 1)
    return found
