"""Presets: a study written as YAML, whose keys are the flags' names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.data import DataHome
from dnntrain.designs import DESIGNS, Arms, Settings, cells, factorial, joined, one_in, one_out
from dnntrain.documents import Document, Place, PlacedError
from dnntrain.errors import InputError, did_you_mean
from dnntrain.fairness import check_declared
from dnntrain.metrics import METRICS
from dnntrain.pretrained import ARCHITECTURES
from dnntrain.spec import CoreSpec, RunSpec
from dnntrain.study import (
    MOST_RUNS,
    Arm,
    Study,
    Tuning,
    check_metric,
    check_name,
    default_metric,
    folder_name,
    read_seeds,
)

KEYS = (
    *("name", "question", "note", "base", "varies", "design", "factors"),
    *("combinations", "baseline", "seeds", "metric", "published", "tune", "tune_seeds", "pretrain"),
)
"""What a preset may hold."""

LARGEST_FILE = 1 << 20


def shipped_presets() -> dict[str, Path]:
    """The presets that come with dnntrain, by name: inside the package where installed, beside it in a checkout."""
    package = Path(__file__).parent
    folder = package / "presets" if (package / "presets").is_dir() else package.parent / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_preset(name: str) -> Path:
    """The preset of that path, or the shipped one of that name; InputError with the nearest name otherwise."""
    path, shipped = Path(name), shipped_presets()
    if path.is_file():
        return path
    if path.parent == Path(".") and path.stem in shipped and path.suffix in ("", ".yaml", ".yml"):
        return shipped[path.stem]
    raise InputError(f"no preset '{name}'{did_you_mean(path.stem, shipped)}")


def load_preset(name: str, overrides: Mapping[str, Any] | None = None, home: DataHome | None = None) -> Study:
    """The study that a preset describes, its base changed by `overrides`; raises InputError with file and line."""
    path = find_preset(name)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE} bytes: no preset")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return read_preset(text, str(path), overrides, home)


def read_preset(
    text: str, where: str, overrides: Mapping[str, Any] | None = None, home: DataHome | None = None
) -> Study:
    """The study that a preset's text describes; `where` names it in errors."""
    document = Document.read(text, where)
    with document.at():
        return Preset(document, dict(overrides or {}), home).study()


