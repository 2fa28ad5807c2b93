"""Levels for a study that is judged several times while its seeds are added (a group-sequential design)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from dnntrain.statistics.corrections import DUNNETT_P, Correction
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.moderation import moderate
from dnntrain.utils.lazy import special

TOTAL_ERROR = 0.05
"""The error over all looks."""

LOOKS = (5, 7, 10, 14, 20)
"""The seeds at which a study is judged that may use up to 20."""

LEVELS = (0.0055, 0.0051, 0.0095, 0.0162, 0.0285)
"""The levels of `LOOKS`: at each look the smallest of `sequential_levels` for 1, 2, 4, and 8 arms."""

OTHER_ARMS = 0.93
"""The levels for one arm times this are hardly above those for any number of arms."""

MOST_SEEDS = 1_000
"""The most seeds that looks are simulated for."""

CHUNK = 2_000_000
"""Normal numbers that are drawn at once."""


def looks_up_to(maximum: int) -> tuple[int, ...]:
    """The seeds at which a study is judged that may use up to `maximum`: `LOOKS` below it, then the maximum.

    Raises:
        ValueError: If the maximum is below the second look, or above `MOST_SEEDS`.
    """
    if maximum < LOOKS[1]:
        raise ValueError(f"at least {LOOKS[1]} seeds, not {maximum}, so that there are two looks")
    if maximum > MOST_SEEDS:
        raise ValueError(f"at most {MOST_SEEDS:,} seeds, not {maximum:,}")
    return (*(look for look in LOOKS[:-1] if look < maximum), maximum)


@lru_cache(maxsize=64)
def look_levels(looks: tuple[int, ...]) -> tuple[float, ...]:
    """The level of each look: an arm is better or worse where the family's p is below it.

    The family-wise error over all looks is then about 5 %, whatever the number of arms, because p is adjusted for that
    number already.

    Args:
        looks: The seeds at each look, increasing, the first at least 2. A single look has the whole 5 %.

    Raises:
        ValueError: If the looks are not as described, or the last has more than `MOST_SEEDS`.
    """
    if looks == LOOKS:
        return LEVELS
    if len(looks) == 1 and looks[0] > 1:
        return (TOTAL_ERROR,)
    if looks and looks[-1] > MOST_SEEDS:
        raise ValueError(f"at most {MOST_SEEDS:,} seeds, not {looks[-1]:,}")
    return tuple(OTHER_ARMS * level for level in sequential_levels(1, looks))


def sequential_levels(
    k: int, looks: Sequence[int], alpha: float = TOTAL_ERROR, power: float = 1.5, studies: int = 100_000, seed: int = 0
) -> list[float]:
    """Simulates the level of each look at which the error over all looks is alpha.

    By the look at n seeds, alpha · (n/n_max)^power of the error is spent (Lan and DeMets 1983; Kim and DeMets 1987).
    The simulated studies stand for all with equal variances, because p does not depend on the arms' means, on what a
    seed adds to all arms, or on the scale.

    Args:
        k: Arms compared with the baseline.
        looks: The seeds at each look, increasing, the first at least 2.
        alpha: The family-wise error over all looks.
        power: The larger, the less of alpha is spent early.
        studies: Simulated studies.
        seed: Of the random numbers.

    Raises:
        ValueError: If there are no arms, or the looks are not as described.
    """
    if k < 1 or not looks or looks[0] < 2 or any(later <= look for look, later in pairwise(looks)):
        raise ValueError(f"looks are increasing numbers of at least 2 seeds, not {', '.join(map(str, looks))}")
    tails = smallest_tails(k, looks, studies, seed)
    open_studies, spent, levels = np.ones(studies, bool), 0, []
    for n, tail in zip(looks, tails, strict=True):
        due = round(alpha * (n / looks[-1]) ** power * studies) - spent
        cut = float(np.sort(tail[open_studies])[max(0, due - 1)])
        levels.append(Correction(DUNNETT_P, k, n).adjust(cut))
        spent += int((tail[open_studies] <= cut).sum())
        open_studies &= tail > cut
    return levels


def smallest_tails(k: int, looks: Sequence[int], studies: int, seed: int) -> Array:
    """The smallest P(T > |t|) of the k arms in studies without any difference, [look, study]."""
    random = np.random.default_rng(seed)
    size = max(1, CHUNK // ((k + 1) * looks[-1]))
    chunks = []
    for start in range(0, studies, size):
        values = random.standard_normal((min(size, studies - start), k + 1, looks[-1]))
        differences = values[:, 1:] - values[:, :1]
        judged = (moderate(differences[..., :n]) for n in looks)
        chunks.append(np.array([special.stdtr(arms.df, -np.abs(arms.mean) / arms.se).min(-1) for arms in judged]))
    return np.concatenate(chunks, -1)
