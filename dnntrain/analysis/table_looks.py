"""Looks at a table of runs that grows: it is judged at some numbers of seeds, at stricter levels than 5 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dnntrain.errors import InputError
from dnntrain.statistics import look_levels, looks_up_to
from dnntrain.store.study_files import Results


def at_look(studies: Sequence[Results], looks: int | Sequence[int]) -> list[Results]:
    """Finds the look that a table is at.

    Args:
        studies: The table by each value column.
        looks: The numbers of seeds at which it is judged, or the largest: then as `--until-resolved` does.

    Returns:
        The studies with the level of each look so far: the probability of a false verdict that it may spend.

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
        counts = ",".join(map(str, schedule))
        raise InputError(f"--looks {counts}: the table has {n} seeds; it is judged only at these numbers")
    so_far = {look: level for look, level in zip(schedule, levels, strict=True) if look <= n}
    note = f"This is look {len(so_far)} of {len(schedule)} (n = {n}), level {f'{so_far[n]:.3g}'.removeprefix('0')}."
    return [
        replace(study, record=study.record.model_copy(update={"levels": so_far}), notes=(*study.notes, note))
        for study in studies
    ]
