"""What the coordinator costs a run: thousands of trivial runs, really trained, recorded and reported.

    python -m tests.bench.coordinator [--runs 1000 10000]

The coordinator's own time is the processor's time of its process, the workers' not counted; what the whole study
takes, and its largest memory, stand beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.command import environment

ARMS = 20
BASE = "{hidden: 1, epochs: 1, train_size: 20, val: 20, batch_size: 20}"


def preset(runs: int) -> str:
    """A study of so many runs: arms that differ in their rate, over many seeds."""
    factors = "".join(f"  rate {number}: {{lr: {0.001 * number:.3f}}}\n" for number in range(1, ARMS))
    return f"base: {BASE}\nfactors:\n{factors}seeds: {runs // ARMS}\n"


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds that a command took, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-500:]}")
    return time.perf_counter() - started, done.stdout


def measure(runs: int) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many.yaml").write_text(preset(runs))
        dnntrain = [sys.executable, "-m", "dnntrain"]
        study = [sys.executable, str(Path(__file__).with_name("coordinator_study.py")), "many.yaml"]
        seconds, out = timed(study, folder)
        of = json.loads(out)
        again, _ = timed([*dnntrain, "ablate", "many.yaml"], folder)
        report, _ = timed([*dnntrain, "report", "runs/many"], folder)
    own = f"{1000 * of['coordinator_s'] / runs:11.2f} ms"
    return f"{runs:6d}   {seconds:7.1f} s   {own}   {of['peak_mib']:7.0f} MiB   {again:7.1f} s   {report:6.1f} s"


def main() -> None:
    """Print a line for each number of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000])
    print("  runs   the study   coordinator/run   peak memory   once more   report")
    for runs in parser.parse_args().runs:
        print(measure(runs), flush=True)


if __name__ == "__main__":
    main()
