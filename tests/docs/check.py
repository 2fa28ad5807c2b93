"""Runs every console block of the pages, those that train included: `make docs-check`.

All commands run in one folder, in the order of the pages, so that a study is trained once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from dnntrain.cli.docs import PAGES_FOLDER
from tests.docs.blocks import blocks, write_examples, write_files
from tests.docs.generated import GROUPS


def main() -> int:
    """Run the blocks; exit code 1 if a command fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", default=["README", *(page for names in GROUPS.values() for page in names)])
    parser.add_argument("--out", type=Path, default=Path("build/docs"), help="folder to run in")
    arguments = parser.parse_args()
    folder = arguments.out.resolve()
    if not (folder / "houses.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_examples(folder)
    program = folder / "bin" / "dnntrain"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dnntrain "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(PAGES_FOLDER.parents[1])}
    failed = 0
    for page in arguments.pages:
        write_files(page, folder)
        for command in [c for block in blocks(page) if block.language == "console" for c in block.commands]:
            began = time.perf_counter()
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False
            )
            failed += done.returncode != 0
            state = "ok" if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr.strip()[-500:]}"
            print(f"{page}: {command}  ({time.perf_counter() - began:.0f} s): {state}", flush=True)
    print(f"{failed} commands failed" if failed else "all commands ran")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
