"""The command line in this process, training included: thousands of commands in the time of a few processes.

`run_here` runs a command as a user would; `answer` also cuts it off from the network and from long training.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import torch

from dnntrain.__main__ import main
from dnntrain.data import download, source
from dnntrain.errors import InputError
from dnntrain.executors.base import Executor
from dnntrain.executors.jobs import Event, Job, SendEvent
from dnntrain.executors.local import LocalExecutor
from dnntrain.executors.planner import cost
from dnntrain.executors.registry import EXECUTORS
from dnntrain.executors.worker import cached_dataset, run_job

torch.set_num_threads(1)  # as a worker; and loading it takes longer than what is timed here
DEAREST, LONGEST = 1.0, 5.0
"""What a population may cost (`planning.cost`), and how many seconds it may take, to be trained here."""
TERMINAL = {"COLUMNS", "FORCE_COLOR"}
"""Variables of the caller's terminal, which a command's output would depend on."""
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


class Inline(LocalExecutor):
    """Trains in this process, what is small."""

    def __init__(self, workers: int | None = None, device: str = "auto", options: object = None) -> None:
        super().__init__(1, "cpu")

    def run(self, jobs: Iterable[Job], handle: SendEvent) -> None:
        for job in jobs:
            try:
                if cost(job.specs) > DEAREST:
                    raise Hang
                with alarm(LONGEST):
                    end = run_job(job, handle)
            except Hang:
                raise InputError("population: too dear to be trained in a test") from None
            handle(end)


def inline(executor: type[Executor]) -> type[Executor]:
    """What stands for an executor; its options and its words in the help are the same."""
    return type("Inline", (Inline,), {"summary": executor.summary, "Options": executor.Options})


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


class Here(Executor):
    """Trains in this process, with the bits of a worker."""

    name, summary, Options = "local", LocalExecutor.summary, LocalExecutor.Options

    def __init__(self, workers: int | None = None, device: str = "auto", options: object = None) -> None:
        super().__init__(workers, device)
        self.events: list[Event] = []

    def submit(self, job: Job) -> None:
        self.events.append(run_job(job, self.events.append))

    def poll(self, timeout: float) -> list[Event]:
        events, self.events = self.events, []
        return events

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextlib.contextmanager
def as_if_new(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """The process as a command finds it that was started in this folder: without memory of other commands."""
    torch.set_grad_enabled(True)  # an alarm may have come where gradients were off
    source._outlines.clear()
    cached_dataset.cache_clear()
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, env),
        mock.patch.object(sys, "argv", ["dnntrain", *words]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(), encoding="utf-8")),
    ):
        yield


def run_here(
    words: Sequence[str], folder: Path, env: Mapping[str, str], seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `dnntrain WORDS…` in a folder to its end. An unexpected exception is raised."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with (
        as_if_new(words, folder, env),
        mock.patch.dict(EXECUTORS, local=Here),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        alarm(seconds),
    ):
        for name in TERMINAL - env.keys():
            os.environ.pop(name, None)  # `as_if_new` brings it back
        with pytest.raises(SystemExit) as end:
            main()
    return subprocess.CompletedProcess(["dnntrain", *words], int(end.value.code or 0), *map(told, streams))


@contextlib.contextmanager
def as_if_alone(words: Sequence[str], folder: Path, width: int = 80) -> Iterator[None]:
    """As in `as_if_new`, without a network, and with a home in the folder."""
    home = {"HOME": str(folder), "DNNTRAIN_DATA": str(folder / "data-home"), "COLUMNS": str(width), "TERM": "xterm"}
    with (
        as_if_new(words, folder, home),
        mock.patch.object(socket.socket, "connect", no_network),
        mock.patch.object(socket, "getaddrinfo", no_network),
        mock.patch.object(download, "DELAYS", (0, 0)),
        mock.patch.dict(EXECUTORS, {name: inline(executor) for name, executor in EXECUTORS.items()}),
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
