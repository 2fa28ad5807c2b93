"""Do two checkouts of dnntrain give the same results, bit for bit?

    python -m tests.bench.same_results BEFORE AFTER --keep /tmp/same_results

Runs every shipped preset of each checkout, cut to two seeds, few epochs, and the embedded data, the presets in
tests/cases/same_results, and some transfer studies. Then it compares the run ids, results.csv, history.csv, and
every weights file. Times are left out, and renamed flags, preset keys, and columns are matched by RENAMES.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import yaml

FLAGS = {
    "--freeze": "--freeze-epochs",
    "--unfreeze": "--unfreeze-layers",
    "--reuse": "--transfer-layers",
    "--draw": "--subset",
    "--val-part": "--val-from",
    "--ladder": "--strategies",
    "--curve": "--train-sizes",
    "--corrupt": "--max-corrupt",
    "--leave-out": "--drop-columns",
}
"""Renamed flags, old to new. A checkout gets the new one where its `--help` shows it."""

VALUES = {"--draw": {"seed": "per-seed", "same": "shared"}}
"""Renamed values, by the old flag. They go with the flag's new name."""

KEYS = {old[2:].replace("-", "_"): new[2:].replace("-", "_") for old, new in FLAGS.items()}
"""Renamed settings: a preset's keys, and columns of results.csv."""

COLUMNS = KEYS | {"so": "reading"}
"""Renamed columns, old to new."""

TIMES = {"seconds"}
"""Columns that differ from one training to the next."""

CASES = Path(__file__).parents[1] / "cases"
SEEDS, TRAIN_SIZE, VAL = 2, 500, 500
FEW_IMAGES = {"train_size": 40, "val": 40, "classes": "Sandal,Shirt", "resize": 16}
"""The data of a preset that starts from an image network, which is slow."""

WHOLE = {"schedules"}
"""Presets that train on all examples of the embedded data, so that this path is seen as well."""

