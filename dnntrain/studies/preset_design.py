"""Factors, levels, and design of a preset, and the arms that they make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from dnntrain.analysis.arm_names import EVERYTHING
from dnntrain.errors import InputError, did_you_mean
from dnntrain.studies.candidates import is_own_list
from dnntrain.studies.designs import DESIGNS, Arms, cells, factorial, joined, one_in, one_out
from dnntrain.studies.preset_settings import read_settings
from dnntrain.studies.study import MOST_RUNS
from dnntrain.studies.yaml_document import Document, Location


class PresetDesign:
    """Lays out a preset's arms.

    Every step raises InputError with the file, line, and key of what is wrong.
    """

    def __init__(self, document: Document, base: Mapping[str, Any]) -> None:
        self.document, self.base = document, base
        self.factors = document.mapping("factors")
        self.name = document.text("design", "one-in")
        if self.name not in DESIGNS:
            with document.at("design"):
                raise InputError(f"unknown design '{self.name}'{did_you_mean(self.name, DESIGNS)}")

    def check_size(self, seeds: int) -> None:
        """Refuse a study that is too large, before its arms are built."""
        if not self.factors:
            raise InputError("no factors: a study needs at least one arm, as factors: {bn: {bn: true}}")
        for name, value in self.factors.items():
            if value is not None and not isinstance(value, Mapping):
                self.settings(value, name)
        sizes = [max(2, len(value or {})) for value in self.factors.values()]
        arms = math.prod(sizes) if self.name == "factorial" else 2 * len(self.factors) + 2
        if arms * seeds > MOST_RUNS:
            raise InputError(f"{arms} arms × {seeds} seeds are {arms * seeds} runs; at most {MOST_RUNS}")

    def arms(self) -> Arms:
        """The settings of each arm, beyond those of the base."""
        if self.name == "factorial":
            return factorial(self.levels)
        factors = {name: levels[name] for name, levels in self.levels.items()}
        if self.name == "one-out":
            return one_out(factors, self.document.word("baseline", EVERYTHING))
        if self.name == "list":
            return factors
        baseline = self.document.word("baseline", "baseline")
        if self.name == "in-and-out":
            return joined(one_in(factors, [], baseline), one_out(factors, EVERYTHING))
        with self.document.at("combinations"):
            return one_in(factors, self.combinations(), baseline)

    def cells(self) -> dict[str, dict[str, str]]:
        """The level of each factor by arm; empty unless the design is factorial."""
        return cells(self.levels) if self.name == "factorial" else {}

    def baseline(self, arms: Arms) -> str:
        """The arm that the others are compared with: the named one, or the first."""
        name = self.document.word("baseline", next(iter(arms)))
        if name not in arms:
            with self.document.at("baseline"):
                raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
        return name

    @cached_property
    def levels(self) -> dict[str, Arms]:
        """The settings of each factor's levels; in a design that is not factorial, a factor is its only level."""
        if self.name == "factorial":
            return {name: self.named_levels(name) for name in self.factors}
        return {name: {name: self.settings(value, name)} for name, value in self.factors.items()}

    def named_levels(self, factor: str) -> Arms:
        """The levels of a factor of a factorial design: those with names, or off (unnamed) and on."""
        value = self.factors[factor]
        # a setting is no mapping, except for a list to tune, so a factor that contains one has named levels
        if not value or not any(isinstance(level, Mapping) and not is_own_list(level) for level in value.values()):
            return {"": {}, factor: self.settings(value, factor)}
        return {level: self.settings(settings, factor, level) for level, settings in value.items()}

    def settings(self, value: object, *path: str) -> dict[str, Any]:
        """Settings that are given at a path below `factors`: those of a factor, or of one of its levels."""
        with self.document.at("factors", *path):
            return read_settings(value, self.document.where, self.base)

    def combinations(self) -> list[list[str]]:
        """The combinations of factors to add to a one-in design."""
        value = self.document.words.get("combinations") or []
        if not isinstance(value, list) or not all(isinstance(names, list) for names in value):
            raise InputError(f"must be lists of factors like [[relu-he, bn]], not {value!r}")
        for names in value:
            for name in names:
                if not isinstance(name, str) or name not in self.factors:
                    raise InputError(f"no factor '{name}'{did_you_mean(str(name), self.factors)}")
            if len(set(names)) < 2 or len(set(names)) < len(names):
                raise InputError(f"{names!r} must name at least two different factors")
        return value

    def place(self, arm: str) -> Location:
        """The location of an arm's settings."""
        return self.document.at("factors", *([arm] if arm in self.factors else []))
