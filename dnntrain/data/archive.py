"""Extracts chosen files from a tar archive, atomically."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath


def unpack(archive: Path, folder: Path, sizes: Mapping[str, int]) -> None:
    """Extract some files of a gzipped tar archive into a folder, which appears only when it is complete.

    Files with these names that are already in the folder are replaced.

    Args:
        archive: A .tar.gz file.
        folder: Where the files go, under the last part of their names.
        sizes: Maps each file's name in the archive to its size in bytes. Nothing else is extracted.

    Raises:
        ValueError: The archive is damaged, or lacks a file; says which.
        OSError: The folder cannot be written.
    """
    scratch = folder.with_name(folder.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)  # left by a killed process
    scratch.mkdir()
    try:
        _extract(archive, scratch, sizes)
        if not folder.exists():
            scratch.rename(folder)
            return
        for path in scratch.iterdir():  # the folder exists, but was incomplete
            os.replace(path, folder / path.name)
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
        raise ValueError(f"damaged or truncated archive ({error})") from None
    raise ValueError(f"an archive without {', '.join(missing)}")


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, size: int, folder: Path) -> None:
    """Write one member; ValueError if it is a link, a device, or a folder, or has another size."""
    content = tar.extractfile(member) if member.isreg() and member.size == size else None
    if content is None:
        raise ValueError(f"its member {member.name} is not a file of {size:,} bytes")
    with content, (folder / PurePosixPath(member.name).name).open("xb") as out:
        shutil.copyfileobj(content, out)
