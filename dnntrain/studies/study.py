"""A study: arms to compare, each with its settings, over the same seeds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dnntrain.analysis.margins import read_margin
from dnntrain.config.spec import RunSpec, default_settings
from dnntrain.data.in_memory import InMemory
from dnntrain.errors import InputError
from dnntrain.metrics import DEFAULT_METRIC, column_named, metric_of
from dnntrain.store.published import PublishedValue
from dnntrain.store.study_record import ArmRecord, LookRecord, StudyRecord, seeds_until_resolved
from dnntrain.studies.confounds import implied_changes
from dnntrain.studies.seeds import MOST_RUNS, UNTIL_RESOLVED, SeedSchedule
from dnntrain.utils.fields import format_value
from dnntrain.utils.plugins import plugin_of

PRETRAIN = "pretrain"
"""The value of `reuse_from` that stands for the network that a preset trains first; of several, `pretrain.NAME`."""


@dataclass(frozen=True)
class Arm:
    """One arm of a study."""

    name: str
    spec: RunSpec
    """The settings, with seed 0."""
    published: Mapping[str, PublishedValue] = field(default_factory=dict)
    """Published values by metric."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """In a factorial design: the level of each factor, '' where it is off."""
    tuned: str = ""
    """The setting whose value was chosen for it on validation data; empty for most arms."""

    def run(self, seed: int) -> RunSpec:
        """The arm's run with this seed."""
        return self.spec.model_copy(update={"seed": seed})


@dataclass(frozen=True, repr=False)
class Candidates:
    """The values to try of a setting that is tuned."""

    key: str
    values: tuple[float, ...]

    def __repr__(self) -> str:
        return f"{{tune: [{', '.join(map(format_value, self.values))}]}}"


@dataclass(frozen=True)
class Tuning:
    """What is tuned for each arm, and over how many seeds."""

    candidates: Mapping[str, Candidates]
    """By arm. Those that are not tuned are left out."""
    seeds: int = 2
    has_fixed: bool = True
    """Whether every arm has a value without tuning too, so that those are compared first."""


