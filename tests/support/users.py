"""Commands of another user, one without a name or a home, as in a container. Only root can start them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import environment

UID = 54321
# may read what root may, as Python itself may lie in root's home, but may not write there
CAPABILITY = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
SETPRIV = ("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", *CAPABILITY, "--")


def can_change_user() -> bool:
    """Whether a command can be started as another user here."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"):
        return False
    return subprocess.run([*SETPRIV, "true"], capture_output=True).returncode == 0


as_root = pytest.mark.skipif(not can_change_user(), reason="needs root and setpriv, to act as two users")


COMMANDS = """
import json, sys
from dnntrain.__main__ import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["dnntrain", *words]
    try:
        main()
    except SystemExit as end:
        print("exit code", end.code, flush=True)
"""


def another_user(program: str, *words: object, cwd: Path, umask: int = -1) -> subprocess.CompletedProcess[str]:
    """Run a program of Python to its end as a user without a name and a home."""
    gone = {"HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "DNNTRAIN_DATA", "USER", "LOGNAME"}
    known = {key: value for key, value in environment().items() if key not in gone} | {"TMPDIR": str(cwd)}
    command = [*SETPRIV, sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=known, capture_output=True, text=True, timeout=120, umask=umask)


def commands_of_another_user(*commands: list[str], cwd: Path, umask: int = -1) -> subprocess.CompletedProcess[str]:
    """Run `dnntrain WORDS…` for each list of words, one after the other in one process, as `another_user` does.

    After each, its exit code is printed.
    """
    return another_user(COMMANDS, json.dumps(commands), cwd=cwd, umask=umask)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may read; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
