"""A study: arms to compare, each with its settings, over the same seeds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnntrain.config.spec import RunSpec, default_settings
from dnntrain.errors import InputError
from dnntrain.metrics import DEFAULT_METRIC, metric_of
from dnntrain.store.records import ArmRecord, StudyRecord
from dnntrain.studies.confounds import implied_changes
from dnntrain.utils.fields import format_value, odd_number

MOST_RUNS = 100_000

PRETRAIN = "pretrain"
"""The value of `reuse_from` that stands for the network that a preset trains first."""


@dataclass(frozen=True)
class Arm:
    """One arm of a study."""

    name: str
    spec: RunSpec
    """The settings, with seed 0."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published figures by metric, as {'val_acc': 0.8663}."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """In a factorial design: the level of each factor, '' where it is off."""

    def run(self, seed: int) -> RunSpec:
        """The arm's run with this seed."""
        return self.spec.model_copy(update={"seed": seed})


@dataclass(frozen=True)
class Tuning:
    """The field that is tuned for each arm, the values to try, and the number of seeds."""

    key: str
    values: tuple[float, ...]
    seeds: int = 2


@dataclass(frozen=True)
class Study:
    """Arms to compare over seeds, and what to compare them by."""

    name: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    question: str = ""
    baseline: str | None = None
    """The arm that the others are compared with."""
    metric: str = DEFAULT_METRIC
    design: str = "list"
    note: str = ""
    source: str = ""
    """The preset's YAML text; empty if there is none."""
    pretrain: RunSpec | str | None = None
    """What `reuse_from: pretrain` stands for: settings to train first, or a pretrained network's name."""
    tuning: Tuning | None = None
    """What to tune for each arm, in a separate study."""

    def runs(self) -> list[tuple[Arm, RunSpec]]:
        """All runs, arm by arm, each with its arm."""
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
        """What else differs from the baseline as a consequence of the arm's settings."""
        baseline = next((other.spec for other in self.arms if other.name == self.baseline), arm.spec)
        return implied_changes(arm.spec, baseline)

    def with_seeds(self, seeds: Sequence[int]) -> Study:
        """The same study with other seeds; InputError if there would be too many runs."""
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
    settings, defaults = spec.settings(), default_settings()
    changed = {k: v for k, v in settings.items() if v != defaults[k] and k != "seed"}
    return (
        ",".join(key if value is True else f"{key}={format_value(value)}" for key, value in changed.items())
        or "default"
    )


def check_metric(metric: object) -> str:
    """Check that a metric exists; InputError with the nearest name if not."""
    metric_of(str(metric))
    return str(metric)
