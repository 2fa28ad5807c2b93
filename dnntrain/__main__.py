"""Entry point of `dnntrain` and `python -m dnntrain`. Handles interrupts from the start, while modules still load."""

from __future__ import annotations

import signal
import sys

EXIT_INTERRUPTED = 130
TRAINING_COMMANDS = {"train", "ablate", "transfer"}


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it with one message."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM is handled like Ctrl-C
    try:
        from dnntrain.cli.main import run  # slow to import, and worker processes import this file

        code = run()
        if code == EXIT_INTERRUPTED:  # how some releases of typer report Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except KeyboardInterrupt:
        trains = not TRAINING_COMMANDS.isdisjoint(sys.argv[1:])
        kept = "; finished runs are recorded, and the same command continues from there" if trains else ""
        sys.stderr.write(f"error: interrupted{kept}\n")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