BASE = (
    "train --name base --hidden 30,20,10 --act selu --classes T-shirt/top,Trouser,Pullover,Dress,Coat,Sneaker "
    "--train-size 500 --val 500 --epochs 2"
)
FROM_BASE = "transfer --from runs/base --seeds 2 --classes Sandal,Shirt --val 200"
FROM_IMAGES = "transfer --from efficientnet-lite0 --seeds 2 --classes Sandal,Shirt --val 40 --resize 16"
TRANSFERS = (
    BASE,
    f"{FROM_BASE} --name transfer-frozen --epochs 2 --train-size 100",
    f"{FROM_BASE} --name transfer-unfrozen --epochs 3 --train-size 100 --val-part first --freeze 1 --unfreeze 2 "
    "--unfreeze-lr 0.002 --drop 1 --head 8",
    f"{FROM_BASE} --name transfer-strategies --epochs 2 --train-size 100 --ladder",
    f"{FROM_BASE} --name transfer-sizes --epochs 2 --curve 20,50 --unfreeze all",
    f"{FROM_IMAGES} --name transfer-images --epochs 2 --train-size 40 --draw same --no-scratch",
)
"""Commands, in the old words. The first trains what the dense transfers start from."""

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Tree:
    """A checkout of dnntrain, and the Python that runs it."""

    path: Path
    python: Path

    @cached_property
    def flags(self) -> set[str]:
        """The flags of its `train` and `transfer`."""
        pages = product(("train", "transfer"), ("--help", "--help-all"))  # older checkouts have no --help-all
        helps = [self.run([*words], Path.cwd()).stdout for words in pages]
        return set(re.findall(r"--[a-z0-9-]+", "".join(helps)))

    def run(self, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run `dnntrain WORDS…` of this checkout in the folder."""
        env = os.environ | {"PYTHONPATH": str(self.path), "COLUMNS": "200"}
        command = [str(self.python), "-P", "-m", "dnntrain", *words]  # not the package of the working directory
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)

    def is_renamed(self, flag: str) -> bool:
        """Whether this checkout has the flag's new name."""
        return FLAGS.get(flag) in self.flags

    def words(self, command: str) -> list[str]:
        """A command in this checkout's words."""
        words = command.split()
        for place, flag in enumerate(words):
            if self.is_renamed(flag):
                words[place] = FLAGS[flag]
                if flag in VALUES:
                    words[place + 1] = VALUES[flag][words[place + 1]]
        return words

    def preset(self, content: Any) -> Any:
        """A preset, or a part of it, with this checkout's keys."""
        if not isinstance(content, dict):
            return content
        renamed = {}
        for key, value in content.items():
            flag = "--" + str(key).replace("_", "-")
            if self.is_renamed(flag):
                renamed[KEYS[key]] = VALUES.get(flag, {}).get(value, value)
            else:
                renamed[key] = self.preset(value)
        return renamed

    def plan(self) -> tuple[dict[str, str], list[list[str]]]:
        """The files that the studies need, by name, and the commands that run them."""
        presets = {path.name: cut(path.stem, read(path)) for path in sorted(self.path.glob("presets/*.yaml"))}
        presets |= {path.name: self.preset(read(path)) for path in sorted(CASES.glob("same_results/*.yaml"))}
        files = {name: yaml.safe_dump(content, sort_keys=False) for name, content in presets.items()}
        commands = [["ablate", name] for name in files] + [self.words(command) for command in TRANSFERS]
        files["reg.csv"] = (CASES / "reg.csv").read_text(encoding="utf-8")
        return files, [[*words, "--workers", "1", "--data-dir", "data"] for words in commands]

    def train(self, scratch: Path, keep: Path | None = None, only: str = "") -> Path:
        """Train the studies, or take those that were kept of the same commit; their store."""
        files, commands = self.plan()
        folder = scratch
        if keep and (commit := self.commit()):
            plan = json.dumps([files, commands]).encode()
            folder = keep.absolute() / f"{commit[:12]}-{hashlib.sha256(plan).hexdigest()[:8]}"
            if (folder / "complete").exists():
                print(f"{self.path}: kept in {folder}", file=sys.stderr)
                return folder / "runs"
        if only:
            folder, commands = scratch, [words for words in commands if only in " ".join(words) or "base" in words]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        for words in commands:
            print(f"{self.path}: dnntrain {' '.join(words)}", file=sys.stderr)
            done = self.run(words, folder)
            if done.returncode:
                sys.exit(f"{self.path}: exit code {done.returncode} of dnntrain {' '.join(words)}\n{done.stderr}")
        (folder / "complete").touch()
        return folder / "runs"

    def commit(self) -> str:
        """The checkout's commit; empty where its package or presets were changed since."""
        git = ["git", "-C", str(self.path)]
        status = subprocess.run([*git, "status", "--porcelain", "dnntrain", "presets"], capture_output=True, check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        return "" if status.stdout else head.stdout.strip()


def read(preset: Path) -> dict[str, Any]:
    """A preset's content."""
    content: dict[str, Any] = yaml.safe_load(preset.read_text(encoding="utf-8"))
    return content


def cut(name: str, preset: dict[str, Any]) -> dict[str, Any]:
    """A preset that trains in moments, with all its arms.

    One epoch; or two where layers are frozen in the first, or early stopping needs more than its patience.
    """
    two = any(key in str(preset) for key in ("'freeze", "'early_stop'"))
    limits = {"epochs": 2 if two else 1, "freeze": 1, "freeze_epochs": 1, "early_stop": 1, "val": VAL}
    if name not in WHOLE:
        limits["train_size"] = TRAIN_SIZE

    def small(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: small(key, value) for key, value in value.items()}
        if key == "data":
            return "fashion-mini"
        is_number = isinstance(value, int | float) and not isinstance(value, bool)  # `early_stop: off` is none
        return min(value, limits.get(key, value)) if is_number else value

    preset = small("", preset) | {"seeds": SEEDS}
    for part in ("base", "pretrain"):
        if isinstance(preset.get(part), dict):
            preset[part] = {key: limits[key] for key in ("train_size", "epochs") if key in limits} | preset[part]
    if isinstance(preset.get("pretrain"), str):
        preset["base"] |= FEW_IMAGES
    return preset


# Comparison


def rows_of(file: Path) -> Rows:
    """A table's rows, with new column names and without times."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [
            {COLUMNS.get(key, key): new_value(key, value) for key, value in row.items() if key not in TIMES}
            for row in csv.DictReader(lines)
        ]


def new_value(column: str, value: str) -> str:
    """A setting's value under its new name."""
    return VALUES.get("--" + column.replace("_", "-"), {}).get(value, value)


def first_difference(before: Rows, after: Rows) -> str:
    """Where two tables differ first; empty where they are equal, apart from columns that only the second has."""
    if len(before) != len(after):
        return f"{len(before)} rows, and {len(after)}"
    for old, new in zip(before, after, strict=True):
        if list(old) != [key for key in new if key in old]:
            return f"columns {sorted(old.keys() - new.keys()) or 'in another order'}"
        for key in old:
            if old[key] != new[key]:
                return f"arm {old['arm']}, seed {old['seed']}: {key} {old[key]}, and {new[key]}"
    return ""


def compare(before: Path, after: Path, study: str) -> tuple[int, str]:
    """How many runs of a study are compared, and their first difference; empty where there is none."""
    tables = [(root / study / "results.csv", root / study / "history.csv") for root in (before, after)]
    missing = [str(file) for files in tables for file in files if not file.is_file()]
    if missing:
        return 0, f"no {missing[0]}"
    (old_results, old_history), (new_results, new_history) = tables
    rows = rows_of(old_results)
    if wrong := first_difference(rows, rows_of(new_results)):
        return len(rows), f"results.csv: {wrong}"
    for run in (row["run"] for row in rows):
        files = [root / "store" / run / "weights.safetensors" for root in (before, after)]
        if not all(file.is_file() for file in files) or files[0].read_bytes() != files[1].read_bytes():
            return len(rows), f"weights of run {run}"
    wrong = first_difference(rows_of(old_history), rows_of(new_history))
    return len(rows), wrong and f"history.csv: {wrong}"


def main() -> None:
    """Train both, print a line for each study, and end with exit code 1 where one differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout")
    parser.add_argument("after", type=Path, help="another")
    parser.add_argument("--python-before", type=Path, help="its Python; BEFORE/.venv/bin/python if not given")
    parser.add_argument("--python-after", type=Path, help="its Python; AFTER/.venv/bin/python if not given")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep BEFORE's runs there, for the next comparison")
    parser.add_argument("--only", metavar="TEXT", default="", help="run only the commands that contain this")
    options = parser.parse_args()
    before, after = (
        Tree(path.absolute(), (python or path / ".venv/bin/python").absolute())
        for path, python in ((options.before, options.python_before), (options.after, options.python_after))
    )
    with tempfile.TemporaryDirectory() as name:
        roots = [
            before.train(Path(name) / "before", options.keep, options.only),
            after.train(Path(name) / "after", only=options.only),
        ]
        names = [{path.parent.name for path in root.glob("*/study.json")} for root in roots]
        studies = sorted(names[1] if options.only else names[0] | names[1])
        found = {study: compare(*roots, study) for study in studies}
        ids = [{path.name for path in root.glob("store/[!.]*")} for root in roots]
    for study, (runs, wrong) in found.items():
        print(f"{study:30}  {runs:4d} runs   {'DIFFERENT: ' + wrong if wrong else 'equal'}")
    if options.only:
        print(f"only the commands with '{options.only}' were compared")
    elif ids[0] != ids[1]:
        found["store"] = (len(ids[1]), f"{len(ids[0] - ids[1])} ids only before, {len(ids[1] - ids[0])} only after")
        print(f"{'store':30}  {len(ids[1]):4d} runs   DIFFERENT: {found['store'][1]}")
    else:
        print(f"{'store':30}  {len(ids[1]):4d} runs   the same ids")
    sys.exit(1 if any(wrong for _, wrong in found.values()) else 0)


if __name__ == "__main__":
    main()
