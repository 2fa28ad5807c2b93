"""The command line of this process, as a user would type it again."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

LOGIN = re.compile(r"(?<=://)[^/?#\s]+(?=@)")
"""The user and password in a URL, as in `--track mlflow:https://me:secret@host`."""


def command_line() -> str:
    """The `dnntrain …` that this process runs; empty if it runs another program, such as a script or a notebook.

    It is recorded and printed in reports, which are shared. So it has no login of a URL, and nothing that holds only
    for this process: `--join`, and the `--address` of a cluster.
    """
    program = Path(sys.argv[0])
    is_command = program.stem == "dnntrain" or program.parts[-2:] == ("dnntrain", "__main__.py")
    words = [LOGIN.sub("…", word) for word in without_plumbing(sys.argv[1:])]
    return shlex.join(["dnntrain", *words]) if is_command else ""


def without_plumbing(words: Sequence[str]) -> Iterator[str]:
    """The words without options that say how this process reaches others."""
    is_value = False
    for word in words:
        if not is_value and word != "--join" and word != "--address" and not word.startswith("--address="):
            yield word
        is_value = word == "--address"
