"""Finds image files in folders, and the folders that name the parts of a data set."""

from __future__ import annotations

from pathlib import Path

from dnntrain.data.user_data import TEST, TRAIN, VALIDATION

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PART_FOLDERS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip


def subfolders(folder: Path) -> list[Path]:
    """The subfolders that are not hidden, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def visible_files(folder: Path) -> list[Path]:
    """All files below a folder that are not hidden."""
    found = (path for path in folder.rglob("*") if not any(map(is_hidden, path.relative_to(folder).parts)))
    return [path for path in found if path.is_file()]


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is __MACOSX, which macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"
