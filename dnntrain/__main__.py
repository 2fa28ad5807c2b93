"""`dnntrain` and `python -m dnntrain`: the command line, which can be interrupted from its first moment on."""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM end it with one message."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to be interrupted
    try:
        from dnntrain.cli.main import run  # takes a moment; a worker process, which imports this file, does not need it

        code = run()
        if code == INTERRUPTED:  # how some releases of typer pass Ctrl-C on
            raise KeyboardInterrupt
        sys.exit(code)
    except KeyboardInterrupt:
        sys.stderr.write(
            "error: interrupted; what is finished stays recorded, and the same command goes on from there\n"
        )
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
