"""The command line within this process, training included: thousands of commands in the time of a few processes."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

from dnntrain.__main__ import main
from dnntrain.data import download, source
from dnntrain.errors import InputError
from dnntrain.executors import registry
from dnntrain.executors.local import Executor
from dnntrain.executors.planner import cost
from dnntrain.executors.worker import Event, Job, load_once, run_job

torch.set_num_threads(1)  # as a worker; and loading it takes longer than what is timed here
DEAREST, LONGEST = 1.0, 5.0
"""What a population may cost (`planning.cost`), and how many seconds it may take, to be trained here."""
MOST_LINES = 8
"""Lines that an error may have."""

KNOWN_FAILURES = (
    r"cannot write to ",
    r": cannot be written \(",
    r"^error: [^\n]*: (File name too long|Is a directory|Not a directory|Permission denied|embedded null byte)",
    r"nothing was removed",
    r"^error: interrupted",  # nobody answers whether something is to be removed
    r"device (cuda|mps) is not available",
    r"(no network|Errno)[^\n]*",
    r"population: too dear",
)
"""Errors that rightly end with another exit code than 2."""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int | None
    """None where it was no orderly end."""
    out: str
    err: str

    breaks: int = 0
    """Line breaks in the words of the command, which an error repeats."""

    @property
    def trouble(self) -> str:
        """What should not be: a traceback, a hang, an exit code or an error that nobody can make sense of."""
        if self.code is None:
            return self.err
        told = self.err.strip().splitlines()
        said = next((line for line in told if line.startswith("error: ")), "")
        # an alarm that comes in a destructor is printed as ignored
        if ("Traceback" in self.err and "Hang" not in self.err) or re.search(r"\w\.py:\d+\)", said):
            return f"a traceback, of a kind: {said}"
        if self.code and not said and self.code not in (1, 3):
            return f"exit code {self.code} and no error"
        if self.code and len(told) > MOST_LINES + 2 * self.breaks:
            return f"{len(told)} lines of error: {said[:80]}"
        if self.code not in (0, 2) and said and not any(re.search(known, self.err) for known in KNOWN_FAILURES):
            return f"exit code {self.code}: {said}"
        return ""


class Hang(BaseException):
    """The command took too long."""


class Inline:
    """Trains in this process, what is small."""

    workers = 1

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        for job in jobs:
            events: list[Event] = []
            try:
                if cost(job.specs) > DEAREST:
                    raise Hang
                with alarm(LONGEST):
                    end = run_job(job, events.append)
            except Hang:
                raise InputError("population: too dear to be trained in a test") from None
            yield from events
            yield end

    def stop(self) -> None:
        """There is nothing at work between two events."""


def inline(workers: int | None, device: str, address: str | None) -> Executor:
    """What stands for every executor."""
    return Inline()


def no_network(*arguments: object) -> None:
    """What stands for every connection."""
    raise OSError(101, "no network in a test")


def hang(number: int, frame: object) -> None:
    """What comes when the time is over."""
    raise Hang


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raises Hang within it after so many seconds; afterwards signals mean what they meant before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGALRM, hang)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def as_if_alone(words: Sequence[str], folder: Path, width: int = 80) -> Iterator[None]:
    """The process as a command finds it that was started in this folder: no memory, no network."""
    torch.set_grad_enabled(True)  # an alarm may have come where gradients were off
    source._outlines.clear()
    load_once.cache_clear()
    home = {"HOME": str(folder), "DNNTRAIN_DATA": str(folder / "data-home"), "COLUMNS": str(width), "TERM": "xterm"}
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, home),
        mock.patch.object(sys, "argv", ["dnntrain", *words]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(), encoding="utf-8")),
        mock.patch.object(socket.socket, "connect", no_network),
        mock.patch.object(socket, "getaddrinfo", no_network),
        mock.patch.object(download, "DELAYS", (0, 0)),
        mock.patch.dict(registry.EXECUTORS, dict.fromkeys(registry.EXECUTORS, inline)),
    ):
        yield


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def answer(words: Sequence[str], folder: Path, seconds: float = 60, width: int | None = None) -> Answer:
    """What `dnntrain WORDS…` answers in a folder; on a terminal where a width is given."""
    kind = io.TextIOWrapper if width is None else Terminal
    streams = [kind(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    code: int | None = None
    with (
        as_if_alone(words, folder, width or 80),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        try:
            with alarm(seconds):
                main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else None
        except Hang as error:
            streams[1].write(f"Hang after {seconds} s at {place(error)}")
        except BaseException as error:
            streams[1].write(f"{type(error).__name__}: {error!s:.200} at {place(error)}")
    out, err = (told(stream) for stream in streams)
    return Answer(code, out, err, sum(word.count("\n") for word in words))


def told(stream: io.TextIOWrapper) -> str:
    """What was written."""
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode("utf-8", "replace")


def place(error: BaseException) -> str:
    """The innermost line of dnntrain that an error went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/dnntrain/" in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].line}" if frames else "outside"
