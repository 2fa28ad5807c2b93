"""Typed records of runs: `RunRecord` is a run.json, which is written and read here.

Records keep fields that this version does not know, so that their checksums hold and nothing is lost on the way.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dnntrain.errors import InputError
from dnntrain.utils.fields import format_validation_error
from dnntrain.utils.files import read_json
from dnntrain.utils.times import Moment
from dnntrain.utils.user_code.reference import CodeReference
from dnntrain.utils.user_code.sources import installed_as

FORMAT = 1
"""The layout of the store; raised when an older dnntrain could no longer read it."""

RecordedSettings = dict[str, bool | int | float | str | None]
"""A run's settings by key."""
HistoryRow = dict[str, float | int | list[float | None] | None]
"""One epoch: a number by name, or a list with one number per layer, from the lowest (`LayerNames` says which). None
where it is not finite."""

HEALTHY = "healthy"
NOT_JUDGED = "healthy (activations not judged)"
"""The state of a network that shows no symptom, but not all of its activations either."""


DIVERGED_HEALTH = "diverged"
"""The state of a network whose loss is not finite any more, although its gradients did not explode before."""


def health_state(health: str) -> str:
    """The state that a diagnosis names, without its details: `dead units` for `dead units (layer 2, epoch 3)`."""
    return health if health == NOT_JUDGED else health.partition(" (")[0]


class Record(BaseModel):
    """Part of a JSON file of the store."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, defer_build=True)

    def content(self) -> dict[str, Any]:
        """The fields that were given, in the order in which they are written, as plain JSON values."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class DatasetRecord(Record):
    """The data set that a run was trained on. Old study files have the first three fields only."""

    name: str
    fingerprint: str = ""
    train_examples: int
    test_examples: int
    n_validation: int = Field(0, alias="own_validation")
    """Examples at the end of the training part that the data set names as its validation part."""
    shape: list[int] = []
    """Of one example."""
    kind: Literal["images", "numbers", "tokens"] = "numbers"
    """What the inputs are; old records do not say."""
    n_tokens: int = 0
    """The number of tokens; 0 if the inputs are not tokens."""
    task: str = "classification"
    """classification or regression; the oldest records do not say, and are of the first."""
    classes: list[str] = []
    license: str = Field("", alias="licence")
    notes: list[str] = []
    """What was left out of the data, or read in a special way."""
    preprocessing: dict[str, Any] | None = None
    """How new data become such inputs, as `data.preprocessing` reads it. Older records have none."""

    def without_preprocessing(self) -> DatasetRecord:
        """What identifies the data set and describes it in a study's files; runs alone record the preprocessing."""
        return DatasetRecord(**{key: value for key, value in self.content().items() if key != "preprocessing"})


class EnvironmentRecord(Record):
    """What trained a run. None where the version of dnntrain that wrote the record did not know."""

    python: str | None = None
    torch: str | None = None
    numpy: str | None = None
    platform: str | None = None
    processor: str | None = None
    """The architecture, as x86_64."""
    cpu: str | None = None
    """The model's name."""
    threads: int | None = None
    mkl: str | None = None
    """The value of MKL_CBWR."""
    device: str | None = None
    steps: str | None = None
    """How training steps ran on a GPU, or compiled: `CUDA graphs`, or `eager` and why. Others have no such field."""
    bit_for_bit: bool | None = None
    """Whether the promise of equal bits holds in this environment."""


class CodeRecord(Record):
    """A callable of the user's that a run used."""

    reference: str
    """As the settings have it after `module:`, such as 'mynet.py:Net:width=64'."""
    identity: str
    """SHA-256 of what decides the result of a call: sources, name and arguments."""
    digest: str = ""
    """SHA-256 of the source files, which names the folder that keeps them; empty for an installed package."""
    entry: str = ""
    """The module's own file among them."""
    package: str = ""
    """Name and version of an installed package."""
    plugin: bool = False
    """Whether a plug-in declares it, which has to be loaded before the run's settings can be read."""

    @classmethod
    def of(cls, reference: CodeReference, plugin: bool = False) -> CodeRecord:
        """The record of a reference, with the code that it means now."""
        given: dict[str, Any] = {"reference": str(reference), "identity": reference.identity()}
        given |= {"plugin": True} if plugin else {}
        if code := reference.code():
            return cls(**given, digest=code.digest, entry=code.entry)
        return cls(**given, package=installed_as(reference.module.partition(".")[0]))


class LayerNames(Record):
    """What the lists in a run's history are about."""

    weights: list[str] = []
    """The name of each weight, for grad_norm, grad_max, update_ratio, sensitivity and weight_norm, from the lowest."""
    activations: list[str] = []
    """The name of each activation, for act_mean, act_std, dead, saturated and slope, from the lowest."""
    unobserved: list[str] = []
    """The activations that have no figures, as text: those that a module of the user's own does not show."""

    def columns(self) -> dict[str, list[str]]:
        """The columns of history.csv that say which layer each number of a cell is about; none for old records."""
        return {"weights": self.weights, "activations": self.activations} if self.weights else {}


