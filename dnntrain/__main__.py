"""Entry point of `dnntrain` and `python -m dnntrain`. Handles interrupts from the start, while modules still load."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_INTERRUPTED = 130
TRAINING_COMMANDS = {"train", "ablate", "transfer"}


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it with one message."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM is handled like Ctrl-C
    gc.set_threshold(50_000, 10, 10)  # imports make hundreds of thousands of objects, and no garbage
    try:
        with worker_ahead(sys.argv[1:]):
            from dnntrain.cli.main import run  # slow to import

            code = run()
        if code == EXIT_INTERRUPTED:  # how some releases of typer report Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except KeyboardInterrupt:
        trains = not TRAINING_COMMANDS.isdisjoint(sys.argv[1:])
        kept = "; finished runs are recorded, and the same command continues from there" if trains else ""
        sys.stderr.write(f"error: interrupted{kept}\n")
        sys.exit(EXIT_INTERRUPTED)


@contextmanager
def worker_ahead(words: list[str]) -> Iterator[None]:
    """Start a worker if the command is likely to train in one: it loads torch while this process loads the rest.

    A wrong guess costs some processor time only.
    """
    several = words[:1] in (["ablate"], ["transfer"]) or (words[:1] == ["train"] and {"-n", "--seeds"} & {*words})
    if not several or {"--plan", "--help", "--executor", "--device"} & {*words}:
        yield  # a single run trains in this process
        return
    from dnntrain.executors.worker_process import SPARE_WORKERS

    with SPARE_WORKERS.started(1):
        importlib.import_module("scipy.special")  # reports need it, and the worker takes longer to start than this
        yield


if __name__ == "__main__":
    main()
