"""Experimental designs: pure functions from factors to arms, both as named settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any, TypeVar

from dnntrain.analysis.arm_names import without
from dnntrain.errors import InputError

T = TypeVar("T")
Arms = dict[str, dict[str, Any]]
"""The settings of each arm, by its name."""

DESIGNS = {
    "one-in": "the baseline, each factor (or each of its levels) alone, and the given combinations",
    "one-out": "all factors together, and all but one",
    "in-and-out": "one-in and one-out together: what each factor adds alone, and what is lost without it",
    "factorial": "every combination of the factors' levels",
    "list": "the factors, or their levels, as they are",
}


def one_in(factors: Arms, combinations: Sequence[Sequence[str]], baseline: str, same: Collection[str] = ()) -> Arms:
    """The baseline, each factor alone, and the combinations.

    Args:
        factors: The settings of each factor, or of each level.
        combinations: Names of factors that are added together.
        baseline: The name of the base alone.
        same: Factors that change nothing in the base. They get no arm of their own.

    Raises:
        InputError: Two factors contradict each other, or two arms have the same name.
    """
    alone = {name: settings for name, settings in factors.items() if name not in same}
    together = {"+".join(names): merged(names, [factors[name] for name in names]) for names in combinations}
    return joined({baseline: {}}, alone, together)


def one_out(factors: Arms, everything: str) -> Arms:
    """All factors, and all but one; InputError if two factors contradict each other."""
    arms = {everything: merged(list(factors), list(factors.values()))}
    for left_out in factors:
        rest = {name: settings for name, settings in factors.items() if name != left_out}
        arms = joined(arms, {without(left_out): merged(list(rest), list(rest.values()))})
    return arms


def factorial(levels: Mapping[str, Arms]) -> Arms:
    """Every combination of the levels, given by factor; InputError if two levels contradict each other."""
    return {
        name: merged(list(chosen.values()), [levels[factor][level] for factor, level in chosen.items()])
        for name, chosen in cells(levels).items()
    }


def all_levels(levels: Mapping[str, Arms]) -> Arms:
    """All levels of all factors; InputError if two have the same name."""
    return joined(*levels.values())


def cells(levels: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, str]]:
    """The arms of a factorial design, each with its level of every factor; the level '' (off) has no name."""
    chosen = (dict(zip(levels, combination, strict=True)) for combination in product(*levels.values()))
    arms: dict[str, dict[str, str]] = {}
    for cell in chosen:
        arms = joined(arms, {"+".join(filter(None, cell.values())) or "none": cell})
    return arms


def joined(*groups: Mapping[str, T]) -> dict[str, T]:
    """The groups' arms together; InputError if two have the same name."""
    arms: dict[str, T] = {}
    for group in groups:
        for name, arm in group.items():
            if name in arms:
                raise InputError(f"two arms would be called '{name}'; name the factors or levels otherwise")
            arms[name] = arm
    return arms


def merged(names: Sequence[str], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The parts together; InputError if two of them set a key to different values."""
    settings: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            if settings.setdefault(key, value) != value:
                raise InputError(f"{' and '.join(names)} both set {key}, to {settings[key]!r} and {value!r}")
    return settings
