"""Factors, levels, and design of a preset, and the arms that they make.

factors: {bn: {bn: true}, act: {elu: {act: elu}, selu: {act: selu, lr: 0.1}}}   # settings, or named levels
sweep: {lr: [0.1, 0.01], act: [relu, elu]}    # values of settings, one arm each: factors of the one-in design
grid: {lr: [0.1, 0.01], act: [relu, elu]}     # every combination: factors of the factorial design
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from dnntrain.analysis.arm_names import EVERYTHING
from dnntrain.config.parsing import as_meant
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.errors import InputError, did_you_mean
from dnntrain.studies.candidates import TUNE, first_values, is_own_list
from dnntrain.studies.designs import DESIGNS, Arms, all_levels, cells, factorial, joined, one_in, one_out
from dnntrain.studies.preset_settings import read_settings
from dnntrain.studies.seeds import MOST_RUNS
from dnntrain.studies.study import folder_name
from dnntrain.studies.yaml_document import Document, Location
from dnntrain.utils.fields import format_value

FACTORS = "factors"
DESIGN_OF = {"sweep": "one-in", "grid": "factorial"}
"""Keys that hold factors as `factors` does, and say the design too."""


class PresetDesign:
    """Lays out a preset's arms.

    Every step raises InputError with the file, line, and key of what is wrong.
    """

    def __init__(self, document: Document, base: Mapping[str, Any]) -> None:
        self.document, self.base = document, base
        self.key = self.read_key()
        """The key that holds the factors."""
        self.factors = document.mapping(self.key)
        self.name = DESIGN_OF.get(self.key) or document.text("design", "one-in")
        if self.name not in DESIGNS:
            with document.at("design"):
                hint = did_you_mean(self.name, DESIGNS)
                if self.name in DESIGN_OF:
                    hint = f"; write {self.name}: {{…}} instead of factors"
                raise InputError(f"unknown design '{self.name}'{hint}")

    def read_key(self) -> str:
        """Which of `factors`, `sweep`, and `grid` the preset has; at most one, and a design with `factors` only."""
        given = [key for key in (FACTORS, *DESIGN_OF) if self.document.content.get(key) is not None]
        if len(given) > 1:
            with self.document.at(given[1]):
                raise InputError(f"not with {given[0]}: one key holds all factors, and any of them can be a list")
        key = given[0] if given else FACTORS
        if key in DESIGN_OF and self.document.content.get("design") is not None:
            with self.document.at("design"):
                raise InputError(f"not with {key}, which is the design {DESIGN_OF[key]}; to choose one, write factors")
        return key

    def check_size(self, seeds: int) -> None:
        """Refuse a study that is too large, before its arms are built."""
        if not self.factors:
            example = f"{self.key}: {{lr: [0.1, 0.01]}}" if self.key in DESIGN_OF else "factors: {bn: {bn: true}}"
            raise InputError(f"no factors: a study needs at least one arm, as {example}")
        sizes = [len(levels) for levels in self.levels.values()]
        arms = math.prod(sizes) if self.name == "factorial" else 2 * sum(sizes) + 2
        if arms * seeds > MOST_RUNS:
            raise InputError(f"{arms} arms × {seeds} seeds are {arms * seeds} runs; at most {MOST_RUNS}")

    def arms(self) -> Arms:
        """The settings of each arm, beyond those of the base."""
        if self.name == "factorial":
            return factorial(self.levels)
        if self.name in ("one-out", "in-and-out"):
            self.check_on_or_off()
        levels = all_levels(self.levels)
        if self.name == "one-out":
            return one_out(levels, self.document.word("baseline", EVERYTHING))
        if self.name == "list":
            return levels
        same = self.same_as_base()
        baseline = self.document.word("baseline", "+".join(same) or "baseline")
        if baseline in levels and baseline not in same:
            with self.document.at("baseline"):
                raise InputError(
                    f"'{baseline}' is a factor's name; the baseline of a {self.name} design is the base alone"
                )
        if self.name == "in-and-out":
            return joined(one_in(levels, [], baseline), one_out(levels, EVERYTHING))
        with self.document.at("combinations"):
            return one_in(levels, self.combinations(levels), baseline, same)

    def check_on_or_off(self) -> None:
        """Refuse a factor of several levels in a design that asks what is lost without it."""
        for factor, levels in self.levels.items():
            if len(levels) > 1:
                with self.document.at(self.key, factor):
                    raise InputError(
                        f"has {len(levels)} levels, but in design {self.name} a factor is on or off; one-in and list "
                        "make an arm of each level, factorial combines them"
                    )

    def same_as_base(self) -> list[str]:
        """The levels of a one-in design that the base has already. The baseline stands for them.

        A factor that is on or off is one of them only if the preset says so with `baseline`: it may be a mistake.
        """
        if self.name != "one-in":
            return []
        base, same = RunSpec.parse(self.base), []
        for factor, levels in self.levels.items():
            counts = self.has_levels(self.factors[factor]) or factor == self.document.content.get("baseline")
            for level, settings in levels.items() if counts else ():
                with self.place(level):
                    if first_values(settings) == settings and RunSpec.parse({**self.base, **settings}) == base:
                        same.append(level)
        return same

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
        """The settings of each factor's levels.

        A factor without levels is one by itself, and in a factorial design it is off (unnamed) or on.
        """
        off: Arms = {"": {}} if self.name == "factorial" else {}
        return {
            name: self.read_levels(name) if self.has_levels(value) else off | {name: self.settings(value, name)}
            for name, value in self.factors.items()
        }

    @staticmethod
    def has_levels(value: object) -> bool:
        """Whether a factor is a list of values or has named levels, instead of settings."""
        if isinstance(value, list):
            return True
        # a setting is no mapping, except for a list to tune, so a factor that contains one has named levels
        levels = value.values() if isinstance(value, Mapping) else ()
        return any(isinstance(level, Mapping) and not is_own_list(level) for level in levels)

    def read_levels(self, factor: str) -> Arms:
        """The levels of a factor: those with names, or the values of the setting that the factor is called after."""
        value, levels = self.factors[factor], {}
        if isinstance(value, Mapping):
            self.refuse_tune_of_factor(value.get(TUNE), factor)
            return {level: self.settings(settings, factor, level) for level, settings in value.items()}
        with self.document.at(self.key, factor):
            if factor not in flat_keys():
                raise InputError(f"a list holds the values of a setting: {unknown_key(factor, flat_keys())}")
            for each in value:
                if isinstance(each, Mapping | list):
                    raise InputError(f"lists values like [0.1, 0.01]; {each!r} is none")
                name = folder_name(f"{factor}={format_value(as_meant(factor, flat_keys()[factor], each))}")
                if name in levels:
                    raise InputError(f"{format_value(each)} is listed twice")
                levels[name] = read_settings({factor: each}, self.document.where, self.base)
            if not levels:
                raise InputError("lists no values; write them like [0.1, 0.01]")
        return levels

    def refuse_tune_of_factor(self, value: object, factor: str) -> None:
        """Raise InputError if a factor has `tune: {lr: [...]}`, as the preset itself may have, in place of settings."""
        lists = {k: each for k, each in value.items() if isinstance(each, list)} if isinstance(value, Mapping) else {}
        if lists:
            written = ", ".join(f"{key}: {{{TUNE}: [{', '.join(map(str, each))}]}}" for key, each in lists.items())
            with self.document.at(self.key, factor, TUNE):
                raise InputError(f"a factor has its values to tune at their setting: write {written}")

    def settings(self, value: object, *path: str) -> dict[str, Any]:
        """Settings that are given at a path below the factors: those of a factor, or of one of its levels."""
        with self.document.at(self.key, *path):
            if isinstance(value, str) and path[-1] in flat_keys():
                settings = "" if "," in value else f"settings like {{{path[-1]}: {value}}}, or "
                raise InputError(f"must be {settings}a list of values like [{value}], not {value!r}")
            return read_settings(value, self.document.where, self.base)

    def combinations(self, levels: Arms) -> list[list[str]]:
        """The combinations of factors or their levels to add to a one-in design."""
        value = self.document.words.get("combinations") or []
        if not isinstance(value, list) or not all(isinstance(names, list) for names in value):
            raise InputError(f"must be lists of factors like [[relu-he, bn]], not {value!r}")
        for names in value:
            for name in names:
                if not isinstance(name, str) or name not in levels:
                    raise InputError(f"no factor '{name}'{did_you_mean(str(name), levels)}")
            if len(set(names)) < 2 or len(set(names)) < len(names):
                raise InputError(f"{names!r} must name at least two different factors")
        return value

    def place(self, arm: str) -> Location:
        """The location of an arm's settings."""
        return self.document.at(self.key, *self.path(arm))

    def path(self, arm: str) -> tuple[str, ...]:
        """The keys below the factors of the level that an arm is; none for the baseline and for combinations."""
        for factor, levels in self.levels.items():
            if arm and arm in levels:
                return (factor, arm) if isinstance(self.factors[factor], Mapping) and arm != factor else (factor,)
        return ()
