"""Builds the study that a preset describes. Settings have the same names as the flags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnntrain.analysis.arm_names import EVERYTHING
from dnntrain.config.parsing import as_meant
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.data import DataLocation, DatasetInfo
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import default_metric
from dnntrain.store.published import PublishedValue
from dnntrain.studies.candidates import TUNE, first_values, is_own_list, own_candidates, read_candidates
from dnntrain.studies.comparisons import read_order, read_within
from dnntrain.studies.confounds import check_declared
from dnntrain.studies.designs import DESIGNS, Arms, cells, factorial, joined, one_in, one_out
from dnntrain.studies.feasibility import check_metric_of, check_run, check_tuning
from dnntrain.studies.published import read_published
from dnntrain.studies.study import (
    MOST_RUNS,
    PRETRAIN,
    Arm,
    Candidates,
    Study,
    Tuning,
    check_delta,
    check_metric,
    check_name,
    folder_name,
    read_seed_schedule,
    read_seeds,
)
from dnntrain.studies.yaml_document import Document, LocatedError, Location
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.utils.fields import format_value
from dnntrain.utils.plugins import load_plugin
from dnntrain.utils.user_code.reference import CodeReference, is_file
from dnntrain.utils.user_dirs import expanded

KEYS = (
    *("name", "question", "note", "base", "varies", "design", "factors"),
    *("combinations", "baseline", "seeds", "max_seeds", "metric", "delta", "published"),
    *("tune", "tune_seeds", "pretrain", "plugins", "within", "order"),
)
"""The keys of a preset."""
CODE = "module:"
"""The start of a reference to the user's code."""


