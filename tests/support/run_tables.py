"""Tables of runs as other tools export them, with known numbers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]

NOISE = (0.000, 0.010, -0.006, 0.004, -0.009, 0.007, -0.003, 0.012, -0.011, 0.001)
OTHER = (0.003, -0.004, 0.002, -0.001, 0.004, -0.003, 0.001, 0.000, -0.002, 0.003)
"""What a seed adds to every arm, and what it adds to the second arm only."""


def rows_of(gains: Mapping[str, float], seeds: int = 5, **more: Any) -> list[dict[str, Any]]:
    """A row for each arm and seed: `gains` is what an arm adds to a base of 0.80."""
    rows = []
    for i, (arm, gain) in enumerate(gains.items()):
        for seed in range(seeds):
            own = OTHER[(seed + 3 * i) % len(OTHER)] if i else 0.0
            rows.append({"optimizer": arm, "seed": seed, "f1": round(0.8 + gain + NOISE[seed] + own, 6), **more})
    return rows


def write_csv(path: Path, rows: Iterable[Row], delimiter: str = ",") -> Path:
    """Write rows, whose keys together are the columns; None is an empty cell."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter=delimiter, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json_lines(path: Path, rows: Sequence[Row]) -> Path:
    """Write an object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
