"""Chosen files out of a tar archive: these, whole, and nothing else."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath


def unpack(archive: Path, folder: Path, sizes: Mapping[str, int]) -> None:
    """Put the files `sizes` (name in the gzipped archive → bytes) into `folder`, which appears whole or not at all.

    Each goes by the last part of its name; whatever else the archive has stays there. Files of these names that are in
    `folder` already are replaced.
    Raises ValueError with the reason where the archive is damaged or lacks a file, OSError where `folder` cannot be
    written.
    """
    scratch = folder.with_name(folder.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)  # a killed process left it
    scratch.mkdir()
    try:
        _extract(archive, scratch, sizes)
        _move(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _extract(archive: Path, folder: Path, sizes: Mapping[str, int]) -> None:
    missing = dict(sizes)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.name in missing:
                    _copy(tar, member, missing.pop(member.name), folder)
                if not missing:
                    return
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"damaged or cut-off archive ({error})") from None
    raise ValueError(f"an archive without {', '.join(missing)}")


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, size: int, folder: Path) -> None:
    """Write one member; ValueError for a link, a device, a folder or another size."""
    content = tar.extractfile(member) if member.isreg() and member.size == size else None
    if content is None:
        raise ValueError(f"{member.name} in it is not a file of {size:,} bytes")
    with content, (folder / PurePosixPath(member.name).name).open("xb") as out:
        shutil.copyfileobj(content, out)


def _move(scratch: Path, folder: Path) -> None:
    if not folder.exists():
        scratch.rename(folder)
        return
    for path in scratch.iterdir():  # the folder was there, but incomplete
        os.replace(path, folder / path.name)
