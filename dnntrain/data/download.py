"""One file from the internet: resumed where it stopped, checked, and whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dnntrain.errors import DnntrainError

TIMEOUT = 20.0
"""Seconds without an answer or a byte after which a mirror is given up."""
_CHUNK = 1 << 16


class DownloadError(DnntrainError):
    """No mirror gave the file: the network, a server or the file served is at fault, not this machine's disk."""


def download(mirrors: Sequence[str], destination: Path, md5: str, progress: bool = True) -> None:
    """Put the file at one of the URLs `mirrors`, tried in order, at `destination`, if its MD5 is `md5`.

    What arrives is kept in `destination`.part, so the next mirror or the next call goes on from there.
    `progress` shows a bar on stderr (one plain line where stderr is not a terminal).
    Raises DownloadError where every mirror fails, DnntrainError where the file cannot be written.
    """
    part = destination.with_name(destination.name + ".part")
    failures = []
    try:
        for url in mirrors:
            try:
                _fetch(url, part, md5, progress)
            except DownloadError as error:
                failures.append(str(error))
            else:
                os.replace(part, destination)
                return
    except OSError as error:
        raise DnntrainError(f"{destination}: cannot be written ({error.strerror or error})") from None
    raise DownloadError("; ".join(failures) or f"no mirror is known for {destination.name}")


def _fetch(url: str, part: Path, md5: str, progress: bool) -> None:
    """Complete `part` from `url` and check it; a part that is complete but wrong is removed."""
    if not (part.exists() and _md5(part) == md5):
        _stream(url, part, progress)
    if _md5(part) != md5:
        part.unlink()
        raise DownloadError(f"{url}: wrong checksum, so what came is discarded; try again")


def _stream(url: str, part: Path, progress: bool) -> None:
    start = part.stat().st_size if part.exists() else 0
    with _open(url, start) as response:
        if response.status != 206:  # the server does not resume: from the beginning
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab" if start else "wb") as out, _progress(url, start, total, progress) as advance:
            for chunk in _chunks(url, response):
                out.write(chunk)
                advance(len(chunk))
    received = part.stat().st_size
    if total is not None and received < total:
        raise DownloadError(f"{url}: the connection ended after {received} of {total} bytes; try again to go on")


def _open(url: str, start: int) -> HTTPResponse:
    with _network(url):
        try:
            response: HTTPResponse = urlopen(_request(url, start), timeout=TIMEOUT)
        except HTTPError as error:
            if error.code != 416 or not start:  # 416: the part is longer than the file, so not a part of it
                raise
            response = urlopen(_request(url, 0), timeout=TIMEOUT)
        return response


def _request(url: str, start: int) -> Request:
    return Request(url, headers={"User-Agent": "dnntrain"} | ({"Range": f"bytes={start}-"} if start else {}))


def _chunks(url: str, response: HTTPResponse) -> Iterator[bytes]:
    while True:
        with _network(url):
            chunk = response.read(_CHUNK)
        if not chunk:
            return
        yield chunk


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Tell the network's errors from the disk's: both are OSError."""
    try:
        yield
    except HTTPError as error:
        raise DownloadError(f"{url}: the server answered {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(f"{url}: {getattr(error, 'reason', error)}") from None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _progress(url: str, start: int, total: int | None, wanted: bool) -> Iterator[Callable[[int], object]]:
    """What to call with the size of each chunk, in bytes."""
    if not wanted or not sys.stderr.isatty():
        if wanted:
            print(f"downloading {url}", file=sys.stderr)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(url.rsplit("/", 1)[-1], total=total, completed=start)
        yield lambda size: bar.advance(task, size)
