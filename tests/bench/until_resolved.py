"""How often `dnntrain ablate --until-resolved` errs: studies whose arms differ in nothing but their random numbers.

Each study has a baseline and two more replicates of one setting (200 images, one epoch), so every verdict "better" or
"worse" is false. Studies are independent, because no two share a replicate. Runs are recorded under their settings, so
the runs of many studies are trained by one command first, which is faster. Then each study is a command of its own,
which finds its runs, and looks at 5, 7, 10, 14 and 20 seeds. Every 25th study trains for itself, in a store of its own,
and has to come to the same looks.

    python -m tests.bench.until_resolved --studies 200 --out /tmp/null

It prints the rate so far, and can be interrupted and started again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ARMS = 3
AT_A_TIME = 20
"""Studies whose runs one command trains."""
BY_ITSELF = 25
"""Every so many studies, one trains its own runs."""
MOST_SEEDS = 20
BASE = {"hidden": "10", "train_size": 200, "epochs": 1, "lr": 0.1}


def main() -> None:
    """Run the studies and print how many have a false verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    wrong, done, seeds, began = 0, 0, 0, time.monotonic()
    for first in range(0, arguments.studies, AT_A_TIME):
        numbers = range(first, min(first + AT_A_TIME, arguments.studies))
        store = arguments.out / f"batch-{first}"
        if not all((store / name_of(number) / "done").exists() for number in numbers):
            train_all(numbers, store)
        for number in numbers:
            looks = judge(number, store)
            seeds += looks[-1]["n"]
            wrong += any(is_false(arm["verdict"]) for look in looks for arm in look["resolved"].values())
            done += 1
        shutil.rmtree(store / "store", ignore_errors=True)
        rate = 100 * wrong / done
        minutes = (time.monotonic() - began) / 60
        print(
            f"{done} studies: {wrong} with a false verdict ({rate:.1f} %), {seeds / done:.1f} seeds on average, "
            f"{minutes:.1f} min",
            flush=True,
        )


def train_all(numbers: range, store: Path) -> None:
    """Train the runs of several studies with one command."""
    replicates = range(ARMS * numbers.start, ARMS * numbers.stop)
    preset = write_preset(store / "all.yaml", [*replicates], seeds=MOST_SEEDS)
    command("ablate", preset, "--out", store, "--workers", 1)


def judge(number: int, store: Path) -> list[dict[str, Any]]:
    """Run one study until it is resolved; returns its looks."""
    done = store / name_of(number) / "done"
    if not done.exists():
        replicates = [ARMS * number + arm for arm in range(ARMS)]
        preset = write_preset(store / f"{name_of(number)}.yaml", replicates, seeds="until-resolved")
        command("ablate", preset, "--out", store)
        if number % BY_ITSELF == 0:
            command("ablate", preset, "--out", store / "by-itself", "--workers", 1)
            if looks_of(store / "by-itself", number) != looks_of(store, number):
                raise SystemExit(f"study {number} comes to other looks if it trains by itself")
        done.touch()
    return looks_of(store, number)


def write_preset(path: Path, replicates: list[int], seeds: object) -> Path:
    """Write a preset with one arm for each replicate; the first is the baseline."""
    factors = {f"replicate {replicate}": {"replicate": replicate} for replicate in replicates}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"base": BASE, "design": "list", "seeds": seeds, "factors": factors}))
    return path


def looks_of(store: Path, number: int) -> list[dict[str, Any]]:
    """The looks that a study has recorded."""
    looks: list[dict[str, Any]] = json.loads((store / name_of(number) / "study.json").read_text())["looks"]
    return looks


def name_of(number: int) -> str:
    """The name of a study."""
    return f"null-{number}"


def is_false(verdict: str) -> bool:
    """Whether the verdict says that there is a difference."""
    return verdict.startswith(("better", "worse"))


def command(*words: object) -> None:
    """Run `dnntrain WORDS…`; its output is shown only if it fails."""
    call = [sys.executable, "-m", "dnntrain", *map(str, words)]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(call)}\n{result.stderr}")


if __name__ == "__main__":
    main()
