"""The lines of `--plan` on what the planned seeds can find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dnntrain.reporting.footer import MAX_ARMS
from dnntrain.reporting.formatting import difference_unit, percent, two_digits
from dnntrain.reporting.planning import seeds_in_words
from dnntrain.statistics import POWER
from dnntrain.studies.pilot import outlook
from dnntrain.studies.study import Study


def power_lines(study: Study, out: Path) -> Iterator[str]:
    """What the planned seeds can find, by a pilot: the study's own runs so far, or a study on the same data."""
    planned = study.max_seeds or len(study.seeds)
    if planned == 1:
        yield "One seed shows no difference, since it has no spread; plan 5 or more."
        return
    found = outlook(study, out)
    if found is None:
        yield f"How small a difference {planned} seeds can show is not known yet: {out} has no study of these data."
        return
    name, runs = found.pilot.results.name, len(found.pilot.results.runs)
    pilot = f"the {runs} runs so far" if found.is_same_study else f"the {runs} runs of {name}, on the same data"
    yield f"With {found.seeds} seeds and {percent(POWER)} power, judging by the spread of {pilot}:"
    sizes = {arm: two_digits(size, study.metric) for arm, size in found.detectable.items()}
    if found.is_same_study and len(sizes) <= MAX_ARMS:
        shown = ", ".join(f"{arm} {size}" for arm, size in sizes.items())
    else:
        ends = dict.fromkeys(sizes[end(found.detectable, key=found.detectable.__getitem__)] for end in (min, max))
        shown = " to ".join(ends)
    yield f"  the smallest difference that shows is {shown} {difference_unit(study.metric)}"
    if found.is_same_study and found.for_delta:
        delta = found.pilot.margin.text
        yield f"  seeds to show a difference of δ = {delta}: {seeds_in_words(found.for_delta, MAX_ARMS)}"
