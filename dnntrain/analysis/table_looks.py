"""Looks at a table of runs that grows: it is judged at some numbers of seeds, at stricter levels than 5 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dnntrain.errors import InputError
from dnntrain.statistics import look_levels, looks_up_to
from dnntrain.store.study_files import Results


def at_look(studies: Sequence[Results], looks: int | Sequence[int]) -> tuple[list[Results], float]:
    """Finds the look that a table is at.

    Args:
        studies: The table by each value column.
        looks: The numbers of seeds at which it is judged, or the largest: then as `--until-resolved` does.

    Returns:
        The studies with the level of this look, and that level: the probability of a false verdict that it spends.

    Raises:
        InputError: If the looks are no schedule, runs are not paired by seed, or the table is not at a look.
    """
    try:
        schedule = looks_up_to(looks) if isinstance(looks, int) else tuple(looks)
        levels = look_levels(schedule)
    except ValueError as error:
        raise InputError(f"--looks: {error}") from None
    if studies[0].blocks or not studies[0].is_paired:
        raise InputError("--looks: needs runs that are paired by seed (--seed), without --block")
    if studies[0].record.max_seeds is not None:
        raise InputError(f"--looks: {studies[0].name} has looks of its own")
    n = len(studies[0].record.seeds)
    if n not in schedule:
        raise InputError(f"--looks {','.join(map(str, schedule))}: the table has {n} seeds, which is no look")
    look = schedule.index(n)
    level = levels[look]
    note = f"look {look + 1} of {len(schedule)} (n = {n}), level {f'{level:.3g}'.removeprefix('0')}."
    at_this_look = [
        replace(study, record=study.record.model_copy(update={"levels": {n: level}}), notes=(*study.notes, note))
        for study in studies
    ]
    return at_this_look, level