class Preset:
    """Builds a study from a preset's document.

    Every step raises InputError with the file, line and key of what is wrong.
    """

    def __init__(
        self, document: Document, overrides: dict[str, Any], home: DataLocation | None = None, given_as: str = "--set"
    ) -> None:
        self.home, self.overrides, self.given_as = home, overrides, given_as
        self.document, self.content = document, {k: v for k, v in document.content.items() if v is not None}
        for key in document.content:
            if key not in KEYS:
                raise InputError(f"unknown key '{key}'{did_you_mean(str(key), KEYS)}")
        with document.at("plugins"):
            self.load_plugins()
        with document.at("base"):
            self.base = self.settings(self.content.get("base"))
            RunSpec.parse(self.base)
        self.base |= overrides
        self.changes = "".join(f",{key}={format_value(value)}" for key, value in overrides.items())
        try:
            RunSpec.parse(self.base)
        except InputError as error:
            raise LocatedError(f"{self.given_as}: {error}") from None
        self.factors = self.document.mapping("factors")
        self.design = self.document.text("design", "one-in")
        if self.design not in DESIGNS:
            with document.at("design"):
                raise InputError(f"unknown design '{self.design}'{did_you_mean(self.design, DESIGNS)}")

    def load_plugins(self) -> None:
        """Load the plug-ins that the preset names, whose files are relative to its folder."""
        files = self.content.get("plugins", [])
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise InputError(f"must be a list of files like [hardtanh.py], not {files!r}")
        for file in files:
            load_plugin(Path(self.document.where).parent / expanded(file))

    def study(self) -> Study:
        """The study, with every arm validated."""
        plan = read_seed_schedule(self.content.get("seeds", 5), self.content.get("max_seeds"))
        name = check_name(self.document.text("name", Path(self.document.where).stem), "name")
        self.check_size(plan.max_seeds or len(plan.seeds))
        with self.document.at("factors"):
            settings = self.lay_out()
        outline = self.outline(RunSpec.parse(self.base), {})
        metric = self.metric(outline)
        arms = self.arms(settings, read_published(self.document, settings, metric, outline))
        baseline = self.baseline(settings)
        self.check_fair(arms, baseline)
        study = Study(
            # a changed base makes a separate study
            name=folder_name(name + self.changes) if self.changes else name,
            arms=arms,
            question=self.document.text("question", ""),
            baseline=baseline,
            metric=metric,
            metric_is_default="metric" not in self.content,
            delta=check_delta(self.content.get("delta"), metric),
            design=self.design,
            note=self.note(),
            source=self.document.source,
            pretrain=self.pretrain(),
            tuning=self.tuning(settings),
            within=read_within(self.document, self.factors, self.design),
            order=read_order(self.document, settings),
        ).with_seeds(plan)
        self.check_used(study, settings)
        with self.document.at("tune" if "tune" in self.content else "factors"):
            check_tuning(study, self.home)
        return study

    def arms(self, settings: Arms, published: Mapping[str, dict[str, PublishedValue]]) -> tuple[Arm, ...]:
        """The validated arms, with their published values if there are any."""
        levels = cells({name: self.levels(name) for name in self.factors}) if self.design == "factorial" else {}
        return tuple(
            Arm(name, self.spec(name, first_values(changes)), published.get(name, {}), levels.get(name, {}))
            for name, changes in settings.items()
        )

    def metric(self, outline: DatasetInfo) -> str:
        """The metric that arms are compared by; it must fit the data's task."""
        with self.document.at("metric"):
            metric = check_metric(self.content.get("metric") or default_metric(outline.task))
            check_metric_of(metric, outline)
        return metric

    def outline(self, spec: RunSpec, changes: dict[str, Any]) -> DatasetInfo:
        """Shape, classes and sizes of a run's data. An error in the data names the key that sets them."""
        with self.document.at("base") if "data" not in changes else self.document.at("factors"):
            return spec.source.outline(self.home)

    def note(self) -> str:
        """The preset's note; if settings were changed, it says so."""
        note = self.document.text("note", "")
        if not (note and self.changes):
            return note
        return f"{note} (Written for the preset as it is; this study has {self.changes[1:]}.)"

    def pretrain(self) -> dict[str, RunSpec | str]:
        """The networks to reuse by the value of `reuse_from`: `pretrain`, or `pretrain.NAME` for each of several."""
        value = self.content.get("pretrain")
        if value is None:
            return {}
        # no setting is a mapping or an image network's name, so what contains one has named networks
        given = value.values() if isinstance(value, Mapping) else []
        if not any(isinstance(base, Mapping) or str(base) in ARCHITECTURES for base in given):
            with self.document.at("pretrain"):
                return {PRETRAIN: self.base_network(value)}
        bases = {}
        for name, base in value.items():
            with self.document.at("pretrain", name):
                bases[f"{PRETRAIN}.{check_name(name, 'network')}"] = self.base_network(base)
        return bases

    def base_network(self, value: object) -> RunSpec | str:
        """A network to reuse: settings to train first, or a pretrained network's name."""
        if isinstance(value, str):
            if value not in ARCHITECTURES:
                raise InputError(f"unknown network '{value}'{did_you_mean(value, ARCHITECTURES)}")
            return value
        spec = RunSpec.parse(self.settings(value))
        check_run(spec, spec.source.outline(self.home))
        return spec

    def tuning(self, arms: Arms) -> Tuning | None:
        """What to tune for each arm: its own list, else that of the key `tune`; None without either."""
        shared, own = self.shared_candidates(), {}
        for arm, changes in arms.items():
            with self.place(arm):
                if candidates := own_candidates(arm, changes):
                    own[arm] = candidates
        if not (own or shared):
            return None
        with self.document.at("tune_seeds"):
            seeds = len(read_seeds(self.content.get("tune_seeds", 2)))
        return Tuning((dict.fromkeys(arms, shared) if shared else {}) | own, seeds, has_fixed=not own)

    def shared_candidates(self) -> Candidates | None:
        """What the key `tune` lists for all arms without a list of their own; None without it."""
        if TUNE not in self.content:
            return None
        with self.document.at(TUNE):
            fields = self.settings(self.content[TUNE])
            if len(fields) != 1:
                raise InputError(f"must be one field with its values like {{lr: [0.01, 0.1]}}, not {fields!r}")
            [(key, values)] = fields.items()
            shared = read_candidates(key, values, self.base)
            for name in self.factors:
                options = self.levels(name) if self.design == "factorial" else {name: self.factor(name)}
                if any(key in level and not isinstance(level[key], Candidates) for level in options.values()):
                    raise InputError(f"{key} cannot be tuned: it is what {name} sets")
        return shared

    def settings(self, value: object, *, of_arm: bool = False) -> dict[str, Any]:
        """Settings of a run; InputError for an unknown key, or for `seed`. Those of an arm may be lists to tune."""
        if value is not None and not isinstance(value, Mapping):
            raise InputError(f"must be settings like {{lr: 0.1}}, not {value!r}")
        given = dict(value or {})
        for key, each in given.items():
            if key not in flat_keys():
                raise unknown_key(str(key), flat_keys())
            if key == "seed":
                raise InputError("seed belongs under seeds")
            if isinstance(each, Mapping) and not (of_arm and is_own_list(each)):
                raise InputError(f"{key} must be a value, or in a factor values to tune like {{tune: [0.01, 0.1]}}")
        lists = {key: given.pop(key)[TUNE] for key in [*given] if isinstance(given[key], Mapping)}
        settings = {key: as_meant(key, flat_keys()[key], each) for key, each in given.items()}
        settings |= {key: self.located(settings[key]) for key in ("data", "net") if key in settings}
        return settings | {key: read_candidates(key, values, self.base | settings) for key, values in lists.items()}

    def located(self, value: Any) -> Any:
        """A reference to the user's code (module:FILE.py:NAME), whose file is relative to the preset's folder."""
        if not isinstance(value, str) or not value.startswith(CODE):
            return value
        code = CodeReference.parse(value.removeprefix(CODE))
        file = Path(self.document.where).parent / expanded(code.module)
        return f"{CODE}{replace(code, module=str(file))}" if is_file(code.module) else value

    def factor(self, name: str) -> dict[str, Any]:
        """The settings of one factor."""
        with self.document.at("factors", name):
            return self.settings(self.factors[name], of_arm=True)

    def levels(self, name: str) -> Arms:
        """The levels of a factor: its named levels, or off (unnamed) and on."""
        value = self.factors[name]
        # a setting is no mapping, except for a list to tune, so a factor that contains one has named levels
        if not value or not any(isinstance(level, Mapping) and not is_own_list(level) for level in value.values()):
            return {"": {}, name: self.factor(name)}
        levels = {}
        for level, settings in value.items():
            with self.document.at("factors", name, level):
                levels[level] = self.settings(settings, of_arm=True)
        return levels

    def check_size(self, seeds: int) -> None:
        """Refuse a study that is too large, before its arms are built."""
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
        """The settings of each arm, by the design."""
        if self.design == "factorial":
            return factorial({name: self.levels(name) for name in self.factors})
        factors = {name: self.factor(name) for name in self.factors}
        if self.design == "one-out":
            return one_out(factors, self.document.word("baseline", EVERYTHING))
        if self.design == "list":
            return factors
        if self.design == "in-and-out":
            return joined(one_in(factors, [], self.document.word("baseline", "baseline")), one_out(factors, EVERYTHING))
        with self.document.at("combinations"):
            return one_in(factors, self.combinations(), self.document.word("baseline", "baseline"))

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

    def baseline(self, arms: Arms) -> str:
        """The arm that the others are compared with: the named one, or the first."""
        name = self.document.word("baseline", next(iter(arms)))
        if name not in arms:
            with self.document.at("baseline"):
                raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
        return name

    def place(self, arm: str) -> Location:
        """The location of an arm's settings."""
        return self.document.at("factors", *([arm] if arm in self.factors else []))

    def check_fair(self, arms: tuple[Arm, ...], baseline: str) -> None:
        """Refuse an arm that differs from the baseline in a field that `varies` does not list, if `varies` is given."""
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

    def spec(self, arm: str, changes: dict[str, Any]) -> RunSpec:
        """One arm's settings, validated by themselves and against the data."""
        with self.place(arm):
            check_name(arm, "arm")
            spec = RunSpec.parse(self.base | changes)
        outline = self.outline(spec, changes)
        try:
            check_run(spec, outline)
        except InputError as error:
            key = str(error).split(" ")[0].rstrip(":")
            if key in self.overrides and key not in changes:
                raise LocatedError(f"{self.given_as}: {error}") from None
            with self.document.at("base") if key in self.base and key not in changes else self.place(arm):
                raise InputError(str(error) if arm in self.factors else f"{error} (arm '{arm}')") from None
        return spec

    def check_used(self, study: Study, arms: Arms) -> None:
        """Refuse keys that would be ignored."""
        named = ((arm.spec.reuse_from or "", arm.name) for arm in reversed(study.arms))
        reused = {base: arm for base, arm in named if base.split(".")[0] == PRETRAIN}
        for base, arm in reused.items():
            if base not in study.pretrain:
                near = did_you_mean(base, study.pretrain) if study.pretrain else ", which says what that is"
                with self.place(arm):
                    raise InputError(f"reuse_from {base}: needs the key {base}{near}")
        for key, other, is_read in (
            ("combinations", "design: one-in", self.design == "one-in"),
            ("tune_seeds", "tune", study.tuning is not None),
            *((base, f"an arm with reuse_from: {base}", base in reused) for base in study.pretrain),
        ):
            path = key.split(".")
            if path[0] in self.content and not is_read:
                with self.document.at(*path):
                    raise InputError(f"needs {other}")
        for key in self.overrides:
            if all(key in changes for changes in arms.values()):
                raise LocatedError(f"{self.given_as} {key}: every arm of {self.document.where} sets it by itself")
