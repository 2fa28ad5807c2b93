"""How images become inputs, as recorded; and new image files and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from dnntrain.data.array_inputs import channels_first
from dnntrain.data.dataset import MAX_LISTED_NAMES
from dnntrain.data.image_files import IMAGE_SUFFIXES, PART_FOLDERS, visible_files
from dnntrain.data.images import Decoder, Fit, too_deep
from dnntrain.data.levels import MAX_BIT_DEPTH, scaled_note, to_bytes
from dnntrain.data.new_arrays import check_shape, read_new_array
from dnntrain.data.preprocessing import NewData, Preprocessing, existing_path
from dnntrain.errors import InputError


class ImagePreprocessing(Preprocessing):
    """How images become inputs: levels from 0 to 255."""

    name: ClassVar[str] = "images"

    shape: tuple[int, ...]
    """(height, width) if gray, or (3, height, width)."""
    fit: Fit = "stretch"
    """What happens to an image file that is not square."""
    depth: int = 8
    """Bits per level of arrays, and of image files with at most 8 bits."""
    deep_depth: int = MAX_BIT_DEPTH
    """Bits per level of image files with more than 8 bits."""

    def read(self, data: object) -> NewData:
        """Read image files, or arrays of whole numbers.

        Args:
            data: An image, a folder of images (those in a class's folder have that label), a list of images' paths, an
                .npz file, an array, or a tensor.

        Raises:
            InputError: There is no image, one is unreadable, or an array does not have the training images' shape.
        """
        if isinstance(data, list | tuple) and data and all(isinstance(each, str | Path) for each in data):
            return self._read_files("data", [str(each) for each in data], [p for p in map(existing_path, data) if p])
        path = existing_path(data)
        if path and path.is_dir():
            found = sorted((p.relative_to(path).as_posix(), p) for p in visible_files(path) if is_image(p))
            if not found:
                raise InputError(f"{path}: no image in it ({', '.join(IMAGE_SUFFIXES)})")
            return self._read_files(str(path), [name for name, _ in found], [file for _, file in found])
        if path and is_image(path):
            return self._read_files(str(path), [path.name], [path])
        if path and path.suffix.casefold() != ".npz":
            raise InputError(f"{path}: the run was trained on images; give an image, a folder of images, or an .npz")
        return self._read_array(data)

    def _read_files(self, where: str, names: Sequence[str], paths: Sequence[Path]) -> NewData:
        """Decode image files, whose names become the rows of the table of predictions."""
        size = self.shape[-1]
        if self.shape[-2] != size:
            problem = f"the run was trained on images of {size} × {self.shape[-2]} pixels, which are not square"
            raise InputError(f"{where}: {problem}, and image files are scaled to a square; give an .npz file")
        decoder = Decoder(size, len(self.shape) == 2, self.fit)
        deep_depth = self.depth if self.depth > 8 else self.deep_depth
        decoded = decoder.decode_as(paths, min(self.depth, 8), deep_depth, Path(where))
        if problems := [(names[row], o.problem) for row, o in decoded.outcomes.items() if o.problem]:
            listed = "; ".join(f"{name}: {problem}" for name, problem in problems[:MAX_LISTED_NAMES])
            raise InputError(f"{where}: {len(problems)} unreadable images: {listed}")
        labels = np.array([class_folder(name) for name in names], object)
        return NewData(where, decoded.images, names, labels if labels.astype(bool).any() else None)

    def _read_array(self, data: object) -> NewData:
        array = read_new_array(data, self.shape)
        if array.values.dtype.kind == "f":
            wanted = "the run was trained on images of whole numbers"
            raise InputError(f"{array.where}: {array.values.dtype}; {wanted}, from 0 to {2**self.depth - 1:,}")
        values = channels_first(array.values)
        check_shape(array, values, self.shape)
        lowest, highest = int(values.min()), int(values.max())
        depth = self.deep_depth if self.depth == 8 and highest >= 256 else self.depth
        if lowest < 0 or highest >= 2**depth:
            raise InputError(f"{array.where}: {'a level below 0' if lowest < 0 else too_deep(highest, depth)}")
        notes = [] if depth == self.depth else [f"{array.where}: {scaled_note(highest, depth)}"]
        return NewData(array.where, to_bytes(values, depth), labels=array.labels, notes=notes)


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its name."""
    return path.suffix.casefold() in IMAGE_SUFFIXES


def class_folder(name: str) -> str | None:
    """The folder that names an image's class, as in cat/1.png or test/cat/1.png; None if it is in no folder."""
    folders = Path(name).parts[:-1]
    if len(folders) > 1 and folders[0].casefold() in PART_FOLDERS:
        return folders[1]
    return folders[0] if folders else None
