"""The lines of `--plan` on what the planned seeds can find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dnntrain.metrics import metric_of
from dnntrain.reporting.formatting import number
from dnntrain.statistics import MANY_SEEDS, SeedRange
from dnntrain.studies.pilot import outlook
from dnntrain.studies.study import Study


def power_lines(study: Study, out: Path) -> Iterator[str]:
    """What the planned seeds can find, by a pilot: the study's own runs so far, or a study on the same data."""
    found = outlook(study, out)
    if found is None:
        yield f"What {study.max_seeds or len(study.seeds)} seeds can find is not known: {out} has no study like it."
        return
    metric, name, n = study.metric, found.pilot.results.name, found.pilot.family.n if found.pilot.family else 0
    unit = " points" if metric_of(metric).is_share else ""
    pilot = f"its {n} seeds so far" if found.is_same_study else f"{name}, a study on the same data, with {n} seeds"
    yield f"With {found.seeds} seeds and 80 % power, going by {pilot}:"
    if found.is_same_study:
        differences = [f"{arm} {number(value, metric, value)}{unit}" for arm, value in found.detectable.items()]
    else:
        ends = sorted({number(end(found.detectable.values()), metric) for end in (min, max)}, key=float)
        differences = [f"{' to '.join(ends)}{unit}"]
    yield f"  the smallest difference that shows: {', '.join(differences)}"
    needed = [f"{arm} {seeds_in_words(seeds)}" for arm, seeds in found.for_delta.items()]
    if needed and found.is_same_study:
        yield f"  seeds for a difference of δ = {found.pilot.margin.text}: {', '.join(needed)}"


def seeds_in_words(seeds: SeedRange) -> str:
    """A number of seeds with its range: 12 (8 to 21)."""
    numbers = (seeds.advised, seeds.low, seeds.high)
    advised, low, high = (f"over {MANY_SEEDS}" if n > MANY_SEEDS else str(n) for n in numbers)
    return advised if low == high else f"{advised} ({low} to {high})"
