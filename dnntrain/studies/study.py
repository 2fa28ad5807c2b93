"""A study: arms to compare, each a run's settings, over the same seeds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnntrain.config.spec import CoreSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import METRICS, score
from dnntrain.store.records import ArmRecord, StudyRecord
from dnntrain.studies.confounds import implied_changes
from dnntrain.utils.fields import odd_number

MOST_RUNS = 100_000

PRETRAIN = "pretrain"
"""What a preset's arms call the network that is trained first."""


@dataclass(frozen=True)
class Arm:
    """One setting of a study."""

    name: str
    spec: CoreSpec
    """The settings, with seed 0."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published figures by metric, as {'val_acc': 0.8663}."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """In a factorial design: the level of each factor, '' where it is off."""

    def run(self, seed: int) -> CoreSpec:
        """The arm's run with this seed."""
        return self.spec.model_copy(update={"seed": seed})


@dataclass(frozen=True)
class Tuning:
    """Which field is tuned for each arm, over which values, with how many seeds."""

    key: str
    values: tuple[float, ...]
    seeds: int = 2


@dataclass(frozen=True)
class Study:
    """What an ablation asks."""

    name: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    question: str = ""
    baseline: str | None = None
    """The arm that the others are compared with."""
    metric: str = "val_acc"
    design: str = "list"
    note: str = ""
    source: str = ""
    """The preset's text, as it was run."""
    pretrain: CoreSpec | str | None = None
    """What is trained (or fetched, by name) first, for the arms that reuse it as `reuse_from: pretrain`."""
    tuning: Tuning | None = None
    """What is tuned for each arm, in a study beside this one."""

    def runs(self) -> list[tuple[Arm, CoreSpec]]:
        """Every run, arm by arm."""
        return [(arm, arm.run(seed)) for arm in self.arms for seed in self.seeds]

    def varied(self) -> list[str]:
        """The fields in which the arms differ, in the spec's order."""
        settings = [arm.spec.settings() for arm in self.arms]
        return [key for key in settings[0] if any(s[key] != settings[0][key] for s in settings)]

    def to_record(self) -> StudyRecord:
        """What the study asks, for study.json."""
        arms = [
            ArmRecord(
                name=arm.name,
                settings=arm.spec.settings(),
                implied=self.implied(arm),
                published=dict(arm.published),
                levels=dict(arm.levels),
            )
            for arm in self.arms
        ]
        return StudyRecord(
            name=self.name,
            question=self.question,
            design=self.design,
            baseline=self.baseline,
            metric=self.metric,
            note=self.note,
            seeds=list(self.seeds),
            arms=arms,
        )

    def implied(self, arm: Arm) -> list[str]:
        """What else sets an arm apart from the baseline, by its settings."""
        baseline = next((other.spec for other in self.arms if other.name == self.baseline), arm.spec)
        return implied_changes(arm.spec, baseline)

    def with_seeds(self, seeds: Sequence[int]) -> Study:
        """The same study over other seeds."""
        if len(self.arms) * len(seeds) > MOST_RUNS:
            raise InputError(f"{len(self.arms)} arms × {len(seeds)} seeds: at most {MOST_RUNS} runs")
        return replace(self, seeds=tuple(seeds))


def read_seeds(value: object) -> tuple[int, ...]:
    """`5` → the seeds 0 to 4; `[3, 7]`, `3,7` or `10-14` → those; InputError otherwise."""
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


def check_name(name: str, what: str) -> str:
    """A name that is safe as a folder's and readable in a table; InputError otherwise."""
    if not re.fullmatch(r"[\w(][\w.+=,:() -]{0,79}", name) or name != name.strip():
        raise InputError(f"{what} '{name}' must be of letters, digits and any of . _ + = , : ( ) -, at most 80")
    if name == "store":
        raise InputError(f"{what} 'store' is where the runs are kept; take another")
    return name


def folder_name(text: str) -> str:
    """The text as a name that `check_name` accepts: other letters become '_', what is too long ends in a digest."""
    clean = re.sub(r"[^\w.+=,:() -]", "_", text)
    return clean if len(clean) <= 80 else f"{clean[:71]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def default_metric(spec: CoreSpec, home: DataLocation | None = None) -> str:
    """What a study is judged by unless it says otherwise: val_acc, or val_r2 where the target is a number."""
    return f"val_{score(spec.source.outline(home).task)}"


def check_metric(metric: object) -> str:
    """A figure that every run has; InputError otherwise."""
    if metric not in METRICS:
        raise InputError(f"unknown metric '{metric}'{did_you_mean(str(metric), METRICS)}")
    return str(metric)
