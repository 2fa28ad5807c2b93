"""Studies as `ablate` leaves them, written by hand so that every number is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DIVERGED, FAILED, NOT_RUN, NOT_MEASURED = "diverged", "failed", "not run", "not measured"
"""What stands for the value of a run that has none."""

CLASSES = [f"class {number}" for number in range(10)]
DATA = {"name": "made", "train_examples": 5000, "test_examples": 2000, "classes": CLASSES}

Value = float | str


def write_study(
    folder: Path, values: Mapping[str, Mapping[str, Sequence[Value]]], metric: str = "test_acc", **more: Any
) -> Path:
    """Write study.json and results.csv.

    Args:
        folder: The study's folder, which is made.
        values: For each arm, its metrics by column; each is a list over the seeds 0, 1, 2 …
        metric: What the study is judged by.
        more: Fields of study.json; `settings` are those of each arm.
    """
    folder.mkdir(parents=True)
    settings = more.pop("settings", {})
    rows: list[dict[str, Any]] = []
    failed: dict[str, list[int]] = {}
    for arm, columns in values.items():
        for seed, of_seed in enumerate(zip(*columns.values(), strict=True)):
            if of_seed[0] in (NOT_RUN, FAILED):
                failed.setdefault(arm, []).extend([seed] if of_seed[0] == FAILED else [])
                continue
            lost = of_seed[0] == DIVERGED
            measured = {column: "" if isinstance(v, str) else v for column, v in zip(columns, of_seed, strict=True)}
            rows.append({"study": folder.name, "arm": arm, "seed": seed, "run": f"{len(rows):012x}",
                         "status": "diverged" if lost else "finished", "epochs_run": 3, "best_epoch": 3,
                         "val_loss": "" if lost else 0.5, **measured,
                         "health": "exploding (layer 1, epoch 1)" if lost else "healthy", "seconds": 1.0})  # fmt: skip
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    seeds = max(len(column) for columns in values.values() for column in columns.values())
    description = {
        "name": folder.name, "baseline": next(iter(values)), "metric": metric, "seeds": [*range(seeds)],
        "arms": [{"name": arm, "settings": settings.get(arm, {})} for arm in values],
        "datasets": [DATA], "failed": failed,
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(description | more))
    return folder