class Preset:
    """Reads a preset's document into a study."""

    def __init__(self, document: Document, overrides: Settings, home: DataHome | None = None) -> None:
        self.home = home
        self.document, self.content = document, {k: v for k, v in document.content.items() if v is not None}
        for key in document.content:
            if key not in KEYS:
                raise InputError(f"unknown key '{key}'{did_you_mean(str(key), KEYS)}")
        with document.at("base"):
            self.base = self.settings(self.content.get("base"))
            RunSpec.parse(self.base)
        self.base |= overrides
        self.changes = "".join(f",{key}={value}" for key, value in overrides.items())
        try:
            RunSpec.parse(self.base)
        except InputError as error:
            raise PlacedError(f"--set: {error}") from None
        self.factors = self.mapping("factors")
        self.design = self.text("design", "one-in")
        if self.design not in DESIGNS:
            with document.at("design"):
                raise InputError(f"unknown design '{self.design}'{did_you_mean(self.design, DESIGNS)}")

    def study(self) -> Study:
        """The study, every arm of it validated."""
        with self.document.at("seeds"):
            seeds = read_seeds(self.content.get("seeds", 5))
        with self.document.at("metric"):
            metric = self.content.get("metric") or default_metric(RunSpec.parse(self.base), self.home)
            metric = check_metric(metric)
        name = check_name(self.text("name", Path(self.document.where).stem), "name")
        self.check_size(len(seeds))
        with self.document.at("factors"):
            settings = self.lay_out()
        self.check_published(settings)
        levels = cells({name: self.levels(name) for name in self.factors}) if self.design == "factorial" else {}
        arms = tuple(self.arm(name, changes, levels.get(name, {})) for name, changes in settings.items())
        baseline = self.baseline(settings)
        self.check_fair(arms, baseline)
        return Study(
            # a changed base makes another study, beside the preset's own
            name=folder_name(name + self.changes) if self.changes else name,
            arms=arms,
            seeds=seeds,
            question=self.text("question", ""),
            baseline=baseline,
            metric=metric,
            design=self.design,
            note=self.note(),
            source=self.document.text,
            pretrain=self.pretrain(),
            tuning=self.tuning(),
        )

    def note(self) -> str:
        """The preset's note, and that it speaks of other settings where some were changed."""
        note = self.text("note", "")
        return f"{note} (Of the preset as it is; here with {self.changes[1:]}.)" if note and self.changes else note

    def pretrain(self) -> CoreSpec | str | None:
        """What is trained first: settings of a run, or a pretrained network's name; None where there is nothing."""
        value = self.content.get("pretrain")
        with self.document.at("pretrain"):
            if isinstance(value, str):
                if value not in ARCHITECTURES:
                    raise InputError(f"unknown network '{value}'{did_you_mean(value, ARCHITECTURES)}")
                return value
            return None if value is None else RunSpec.parse(self.settings(value))

    def tuning(self) -> Tuning | None:
        """What `tune` asks for; None where it is not there."""
        if "tune" not in self.content:
            return None
        with self.document.at("tune"):
            fields = self.settings(self.content["tune"])
            if len(fields) != 1:
                raise InputError(f"must be one field with its values like {{lr: [0.01, 0.1]}}, not {fields!r}")
            [(key, values)] = fields.items()
            if not isinstance(values, list) or len(values) < 2 or len(set(map(str, values))) < len(values):
                raise InputError(f"{key} must be a list of different values like [0.01, 0.1], not {values!r}")
            numbers = [getattr(RunSpec.parse(self.base | {key: value}), key) for value in values]
            if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
                raise InputError(f"{key} is no number: only those can be tuned")
            for name in self.factors:
                options = self.levels(name) if self.design == "factorial" else {name: self.factor(name)}
                if any(key in settings for settings in options.values()):
                    raise InputError(f"{key} cannot be tuned: it is what {name} sets")
        with self.document.at("tune_seeds"):
            return Tuning(key, tuple(numbers), len(read_seeds(self.content.get("tune_seeds", 2))))

    def text(self, key: str, default: str) -> str:
        """The text under a key."""
        value = self.content.get(key, default)
        if isinstance(value, Mapping | list):
            with self.document.at(key):
                raise InputError(f"must be text, not {value!r}")
        return str(value).strip()

    def mapping(self, key: str) -> Settings:
        """The mapping under a key; empty where there is none."""
        value = self.content.get(key, {})
        if not isinstance(value, Mapping):
            with self.document.at(key):
                raise InputError(f"must be keys with values, not {value!r}")
        return {str(name): item for name, item in value.items()}

    def settings(self, value: object) -> Settings:
        """A run's settings; InputError for a key that no run has, or that is not a setting's to give."""
        if value is not None and not isinstance(value, Mapping):
            raise InputError(f"must be settings like {{lr: 0.1}}, not {value!r}")
        for key in value or {}:
            if key not in RunSpec.model_fields:
                raise InputError(f"unknown key '{key}'{did_you_mean(str(key), RunSpec.model_fields)}")
            if key == "seed":
                raise InputError("seed belongs under seeds")
        return dict(value or {})

    def factor(self, name: str) -> Settings:
        """One factor's settings."""
        with self.document.at("factors", name):
            return self.settings(self.factors[name])

    def levels(self, name: str) -> Arms:
        """A factor's levels: those that are named, else off (without a name) and on."""
        value = self.factors[name]
        # no setting takes a mapping, so a factor of mappings has named levels
        if not value or not all(level is None or isinstance(level, Mapping) for level in value.values()):
            return {"": {}, name: self.factor(name)}
        levels = {}
        for level, settings in value.items():
            with self.document.at("factors", name, str(level)):
                levels[str(level)] = self.settings(settings)
        return levels

    def check_size(self, seeds: int) -> None:
        """Refuse what would never end, before it is laid out."""
        if not self.factors:
            raise InputError("no factors: a study needs at least one arm, as factors: {bn: {bn: true}}")
        for name, value in self.factors.items():
            if value is not None and not isinstance(value, Mapping):
                self.factor(name)
        sizes = [max(2, len(value or {})) for value in self.factors.values()]
        arms = math.prod(sizes) if self.design == "factorial" else 2 * len(self.factors) + 2
        if arms * seeds > MOST_RUNS:
            raise InputError(f"{arms} arms × {seeds} seeds are {arms * seeds} runs; at most {MOST_RUNS}")

    def lay_out(self) -> Arms:
        """The arms' settings, by the design."""
        if self.design == "factorial":
            return factorial({name: self.levels(name) for name in self.factors})
        factors = {name: self.factor(name) for name in self.factors}
        if self.design == "one-out":
            return one_out(factors, self.text("baseline", "all"))
        if self.design == "list":
            return factors
        if self.design == "in-and-out":
            return joined(one_in(factors, [], self.text("baseline", "baseline")), one_out(factors, "all"))
        with self.document.at("combinations"):
            return one_in(factors, self.combinations(), self.text("baseline", "baseline"))

    def combinations(self) -> list[list[str]]:
        """The factors that are to be tried together."""
        value = self.content.get("combinations", [])
        if not isinstance(value, list) or not all(isinstance(names, list) for names in value):
            raise InputError(f"must be lists of factors like [[relu-he, bn]], not {value!r}")
        for names in value:
            for name in names:
                if not isinstance(name, str) or name not in self.factors:
                    raise InputError(f"no factor '{name}'{did_you_mean(str(name), self.factors)}")
            if len(set(names)) < 2 or len(set(names)) < len(names):
                raise InputError(f"{names!r} must name at least two different factors")
        return value

    def baseline(self, arms: Arms) -> str:
        """The arm that the others are compared with: the one that is named, else the first."""
        name = self.text("baseline", next(iter(arms)))
        if name not in arms:
            with self.document.at("baseline"):
                raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
        return name

    def place(self, arm: str) -> Place:
        """Where an arm's settings stand."""
        return self.document.at("factors", *([arm] if arm in self.factors else []))

    def check_fair(self, arms: tuple[Arm, ...], baseline: str) -> None:
        """Refuse an arm that differs from the baseline in a field that `varies`, where it is given, does not list."""
        declared = self.content.get("varies")
        if declared is None:
            return
        with self.document.at("varies"):
            if not isinstance(declared, list):
                raise InputError(f"must be a list of keys like [act, init], not {declared!r}")
            self.settings(dict.fromkeys(map(str, declared)))
        compared = next(arm.spec for arm in arms if arm.name == baseline)
        for arm in arms:
            with self.place(arm.name):
                check_declared(arm.spec, compared, declared)

    def arm(self, name: str, changes: Settings, levels: Mapping[str, str]) -> Arm:
        """One arm, validated."""
        with self.place(name):
            spec = RunSpec.parse(self.base | changes)
            return Arm(check_name(name, "arm"), spec, self.published(name), levels)

    def check_published(self, arms: Arms) -> None:
        """Published figures belong to arms, and are numbers by metric."""
        for name, figures in self.mapping("published").items():
            with self.document.at("published", name):
                if name not in arms:
                    raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
                if not isinstance(figures, Mapping):
                    raise InputError(f"must be figures like {{val_acc: 0.87}}, not {figures!r}")
                for metric, value in figures.items():
                    if metric not in (*METRICS, "sd"):
                        raise InputError(f"unknown metric '{metric}'{did_you_mean(str(metric), METRICS)}")
                    if not is_figure(value):
                        raise InputError(f"{metric} must be a number, not {value!r}")

    def published(self, name: str) -> dict[str, float]:
        """The published figures of an arm."""
        return dict(self.mapping("published").get(name, {}))


def is_figure(value: object) -> bool:
    """Whether a published figure is a number that a float can hold."""
    try:
        return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False
