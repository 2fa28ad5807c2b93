"""Builds the study that a preset describes. Settings have the same names as the flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.data import DataLocation, DatasetInfo
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import default_metric
from dnntrain.store.published import PublishedValue
from dnntrain.studies.candidates import TUNE, first_values
from dnntrain.studies.comparisons import read_order, read_within
from dnntrain.studies.confounds import check_declared, check_same_examples
from dnntrain.studies.designs import Arms
from dnntrain.studies.feasibility import check_metric_of, check_run, check_tuning
from dnntrain.studies.preset_design import DESIGN_OF, FACTORS, PresetDesign
from dnntrain.studies.preset_networks import read_networks
from dnntrain.studies.preset_settings import read_settings
from dnntrain.studies.preset_tuning import read_tuning
from dnntrain.studies.published import read_published
from dnntrain.studies.seeds import read_seed_schedule
from dnntrain.studies.study import PRETRAIN, Arm, Study, check_delta, check_metric, check_name, folder_name
from dnntrain.studies.yaml_document import Document, LocatedError
from dnntrain.utils.fields import format_value
from dnntrain.utils.plugins import load_plugin
from dnntrain.utils.user_dirs import expanded

KEYS = (
    *("name", "question", "note", "base", "varies", "design", FACTORS, *DESIGN_OF),
    *("combinations", "baseline", "seeds", "max_seeds", "metric", "delta", "published"),
    *("tune", "tune_seeds", "pretrain", "plugins", "within", "order"),
)
"""The keys of a preset."""


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
            if key == "arms":
                raise InputError("arms: a preset lists them as factors; design: list takes each as it is")
            if key not in KEYS:
                under = "; a setting of runs belongs under base" if key in flat_keys() else ""
                raise InputError(f"unknown key '{key}'{under or did_you_mean(str(key), KEYS, 'dnntrain docs presets')}")
        with document.at("plugins"):
            self.load_plugins()
        with document.at("base"):
            self.base = read_settings(self.content.get("base"), document.where)
            RunSpec.parse(self.base)
        self.base |= overrides
        self.changes = "".join(f",{key}={format_value(value)}" for key, value in overrides.items())
        try:
            RunSpec.parse(self.base)
        except InputError as error:
            raise LocatedError(f"{self.given_as}: {error}") from None
        self.design = PresetDesign(document, self.base)

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
        self.design.check_size(plan.max_seeds or len(plan.seeds))
        with self.document.at(self.design.key):
            settings = self.design.arms()
        outline = self.outline(RunSpec.parse(self.base), {})
        metric = self.metric(outline)
        arms = self.arms(settings, read_published(self.document, settings, metric, outline))
        baseline = self.design.baseline(settings)
        self.check_fair(arms, baseline)
        study = Study(
            name=folder_name(name + self.changes) if self.changes else name,  # a changed base is another study
            arms=arms,
            question=self.document.text("question", ""),
            baseline=baseline,
            metric=metric,
            metric_is_default="metric" not in self.content,
            delta=check_delta(self.content.get("delta"), metric),
            design=self.design.name,
            note=self.note(),
            source=self.document.source,
            pretrain=read_networks(self.document, self.home),
            tuning=read_tuning(self.design, settings),
            within=read_within(self.document, self.design.levels, self.design.name),
            order=read_order(self.document, settings),
        ).with_seeds(plan)
        self.check_used(study, settings)
        with self.document.at(TUNE if TUNE in self.content else self.design.key):
            check_tuning(study, self.home)
        return study

    def arms(self, settings: Arms, published: Mapping[str, dict[str, PublishedValue]]) -> tuple[Arm, ...]:
        """The validated arms, with their published values if there are any."""
        levels = self.design.cells()
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
        with self.document.at("base") if "data" not in changes else self.document.at(self.design.key):
            return spec.source.outline(self.home)

    def note(self) -> str:
        """The preset's note; if settings were changed, it says so."""
        note = self.document.text("note", "")
        if not (note and self.changes):
            return note
        return f"{note} (Written for the preset as it is; this study has {self.changes[1:]}.)"

    def check_fair(self, arms: tuple[Arm, ...], baseline: str) -> None:
        """Refuse an arm that differs from the baseline in a field that `varies` does not list.

        Without `varies`, arms may differ in everything but the examples.
        """
        declared = self.content.get("varies")
        specs = {arm.name: arm.spec for arm in arms}
        if declared is None:
            for name, spec in specs.items():
                with self.design.place(name):
                    check_same_examples(spec, specs[baseline])
            return
        with self.document.at("varies"):
            if not isinstance(declared, list):
                raise InputError(f"must be a list of keys like [act, init], not {declared!r}")
            read_settings(dict.fromkeys(map(str, declared)), self.document.where)
        for name, spec in specs.items():
            with self.design.place(name):
                check_declared(spec, specs[baseline], declared)

    def spec(self, arm: str, changes: dict[str, Any]) -> RunSpec:
        """One arm's settings, validated by themselves and against the data."""
        with self.design.place(arm):
            check_name(arm, "arm")
            spec = RunSpec.parse(self.base | changes)
        outline = self.outline(spec, changes)
        try:
            check_run(spec, outline)
        except InputError as error:
            key = str(error).split(" ")[0].rstrip(":")
            if key in self.overrides and key not in changes:
                raise LocatedError(f"{self.given_as}: {error}") from None
            with self.document.at("base") if key in self.base and key not in changes else self.design.place(arm):
                raise InputError(str(error) if self.design.path(arm) else f"{error} (arm '{arm}')") from None
        return spec

    def check_used(self, study: Study, arms: Arms) -> None:
        """Refuse keys that would be ignored."""
        named = ((arm.spec.reuse_from or "", arm.name) for arm in reversed(study.arms))
        reused = {base: arm for base, arm in named if base.split(".")[0] == PRETRAIN}
        for base, arm in reused.items():
            if base not in study.pretrain:
                near = did_you_mean(base, study.pretrain) if study.pretrain else ", which says what that is"
                with self.design.place(arm):
                    raise InputError(f"reuse_from {base}: needs the key {base}{near}")
        for key, other, is_read in (
            ("combinations", "design: one-in", self.design.name == "one-in"),
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