class ProbesRecord(Record):
    """What was measured at single steps of a run. Figures are lists as in the history, by name."""

    start: dict[str, list[float | None]] = {}
    """At the first mini-batch, before the first step: sensitivity, weight_norm, slope, grad_norm, update_ratio."""
    last: list[dict[str, int | list[float | None]]] = []
    """Of a run that diverged: the same at the last steps with finite gradients, with `epoch` and `step` (from 1)."""
    magnitudes: dict[str, list[float | None]] = {}
    """By kind of clipping, what it compares with its threshold, at the probed steps of all epochs, unclipped."""
    finite_steps: int = 0
    """Steps until the loss of a mini-batch was no longer finite; all steps of a run that finished."""


class TargetScale(Record):
    """What turns the outputs of a regression into its target: output · deviation + mean."""

    mean: float
    """Of the targets of the training part, in their own unit."""
    deviation: float


class Checksums(Record):
    """SHA-256 of a run's files."""

    record: str
    """Of the record's content without its checksums: see `checksum`."""
    weights: str
    """Of the bytes of weights.safetensors."""


class RunRecord(Record):
    """What is kept of a run: run.json."""

    format: int | None = None
    run: str
    """The run's id."""
    engine: str | None = None
    """The engine version that trained it."""
    dnntrain: str = ""
    """The version of dnntrain that trained it. Older records do not have it, nor the times of day and the CPU time."""
    settings: RecordedSettings
    data: DatasetRecord
    environment: EnvironmentRecord
    code: list[CodeRecord] = []
    """The user's own code that the run used; not in records of runs without any."""
    status: str
    """finished or diverged."""
    epochs: int
    best_epoch: int | None
    """The epoch (from 1) whose weights were kept; None where no epoch was finished."""
    results: dict[str, float | None]
    """The metrics of the kept weights by name; empty where the run diverged."""
    constant: dict[str, float] = {}
    """The metrics that a network which ignores its inputs would have on this run's parts: what a lost run counts as.

    It predicts the class shares of the training part, or the mean target. A metric that is undefined on a part is left
    out, and old records have none."""
    target: TargetScale | None = None
    """In a regression; older records have none."""
    health: str
    """The diagnosis, with layer and epoch where there is one: `healthy` or `dead units (layer 2, epoch 3)`."""
    layers: LayerNames = Field(default_factory=LayerNames)
    """Old records have none. Their networks are dense, and their layers have numbers."""
    seconds: float
    """Its share of the wall time of the populations that it was trained in."""
    cpu_seconds: float | None = None
    """Its share of their CPU time."""
    started: Moment | None = None
    """When its training started, or was resumed for the last time."""
    ended: Moment | None = None
    """When its training ended."""
    history: list[HistoryRow] = Field(min_length=1)
    probes: ProbesRecord = Field(default_factory=ProbesRecord)
    """Older records have none: all of it is empty."""
    checksums: Checksums | None = None
    """None in a record that is not written yet, and in old ones."""

    @property
    def seed(self) -> int:
        """The run's seed."""
        seed = self.settings["seed"]
        assert isinstance(seed, int)
        return seed

    def with_checksums(self, weights: bytes) -> RunRecord:
        """The record as it is written beside a weights file of these bytes."""
        sums = Checksums(record=checksum(self.content()), weights=hashlib.sha256(weights).hexdigest())
        return self.model_copy(update={"checksums": sums})

    def to_json(self) -> str:
        """The text of run.json."""
        return json.dumps(self.content(), indent=1)

    @classmethod
    def read(cls, path: Path, run_id: str) -> RunRecord:
        """Read a run.json.

        Raises:
            InputError: The file is missing or damaged, was written by a newer version, is the record of another run,
                or was changed since it was written. The message names the file and says what to do.
        """
        content = read_json(path)
        fields = content if isinstance(content, dict) else {}
        if isinstance(fields.get("format"), int) and fields["format"] > FORMAT:
            raise InputError(f"{path}: written by a newer dnntrain (format {fields['format']}); update to read it")
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        if fields.get("run") != run_id or not fields.keys() >= required or not fields["history"]:
            raise InputError(f"{path}: not the record of run {run_id}; remove its folder, and it is trained again")
        sums = fields.get("checksums", {})
        if "checksums" in fields and not (isinstance(sums, dict) and sums.get("record") == checksum(fields)):
            raise InputError(f"{path}: changed since it was written; remove its folder, and it is trained again")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(
                f"{path}: not the record of run {run_id} ({format_validation_error(error)}); remove its folder, and it "
                "is trained again"
            ) from None


def checksum(content: dict[str, Any]) -> str:
    """SHA-256 of a run record's content without its checksums."""
    content = {key: value for key, value in content.items() if key != "checksums"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
