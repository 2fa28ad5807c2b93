"""Signal handlers that are put back when a block ends. Only the command line installs its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handlers_restored() -> Iterator[bool]:
    """Restore the handlers of SIGINT and SIGTERM afterwards. Yields False outside the main thread, which has none."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    try:
        yield True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def graceful_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM call `stop`, and the second one raise KeyboardInterrupt."""

    def handle(number: int, frame: object) -> None:
        for each in INTERRUPTS:
            signal.signal(each, signal.default_int_handler)
        stop()

    with handlers_restored() as in_main_thread:
        for number in INTERRUPTS if in_main_thread else ():
            signal.signal(number, handle)
        yield
