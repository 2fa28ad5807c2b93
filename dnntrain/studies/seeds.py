"""How many seeds a study has, or which ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dnntrain.errors import InputError
from dnntrain.utils.fields import odd_number

MOST_RUNS = 100_000
"""The most runs of a study, and so the most seeds."""

UNTIL_RESOLVED = "until-resolved"
"""The value of `seeds` that adds seeds until every arm has a verdict."""

MAX_SEEDS = 20
"""The most seeds that are then added by default."""


@dataclass(frozen=True)
class SeedSchedule:
    """Which seeds a study has: fixed ones, or as many as its verdicts need."""

    seeds: tuple[int, ...]
    """All seeds, or those up to the first look."""
    max_seeds: int | None = None
    """The most seeds, if they are added until every arm is resolved."""


def read_seed_schedule(seeds: object, max_seeds: object = None) -> SeedSchedule:
    """Reads how many seeds a study has.

    Args:
        seeds: A count, a list (see `read_seeds`), or 'until-resolved'.
        max_seeds: The most seeds of 'until-resolved'; by default 20.

    Raises:
        InputError: If they cannot be read, or `max_seeds` would be ignored or leaves no two looks.
    """
    if seeds != UNTIL_RESOLVED:
        if max_seeds is not None:
            raise InputError(f"max_seeds {max_seeds}: only for seeds {UNTIL_RESOLVED}")
        return SeedSchedule(read_seeds(seeds))
    from dnntrain.statistics import looks_up_to  # loads numpy, which --help does without

    text = str(MAX_SEEDS if max_seeds is None else max_seeds)
    try:
        looks = looks_up_to(int(text) if text.isdecimal() else 0)
    except ValueError as error:
        raise InputError(f"max_seeds {text}: {error}") from None
    return SeedSchedule(tuple(range(looks[0])), looks[-1])


def read_seeds(value: object) -> tuple[int, ...]:
    """`5` → the seeds 0 to 4; `[3, 7]`, `3,7` or `10-14` → those; InputError otherwise."""
    value = list(value) if isinstance(value, range) else value
    if isinstance(value, int) and not isinstance(value, bool):
        seeds = list(range(value)) if value < MOST_RUNS else []
    else:
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value).replace(" ", "")
        seeds = [seed for part in text.split(",") for seed in _seed_part(part, alone="," not in text, given=value)]
        seeds = seeds or list(_seed_part(text, alone=True, given=value))
    if not 0 < len(seeds) <= MOST_RUNS or len(set(seeds)) != len(seeds):
        raise InputError(f"seeds: {value!r} must be a count (5), or different seeds like 3,7 or 10-14")
    return tuple(seeds)


def _seed_part(text: str, *, alone: bool, given: object) -> Sequence[int]:
    if trouble := next(filter(None, map(odd_number, text.split("-"))), None):
        raise InputError(f"seeds: {trouble}")
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    if not match or (match[2] and int(match[2]) - int(match[1]) >= MOST_RUNS):
        raise InputError(f"seeds: {given!r} must be a count (5), or different seeds like 3,7 or 10-14")
    if alone and not match[2] and int(match[1]) > MOST_RUNS:
        raise InputError(f"seeds: {match[1]} are too many; at most {MOST_RUNS} runs")
    if match[2]:
        return range(int(match[1]), int(match[2]) + 1)
    if alone and not isinstance(given, list | tuple):
        return range(int(match[1]))
    return [int(match[1])]


def write_seeds(seeds: Iterable[int]) -> str:
    """The shortest text that `read_seeds` reads as these seeds: '5', '3,7' or '10-14'."""
    ordered = sorted(seeds)
    if ordered == list(range(len(ordered))):
        return str(len(ordered))
    parts: list[list[int]] = []
    for seed in ordered:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
