"""The typed record of a study: `StudyRecord` is a study.json, which is written and read here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from dnntrain.errors import InputError
from dnntrain.store.published import PublishedValue, published_values
from dnntrain.store.records import DatasetRecord, EnvironmentRecord, Record, RecordedSettings
from dnntrain.utils.fields import format_validation_error
from dnntrain.utils.files import read_json
from dnntrain.utils.times import Moment


class ArmRecord(Record):
    """An arm of a study."""

    name: str
    settings: RecordedSettings = {}
    """With seed 0."""
    implied: list[str] = []
    """Other differences from the baseline that follow from its settings."""
    published: dict[str, PublishedValue | float] = {}
    """Published values by metric, to be read by `StudyRecord.published_of`. Old study files have short forms."""
    levels: dict[str, str] = {}
    """In a factorial design: the level of each factor, '' where it is off."""
    tuned: str = ""
    """The setting that was chosen for this arm on validation data, where that is not the same for all arms."""


class StudyDataset(DatasetRecord):
    """A data set of a study, with the arms that use it."""

    arms: list[str] = []


class StudyEnvironment(Record):
    """An environment that trained some of a study's runs, by the fields that can change a run's bits."""

    engine: str | None = None
    python: str | None = None
    torch: str | None = None
    numpy: str | None = None
    processor: str | None = None
    cpu: str | None = None
    threads: int | None = None
    mkl: str | None = None
    device: str | None = None
    runs: int
    """How many runs it trained."""


class StudyTraining(Record):
    """When the runs of a study were trained, and what that took, over the runs whose records say so."""

    runs: int
    """How many runs that is."""
    dnntrain: list[str]
    """The versions of dnntrain that trained them."""
    started: Moment
    ended: Moment
    wall_seconds: float
    """The time in which at least one of them was in training."""
    cpu_seconds: float | None = None
    """Of all of them together; None if a record does not say."""


class JudgedArm(Record):
    """An arm's comparison with the baseline at the look that resolved it, in the metric's unit."""

    verdict: str
    difference: float
    low: float | None
    """The interval at this look's level; None without a variance."""
    high: float | None
    p: float | None
    """Adjusted for the family."""
    se: float
    df: float
    n: int
    """Seeds that the arm shares with the baseline."""
    pooling: float
    """How far the arm shares the pooled variance, 0 to 1."""


class LookRecord(Record):
    """A look at a study: its planned seeds were complete, and it was judged or asked for more."""

    n: int
    """Seeds at this look."""
    level: float | None = None
    """Arms were judged at 1 − level. None for a report that someone read before asking for more seeds by hand."""
    worst: float | None = None
    """The worst finished run up to the first look, by the study's metric; lost runs cannot outrank it."""
    resolved: dict[str, JudgedArm] = {}
    """The arms that this look resolved. They get no more seeds."""
    pool_variance: float | None = None
    """The variance that the arms share, by which the last few arms are judged at later looks; None without a pool."""
    pool_df: float | None = None


def seeds_until_resolved(arm: str, seeds: Sequence[int], looks: Iterable[LookRecord]) -> list[int]:
    """The seeds that are asked of an arm: none after the look that resolved it. Such a study's seeds count from 0."""
    last = next((look.n for look in looks if arm in look.resolved), None)
    return [seed for seed in seeds if last is None or seed < last]


class StudyRecord(Record):
    """What a study asked, and where its runs come from: study.json."""

    name: str
    question: str = ""
    design: str = "list"
    baseline: str | None = None
    metric: str
    metric_plugin: str = ""
    """The plug-in that declares the metric: its file, or its package's name and version."""
    note: str = ""
    tuned: str = ""
    """The setting that was chosen for every arm on validation data; empty if there is no such setting."""
    tuning_note: str = ""
    """What was chosen for the arms that were tuned; in old study files a part of the note."""
    seeds: list[int]
    arms: list[ArmRecord] = Field(min_length=1)
    data: DatasetRecord | None = None
    """Of the first run."""
    environment: EnvironmentRecord = EnvironmentRecord()
    """Of the first run."""
    datasets: list[StudyDataset] = []
    """Old study files have `data` only."""
    constants: dict[str, dict[str, float]] = {}
    """By arm, each metric of a network that ignores its inputs: what a lost run counts as. Old study files lack it."""
    failed: dict[str, list[int]] = {}
    """By arm, the seeds of the runs whose jobs failed."""
    delta: str | None = None
    """The smallest difference that matters, such as 0.3pp; None for the metric's own."""
    max_seeds: int | None = None
    """The largest number of seeds of a study that adds seeds until its arms are resolved; None for any other."""
    levels: dict[int, float] = {}
    """The level of each look by its number of seeds, if there is more than one: those planned, or those so far."""
    looks: list[LookRecord] = []
    """The looks so far."""
    within: str = ""
    """The factor whose levels are compared at each setting of the other factors; empty if none is."""
    order: list[str] = []
    """Arms in the order to test, the best first; empty if none is tested."""
    environments: list[StudyEnvironment] = []
    training: StudyTraining | None = None
    """None if no run's record says when it was trained."""
    command: str = ""
    """The command that made these files; empty for a call from Python, and in old study files."""
    checksum: str = ""
    """SHA-256 of results.csv as it was written."""

    @model_validator(mode="after")
    def _baseline_is_an_arm(self) -> Self:
        if self.baseline is not None and self.baseline not in {arm.name for arm in self.arms}:
            raise ValueError(f"no arm '{self.baseline}' to be the baseline")
        return self

    @model_validator(mode="after")
    def _published_values_are_possible(self) -> Self:
        for arm in self.arms:
            self.published_of(arm)
        return self

    def published_of(self, arm: ArmRecord) -> dict[str, PublishedValue]:
        """An arm's published values by metric."""
        return published_values(arm.published, self.metric)

    def tuned_setting(self, arm: ArmRecord) -> str:
        """The setting that was chosen for an arm on validation data; empty if none was."""
        return arm.tuned or self.tuned

    def seeds_of(self, arm: str) -> list[int]:
        """The seeds that are asked of an arm: none after the look that resolved it."""
        return seeds_until_resolved(arm, self.seeds, self.looks)

    def to_json(self) -> str:
        """The text of study.json."""
        return json.dumps(self.content(), indent=1)

    @classmethod
    def read(cls, path: Path) -> StudyRecord:
        """Read a study.json; InputError that names the file where it is missing, damaged or incomplete."""
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise InputError(f"{path}: no description of a study ({format_validation_error(error)})") from None
