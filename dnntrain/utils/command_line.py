"""The command line of this process, as a user would type it again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command_line() -> str:
    """The `dnntrain …` that this process runs; empty if it runs another program, such as a script or a notebook."""
    program = Path(sys.argv[0])
    is_command = program.stem == "dnntrain" or program.parts[-2:] == ("dnntrain", "__main__.py")
    return shlex.join(["dnntrain", *sys.argv[1:]]) if is_command else ""
