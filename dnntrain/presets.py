"""Presets: a study written as YAML, whose keys are the flags' names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from dnntrain.documents import Document
from dnntrain.errors import InputError, did_you_mean
from dnntrain.fairness import check_declared
from dnntrain.spec import CoreSpec, RunSpec
from dnntrain.study import METRICS, MOST_RUNS, Arm, Study, check_metric, check_name, read_seeds

KEYS = (
    *("name", "question", "note", "base", "varies", "design", "factors"),
    *("combinations", "baseline", "seeds", "metric", "published"),
)
"""What a preset may hold."""

Settings = dict[str, Any]
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


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """The study that a preset describes, its base changed by `overrides`; raises InputError with file and line."""
    path = find_preset(name)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE} bytes: no preset")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return read_preset(text, str(path), overrides)


def read_preset(text: str, where: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """The study that a preset's text describes; `where` names it in errors."""
    document = Document.read(text, where)
    with document.at():
        return Preset(document, dict(overrides or {})).study()


class Preset:
    """Reads a preset's document into a study."""

    def __init__(self, document: Document, overrides: Settings) -> None:
        self.document, self.content = document, document.content
        for key in self.content:
            if key not in KEYS:
                with document.at():
                    raise InputError(f"unknown key '{key}'{did_you_mean(str(key), KEYS)}")
        self.base = self.mapping("base") | overrides
        with document.at("base"):
            RunSpec.parse(self.base)
        self.factors = self.mapping("factors")
        self.design = str(self.content.get("design", "one-in"))

    def study(self) -> Study:
        """The study, every arm of it validated."""
        if self.design not in DESIGNS:
            with self.document.at("design"):
                raise InputError(f"unknown design '{self.design}'{did_you_mean(self.design, DESIGNS)}")
        with self.document.at("seeds"):
            seeds = read_seeds(self.content.get("seeds", 5))
        self.check_size(len(seeds))
        settings = DESIGNS[self.design](self)
        arms = tuple(self.arm(name, changes) for name, changes in settings.items())
        for name in self.mapping("published"):
            if name not in settings:
                with self.document.at("published", name):
                    raise InputError(f"no arm '{name}'{did_you_mean(name, settings)}")
        baseline = self.baseline(arms)
        self.check_fair(arms, baseline)
        return Study(
            name=check_name(str(self.content.get("name", Path(self.document.where).stem)), "name"),
            arms=arms,
            seeds=seeds,
            question=str(self.content.get("question", "")).strip(),
            baseline=baseline,
            metric=check_metric(self.content.get("metric", "val_acc")),
            design=self.design,
            note=str(self.content.get("note", "")).strip(),
            source=self.document.text,
        )

    def mapping(self, key: str, *path: str) -> Settings:
        """The mapping under a key; empty where there is none."""
        value: Any = self.content.get(key) or {}
        if not isinstance(value, Mapping):
            with self.document.at(key):
                raise InputError(f"must be keys with values, not {value!r}")
        return {str(name): item for name, item in value.items()}

    def check_size(self, seeds: int) -> None:
        """Refuse what would never end, before it is laid out."""
        sizes = [len(self.levels(name)) for name in self.factors] if self.design == "factorial" else []
        arms = math.prod(sizes) if sizes else len(self.factors) + 1
        if arms * seeds > MOST_RUNS:
            raise InputError(f"{arms} arms × {seeds} seeds are {arms * seeds} runs; at most {MOST_RUNS}")

    def factor(self, name: str) -> Settings:
        """One factor's settings."""
        with self.document.at("factors", name):
            value = self.factors[name] or {}
            if not isinstance(value, Mapping):
                raise InputError(f"must be settings like {{lr: 0.1}}, not {value!r}")
            self.known_keys(value)
            return {str(key): item for key, item in value.items()}

    def known_keys(self, settings: Mapping[str, Any]) -> None:
        """Every key is one of a run's, and none is the seed."""
        for key in settings:
            if key not in RunSpec.model_fields:
                raise InputError(f"unknown key '{key}'{did_you_mean(str(key), RunSpec.model_fields)}")
            if key == "seed":
                raise InputError("seed belongs under seeds")

    def levels(self, name: str) -> dict[str, Settings]:
        """A factor's levels: those that are named, else off and on."""
        value = self.factors[name]
        if isinstance(value, Mapping) and value and not set(value) & set(RunSpec.model_fields):
            if not all(isinstance(level, Mapping) or level is None for level in value.values()):
                with self.document.at("factors", name):
                    self.known_keys(value)
            for level, settings in value.items():
                with self.document.at("factors", name, str(level)):
                    self.known_keys(settings or {})
            return {str(level): dict(settings or {}) for level, settings in value.items()}
        return {"": {}, name: self.factor(name)}

    def merged(self, names: tuple[str, ...], parts: list[Settings]) -> Settings:
        """The parts together; no two may set one key to different values."""
        settings: Settings = {}
        for part in parts:
            for key, value in part.items():
                if settings.setdefault(key, value) != value:
                    raise InputError(f"{' and '.join(names)} both set {key}, to {settings[key]!r} and {value!r}")
        return settings

    def one_in(self) -> dict[str, Settings]:
        """The baseline, each factor alone, and the combinations that are asked for."""
        arms: dict[str, Settings] = {self.baseline_name(): {}} | {name: self.factor(name) for name in self.factors}
        return arms | self.combinations()

    def combinations(self) -> dict[str, Settings]:
        """Arms of several factors at once."""
        arms = {}
        with self.document.at("combinations"):
            for names in self.content.get("combinations") or []:
                unknown = next((n for n in names if n not in self.factors), None) if isinstance(names, list) else names
                if unknown is not None:
                    raise InputError(f"'{unknown}' is no list of factors{did_you_mean(str(unknown), self.factors)}")
                arms["+".join(names)] = self.merged(tuple(names), [self.factor(name) for name in names])
        return arms

    def one_out(self) -> dict[str, Settings]:
        """Everything at once, and everything but one factor."""
        every = {name: self.factor(name) for name in self.factors}
        arms = {self.baseline_name(): self.merged(tuple(every), list(every.values()))}
        for left_out in every:
            rest = {name: settings for name, settings in every.items() if name != left_out}
            arms[f"no {left_out}"] = self.merged(tuple(rest), list(rest.values()))
        return arms

    def factorial(self) -> dict[str, Settings]:
        """Every combination of the factors' levels."""
        arms = {}
        for levels in product(*(self.levels(name).items() for name in self.factors)):
            names = tuple(name for name, _ in levels if name)
            arms["+".join(names) or "none"] = self.merged(names, [settings for _, settings in levels])
        return arms

    def listed(self) -> dict[str, Settings]:
        """The factors as they stand."""
        return {name: self.factor(name) for name in self.factors}

    def baseline_name(self) -> str:
        """The baseline's name where the design makes that arm itself."""
        return str(self.content.get("baseline", "all" if self.design == "one-out" else "baseline"))

    def baseline(self, arms: tuple[Arm, ...]) -> str:
        """The arm that the others are compared with: the one that is named, else the first."""
        if not arms:
            raise InputError("no factors: a study needs at least one arm")
        name = self.content.get("baseline")
        names = [arm.name for arm in arms]
        if name is not None and str(name) not in names:
            with self.document.at("baseline"):
                raise InputError(f"no arm '{name}'{did_you_mean(str(name), names)}")
        return names[0] if name is None else str(name)

    def check_fair(self, arms: tuple[Arm, ...], baseline: str) -> None:
        """Refuse an arm that differs from the baseline in a field that `varies`, where it is given, does not list."""
        declared = self.content.get("varies")
        if declared is None:
            return
        with self.document.at("varies"):
            if not isinstance(declared, list):
                raise InputError(f"must be a list of keys like [act, init], not {declared!r}")
            self.known_keys(dict.fromkeys(map(str, declared)))
        compared = next(arm.spec for arm in arms if arm.name == baseline)
        for arm in arms:
            with self.document.at("factors", *([arm.name] if arm.name in self.factors else [])):
                check_declared(arm.spec, compared, declared)

    def arm(self, name: str, changes: Settings) -> Arm:
        """One arm, validated."""
        path = ("factors", name) if name in self.factors else ("factors",)
        with self.document.at(*path):
            spec: CoreSpec = RunSpec.parse(self.base | changes)
            return Arm(check_name(name, "arm"), spec, self.published(name))

    def published(self, name: str) -> dict[str, float]:
        """The published figures of an arm."""
        figures = self.mapping("published").get(name) or {}
        with self.document.at("published", name):
            for metric, value in figures.items():
                if metric not in (*METRICS, "sd"):
                    raise InputError(f"unknown metric '{metric}'{did_you_mean(str(metric), METRICS)}")
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise InputError(f"{metric} must be a number, not {value!r}")
        return dict(figures)


DESIGNS = {"one-in": Preset.one_in, "one-out": Preset.one_out, "factorial": Preset.factorial, "list": Preset.listed}
"""How factors become arms."""
