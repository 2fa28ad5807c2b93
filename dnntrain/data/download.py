"""One file from the internet or from a folder: resumed where it stopped, checked, and whole or not there at all."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from filelock import BaseFileLock, FileLock, Timeout

from dnntrain.errors import DnntrainError
from dnntrain.utils import locks

TIMEOUT = 20.0
"""Seconds without an answer or a byte after which a try is given up."""
DELAYS = (0.5, 2.0)
"""Seconds to wait before the second and the third try at a mirror; there is no fourth."""
_PASSING = (408, 425, 429)
"""The answers from 400 to 499 that another try may change: the server was too busy."""
_CHUNK = 1 << 16


class DownloadError(DnntrainError):
    """No mirror gave the file: the network, a server or the file served is at fault, not this machine's disk."""


class _Refused(DownloadError):
    """The mirror does not have the file, or does not give it: another try would not change that."""


class _Damaged(DownloadError):
    """All came, and it is not the file."""


class _Incoming(NamedTuple):
    """What a mirror is about to send."""

    body: BufferedIOBase
    start: int
    """The first byte of the body is this byte of the file."""
    total: int | None
    """The file's bytes, where the mirror says how many."""


def address(mirror: str, name: str) -> str:
    """Where `mirror`, a URL or a folder's path, has the file `name`."""
    return f"{mirror.rstrip('/')}/{name}"


def download(mirrors: Sequence[str], destination: Path, md5: str, progress: bool = True) -> None:
    """Put the file at one of the addresses `mirrors`, tried in order, at `destination`, if its MD5 is `md5`.

    An address is a URL (http, https, file) or a path. What arrives is kept in `destination`.part, so the next try, the
    next mirror or the next call goes on from there. Of several processes that want the file, one fetches it.
    `progress` shows a bar on stderr (one plain line where stderr is not a terminal).
    Raises DownloadError where every mirror fails, DnntrainError where the file cannot be written.
    """
    with exclusive_write(destination, progress):
        if not _is(destination, md5):  # it is where another process fetched it meanwhile
            part = destination.with_name(destination.name + ".part")
            _from_any(mirrors, part, md5, progress)
            os.replace(part, destination)


@contextmanager
def exclusive_write(destination: Path, progress: bool = True) -> Iterator[None]:
    """Be the only process that makes `destination`, which NAME.lock beside it says; others wait here.

    Its folder is made, and removed again if nothing came.
    Raises DnntrainError for an OSError within: no room, read-only.
    """
    path = destination.with_name(destination.name + ".lock")
    lock = FileLock(path)
    try:
        made_folder = _hold(lock, destination, progress)
        try:
            yield
        finally:
            locks.release(lock)
            if made_folder:
                with suppress(OSError):  # unless something is in it
                    path.parent.rmdir()
    except OSError as error:
        remedy = "--data-dir chooses another folder"
        raise DnntrainError(f"{destination}: cannot be written ({error.strerror or error}); {remedy}") from None


def _hold(lock: BaseFileLock, destination: Path, progress: bool) -> bool:
    """Wait for the lock; whether its folder had to be made."""
    made_folder, timeout, forever = False, 0, -1
    while not lock.is_locked:
        made_folder |= not destination.parent.exists()
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            locks.acquire(lock, timeout)
        except Timeout:
            timeout = forever
            if progress:
                print(f"waiting for another process that is fetching {destination.name}", file=sys.stderr)
        except FileNotFoundError:
            continue  # whoever held it got nothing, and removed the folder
    return made_folder


def _from_any(mirrors: Sequence[str], part: Path, md5: str, progress: bool) -> None:
    failures = []
    for url in mirrors:
        try:
            _from_one(url, part, md5, progress)
        except DownloadError as error:
            failures.append(str(error))
        else:
            return
    kept = "; try again to go on" if part.exists() else ""
    raise DownloadError("; ".join(failures) + kept if failures else f"no mirror is known for {part.stem}")


def _from_one(url: str, part: Path, md5: str, progress: bool) -> None:
    """Complete `part` from one mirror: three tries, two if all comes and is wrong, one if the mirror refuses."""
    damaged = 0
    for delay in (*DELAYS, None):
        try:
            _fetch(url, part, md5, progress)
        except DownloadError as error:
            damaged += isinstance(error, _Damaged)
            if delay is None or damaged > 1 or isinstance(error, _Refused):
                raise
            if progress:
                print(f"{error}; next try in {delay:g} s", file=sys.stderr)
            time.sleep(delay)
        else:
            return


def _fetch(url: str, part: Path, md5: str, progress: bool) -> None:
    """Complete `part` from `url` and check it; a part that is complete but wrong is removed."""
    if not _is(part, md5):
        _stream(url, part, progress)
    if not _is(part, md5):
        part.unlink()
        raise _Damaged(f"{url}: wrong checksum, so what came is discarded")


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
    """What comes, as it comes, but no more than was said."""
    left = math.inf if incoming.total is None else incoming.total - incoming.start
    while left:
        with _network(url):
            chunk = incoming.body.read1(int(min(_CHUNK, left)))  # read() would lose what came before a stall
        if not chunk:
            return
        left -= len(chunk)
        yield chunk


def _open(url: str, start: int) -> _Incoming:
    """The file from byte `start` on, or from the beginning where that cannot be had."""
    with _network(url):
        if urlsplit(url).scheme not in ("http", "https"):
            return _from_disk(_path(url), start)
        return (_rest(url, start) if start else None) or _incoming(_ask(url, {}), 0)


def _path(url: str) -> Path:
    return Path(url2pathname(url.removeprefix("file:"))) if url.startswith("file:") else Path(url).expanduser()


def _from_disk(path: Path, start: int) -> _Incoming:
    total = path.stat().st_size
    body = path.open("rb")
    return _Incoming(body, body.seek(start if start < total else 0), total)


def _rest(url: str, start: int) -> _Incoming | None:
    """What follows the first `start` bytes; None where the server has no such rest, or sends something else."""
    try:
        response = _ask(url, {"Range": f"bytes={start}-"})
    except HTTPError as error:
        if error.code != 416:  # 416: what is here is longer than the file, so not a part of it
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
        raise _Refused(f"{url}: a web page came instead of the file; does this network ask for a login?")
    return response


def _incoming(response: HTTPResponse, start: int) -> _Incoming:
    return _Incoming(response, start, None if response.length is None else start + response.length)


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Tell the network's errors from the disk's: both are OSError."""
    try:
        yield
    except HTTPError as error:
        error.close()
        kind = _Refused if 400 <= error.code < 500 and error.code not in _PASSING else DownloadError
        raise kind(f"{url}: the server answered {error.code} {error.reason}") from None
    except TimeoutError:
        raise DownloadError(f"{url}: nothing came for {TIMEOUT:g} s") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise _Refused(f"{url}: cannot be read ({error.strerror})") from None
    except (OSError, HTTPException, ValueError, RuntimeError) as error:  # RuntimeError: a ~user that is not there
        raise DownloadError(f"{url}: {getattr(error, 'reason', error)}") from None


def _is(path: Path, md5: str) -> bool:
    """Whether there is a file of that MD5."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


@contextmanager
def _progress(url: str, start: int, total: int | None, wanted: bool) -> Iterator[Callable[[int], object]]:
    """What to call with the size of each chunk, in bytes."""
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