@dataclass(frozen=True)
class Study:
    """Arms to compare over seeds, and what to compare them by."""

    name: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    question: str = ""
    baseline: str | None = None
    """The arm that the others are compared with."""
    metric: str = DEFAULT_METRIC
    design: str = "list"
    note: str = ""
    tuning_note: str = ""
    """What was chosen for the arms that were tuned."""
    source: str = ""
    """The preset's YAML text; empty if there is none."""
    pretrain: Mapping[str, RunSpec | str] = field(default_factory=dict)
    """The networks to reuse: settings to train first, or a pretrained network's name, by the value of `reuse_from` that
    stands for each."""
    tuning: Tuning | None = None
    """What to tune for each arm, in a separate study."""
    delta: str | None = None
    """The smallest difference that matters, such as 0.3pp; by default the metric's own."""
    max_seeds: int | None = None
    """For a study that adds seeds until its arms are resolved: the most. `seeds` are those up to the next look."""
    levels: Mapping[int, float] = field(default_factory=dict)
    """The level of each look by its number of seeds, if there is more than one: those planned, or those so far."""
    looks: tuple[LookRecord, ...] = ()
    """The looks at the study so far."""
    within: str = ""
    """The factor of a factorial design whose levels are compared at each setting of the other factors, if any."""
    order: tuple[str, ...] = ()
    """Arms in the order to test, the best first; empty if none is tested."""
    metric_is_default: bool = False
    """Whether the metric was not asked for. A recorded study then keeps its own."""

    @property
    def resolves_together(self) -> bool:
        """Whether all arms get the same seeds until every one is resolved, because the report combines several arms.

        This holds for the effects of a factorial or in-and-out design, for an order of arms, and for transfer: a
        ladder or a curve.
        """
        combines_arms = self.design in ("factorial", "in-and-out") or bool(self.order)
        return combines_arms or any(arm.spec.reuse_from for arm in self.arms)

    def seeds_of(self, arm: str) -> list[int]:
        """The seeds of an arm: none after the look that resolved it."""
        return seeds_until_resolved(arm, self.seeds, self.looks)

    def runs(self) -> list[tuple[Arm, RunSpec]]:
        """All runs, arm by arm, each with its arm."""
        return [(arm, arm.run(seed)) for arm in self.arms for seed in self.seeds_of(arm.name)]

    def varied(self) -> list[str]:
        """The fields in which the arms differ, in the spec's order."""
        settings = [arm.spec.settings() for arm in self.arms]
        return [key for key in settings[0] if any(s[key] != settings[0][key] for s in settings)]

    def to_record(self) -> StudyRecord:
        """What the study asks, for study.json."""
        keys = {arm.tuned for arm in self.arms}
        for_all = keys.pop() if len(keys) == 1 else ""  # else each arm's record says what was tuned
        arms = [
            ArmRecord(
                name=arm.name,
                settings=arm.spec.settings(),
                implied=self.implied(arm),
                published=dict(arm.published),
                levels=dict(arm.levels),
                **({"tuned": arm.tuned} if arm.tuned and not for_all else {}),
            )
            for arm in self.arms
        ]
        plugin = plugin_of(type(metric_of(self.metric)))
        rare = {
            "metric_plugin": str(plugin or ""),
            "tuned": for_all,
            "tuning_note": self.tuning_note,
            "delta": self.delta,
            "max_seeds": self.max_seeds,
            "levels": self.levels,
            "looks": self.looks,
            "within": self.within,
            "order": list(self.order),
        }
        return StudyRecord(
            name=self.name,
            question=self.question,
            design=self.design,
            baseline=self.baseline,
            metric=self.metric,
            note=self.note,
            seeds=list(self.seeds),
            arms=arms,
            **{key: value for key, value in rare.items() if value},  # most studies have none of these
        )

    def implied(self, arm: Arm) -> list[str]:
        """What else differs from the baseline as a consequence of the arm's settings."""
        baseline = next((other.spec for other in self.arms if other.name == self.baseline), arm.spec)
        return implied_changes(arm.spec, baseline)

    def with_seeds(self, plan: SeedSchedule) -> Study:
        """The same study with other seeds; InputError if there would be too many runs, or nothing to resolve."""
        most = plan.max_seeds or len(plan.seeds)
        if len(self.arms) * most > MOST_RUNS:
            raise InputError(f"{len(self.arms)} arms × {most} seeds: at most {MOST_RUNS} runs")
        if plan.max_seeds is not None and len(self.arms) < 2:
            raise InputError(f"seeds {UNTIL_RESOLVED}: needs an arm to compare with the baseline")
        return replace(self, seeds=plan.seeds, max_seeds=plan.max_seeds)


def check_name(name: str, what: str) -> str:
    """Check that a name is safe as a folder name and readable in tables; InputError if it is not."""
    if not re.fullmatch(r"[\w(][\w.+=,:() -]{0,79}", name) or name != name.strip():
        raise InputError(f"{what} '{name}' must be of letters, digits and any of . _ + = , : ( ) -, at most 80")
    if name == "store":
        raise InputError(f"{what} 'store' is reserved for the runs; choose another name")
    return name


def folder_name(text: str) -> str:
    """Turn text into a name that `check_name` accepts. A name that is too long is cut, and ends in a digest."""
    clean = re.sub(r"[^\w.+=,:() -]", "_", text)
    return clean if len(clean) <= 80 else f"{clean[:71]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def spec_label(spec: RunSpec) -> str:
    """The settings that differ from the defaults, as a short name: 'act=elu,bn,clipnorm=1'."""
    settings, defaults = spec.settings(), default_settings(spec.net)
    changed = {k: v for k, v in settings.items() if v != defaults[k] and k != "seed"}
    if isinstance(spec.source, InMemory):
        changed["data"] = spec.source.display_name()
    return (
        ",".join(key if value is True else f"{key}={format_value(value)}" for key, value in changed.items())
        or "default"
    )


def check_metric(metric: object) -> str:
    """The column of a metric, such as test_macro_f1 for macro_f1; InputError with the nearest name if there is none."""
    column = column_named(str(metric))
    metric_of(column)
    return column


def check_delta(delta: object, metric: str) -> str | None:
    """Check that the metric can differ by this much; InputError if not."""
    if delta is None:
        return None
    try:
        return read_margin(str(delta), metric_of(metric)).text
    except InputError as error:
        raise InputError(f"delta: {error}") from None
