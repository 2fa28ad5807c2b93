"""Downloads one file from a URL or a folder: resumable, verified, and atomic."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.errors import DnntrainError

TIMEOUT = 20.0
"""Seconds without a response or a byte before an attempt is given up."""
DELAYS = (0.5, 2.0)
"""Seconds to wait before the second and third attempts at a mirror; there is no fourth."""
_TRANSIENT = (408, 425, 429)
"""The 4xx status codes that are worth another attempt: the server was too busy."""
_CHUNK = 1 << 16


class DownloadError(DnntrainError):
    """No mirror delivered the file. The network, a server, or the served file is at fault, not the local disk."""


class _Refused(DownloadError):
    """The mirror does not have the file or refuses it; another attempt would not help."""


class _Damaged(DownloadError):
    """The download is complete, but it is not the file."""


class _Incoming(NamedTuple):
    """A response that is about to be read."""

    body: BufferedIOBase
    start: int
    """The offset of the body in the file, in bytes."""
    total: int | None
    """The file's size in bytes, if the mirror reports it."""


def address(mirror: str, name: str) -> str:
    """The address of a file on a mirror, which is a URL or a folder."""
    return f"{mirror.rstrip('/')}/{name}"


def download(mirrors: Sequence[str], destination: Path, md5: str, progress: bool = True) -> None:
    """Download a file and verify it.

    Partial data stay in `destination`.part, so the next attempt, mirror, or call resumes there. If several processes
    want the file, one downloads it and the others wait.

    Args:
        mirrors: Addresses of the file, tried in order: URLs (http, https, file) or paths.
        destination: Where the file goes.
        md5: The file's MD5, in hexadecimal.
        progress: Show a bar on stderr, or one plain line if stderr is not a terminal.

    Raises:
        DownloadError: Every mirror failed.
        DnntrainError: The file cannot be written.
    """
    with exclusive_write(destination, progress):
        if not _has_md5(destination, md5):  # another process may have downloaded it meanwhile
            part = destination.with_name(destination.name + ".part")
            _from_any(mirrors, part, md5, progress)
            os.replace(part, destination)


def _from_any(mirrors: Sequence[str], part: Path, md5: str, progress: bool) -> None:
    failures = []
    for url in mirrors:
        try:
            _from_one(url, part, md5, progress)
        except DownloadError as error:
            failures.append(str(error))
        else:
            return
    hint = "; try again to resume" if part.exists() else ""
    raise DownloadError("; ".join(failures) + hint if failures else f"no mirror is known for {part.stem}")


def _from_one(url: str, part: Path, md5: str, progress: bool) -> None:
    """Complete `part` from one mirror: three attempts, two if the file is wrong, one if the mirror refuses."""
    damaged = 0
    for delay in (*DELAYS, None):
        try:
            _fetch(url, part, md5, progress)
        except DownloadError as error:
            damaged += isinstance(error, _Damaged)
            if delay is None or damaged > 1 or isinstance(error, _Refused):
                raise
            if progress:
                print(f"{error}; next attempt in {delay:g} s", file=sys.stderr)
            time.sleep(delay)
        else:
            return


def _fetch(url: str, part: Path, md5: str, progress: bool) -> None:
    """Complete `part` from `url` and verify it; a complete but wrong file is removed."""
    if not _has_md5(part, md5):
        _stream(url, part, progress)
    if not _has_md5(part, md5):
        part.unlink()
        raise _Damaged(f"{url}: wrong checksum, so the download is discarded")


def _stream(url: str, part: Path, progress: bool) -> None:
    incoming = _open(url, part.stat().st_size if part.exists() else 0)
    body, start, total = incoming
    with body, part.open("ab" if start else "wb") as out, _progress(url, start, total, progress) as advance:
        for chunk in _chunks(url, incoming):
            out.write(chunk)
            advance(len(chunk))
    received = part.stat().st_size
    if total is not None and received < total:
        raise DownloadError(f"{url}: the connection ended after {received} of {total} bytes")


def _chunks(url: str, incoming: _Incoming) -> Iterator[bytes]:
    """Yield chunks as they arrive, but no more bytes than announced."""
    remaining = math.inf if incoming.total is None else incoming.total - incoming.start
    while remaining:
        with _network(url):
            chunk = incoming.body.read1(
                int(min(_CHUNK, remaining))
            )  # read() would lose data that arrived before a stall
        if not chunk:
            return
        remaining -= len(chunk)
        yield chunk


def _open(url: str, start: int) -> _Incoming:
    """Open the file at byte `start`, or at its beginning if the server cannot resume."""
    with _network(url):
        if urlsplit(url).scheme not in ("http", "https"):
            return _from_disk(_path(url), start)
        return (_rest(url, start) if start else None) or _incoming(_ask(url, {}), 0)


def _path(url: str) -> Path:
    if url.startswith("file:"):
        return Path(url2pathname(url.removeprefix("file:")))
    return Path(url).expanduser() if url.startswith("~") else Path(url)  # Path drops the dot of `./~x`


def _from_disk(path: Path, start: int) -> _Incoming:
    total = path.stat().st_size
    body = path.open("rb")
    return _Incoming(body, body.seek(start if start < total else 0), total)


def _rest(url: str, start: int) -> _Incoming | None:
    """Request the bytes from `start` on; None if the server does not send exactly those."""
    try:
        response = _ask(url, {"Range": f"bytes={start}-"})
    except HTTPError as error:
        if error.code != 416:  # 416: the part is longer than the file, so it is not a part of it
            raise
        error.close()
        return None
    if response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return _incoming(response, start)
    response.close()
    return None


def _ask(url: str, headers: dict[str, str]) -> HTTPResponse:
    response: HTTPResponse = urlopen(Request(url, headers={"User-Agent": "dnntrain"} | headers), timeout=TIMEOUT)
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise _Refused(f"{url}: got a web page instead of the file; does this network require a login?")
    return response


def _incoming(response: HTTPResponse, start: int) -> _Incoming:
    return _Incoming(response, start, None if response.length is None else start + response.length)


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Turn network errors into DownloadError, to tell them from disk errors: both are OSError."""
    try:
        yield
    except HTTPError as error:
        error.close()
        kind = _Refused if 400 <= error.code < 500 and error.code not in _TRANSIENT else DownloadError
        raise kind(f"{url}: the server responded {error.code} {error.reason}") from None
    except TimeoutError:
        raise DownloadError(f"{url}: no data for {TIMEOUT:g} s") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise _Refused(f"{url}: cannot be read ({error.strerror})") from None
    except (OSError, HTTPException, ValueError, RuntimeError) as error:  # RuntimeError: unknown ~user
        raise DownloadError(f"{url}: {getattr(error, 'reason', error)}") from None


def _has_md5(path: Path, md5: str) -> bool:
    """Whether the file exists and has this MD5."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


@contextmanager
def _progress(url: str, start: int, total: int | None, wanted: bool) -> Iterator[Callable[[int], object]]:
    """Yield a function to call with the size of each chunk in bytes."""
    if not wanted or not sys.stderr.isatty():
        if wanted:
            print(f"downloading {url}", file=sys.stderr)
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from dnntrain.utils.console import console

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task(url.rsplit("/", 1)[-1], total=total, completed=start)
        yield lambda size: bar.advance(task, size)
