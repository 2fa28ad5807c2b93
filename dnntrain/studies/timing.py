"""Times a study's arms again, each as a population of the same size, in turn. Nothing is recorded as a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.executors.environment import describe_environment
from dnntrain.executors.worker import cached_dataset
from dnntrain.statistics.medians import FEWEST_FOR_MEDIAN
from dnntrain.store.code import runnable_code
from dnntrain.store.records import EnvironmentRecord, RunRecord
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import Results
from dnntrain.store.timing import ArmTimes, StudyTimes
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.reference import pinned

if TYPE_CHECKING:
    from dnntrain.engine.timing import ArmTimer


@dataclass(frozen=True)
class TimingOptions:
    """How a study's arms are timed."""

    rounds: int = 30
    """How often each arm is timed. Between two times of an arm, all others are."""
    steps: int = 20
    """Training steps in a round."""
    members: int | None = None
    """Runs in the population of each arm; by default as many as the study has seeds."""
    home: DataLocation = field(default_factory=DataLocation)
    trust_code: bool = False
    """Whether recorded code may run where the local one differs or is missing."""

    def __post_init__(self) -> None:
        if self.rounds < FEWEST_FOR_MEDIAN:
            raise InputError(f"rounds {self.rounds}: the interval of a median needs at least {FEWEST_FOR_MEDIAN}")
        for name, value in (("steps", self.steps), ("seeds", self.members)):
            if value is not None and value < 1:
                raise InputError(f"{name} {value}: must be at least 1")


def time_study(
    study: Results, options: TimingOptions, on_round: Callable[[int], None] = lambda finished: None
) -> StudyTimes:
    """Time the training steps and the predictions of every arm, on one core of this machine.

    Args:
        study: The recorded study.
        options: How to time it.
        on_round: Called with the number of finished rounds.

    Raises:
        InputError: An arm has no recorded run, reuses a network, or its data or code are not those of its runs; or it
            is too fast to be timed.
    """
    torch.set_num_threads(1)
    records, store = first_records(study), RunStore(study.folder.parent)
    codes = [
        code for record in records.values() for code in runnable_code(store.code, record, trust_code=options.trust_code)
    ]
    members = options.members or len(study.record.seeds)
    with pinned(codes):
        timers = {arm: timer_of(arm, record, members, options.home) for arm, record in records.items()}
        arms = time_in_turn(timers, records, options, on_round)
    environment = EnvironmentRecord.model_validate(describe_environment(torch.device("cpu")))
    return StudyTimes(members=members, steps=options.steps, environment=environment, arms=arms)


def first_records(study: Results) -> dict[str, RunRecord]:
    """A record of each arm, whose runs differ only in their seeds; InputError if an arm has none."""
    store, found = RunStore(study.folder.parent), {}
    for arm in study.record.arms:
        runs = study.runs.where("arm", arm.name)["run"]
        if not runs:
            raise InputError(f"arm {arm.name}: has no recorded run; train the study first")
        found[arm.name] = store.read(str(runs[0]))
    return found


def timer_of(arm: str, record: RunRecord, members: int, home: DataLocation) -> ArmTimer:
    """A population of an arm's runs, to be timed; for errors see `time_study`."""
    from dnntrain.engine.timing import ArmTimer  # imports torch

    spec = RunSpec.from_record(record.settings)
    if spec.reuse_from:
        raise InputError(f"arm {arm}: reuses a network; only networks that are trained as a whole can be timed")
    dataset = cached_dataset(spec.source, home)
    if dataset.fingerprint != record.data.fingerprint:
        raise InputError(f"arm {arm}: the data set {record.data.name} is not the one of its runs; its bytes differ")
    return ArmTimer([spec.model_copy(update={"seed": seed}) for seed in range(members)], dataset)


def time_in_turn(
    timers: Mapping[str, ArmTimer],
    records: Mapping[str, RunRecord],
    options: TimingOptions,
    on_round: Callable[[int], None],
) -> dict[str, ArmTimes]:
    """The times of all arms, each once in every round, in random order, so that all meet the same load."""
    for timer in timers.values():  # caches are cold at the first call
        timer.step_seconds(options.steps)
        timer.test_seconds()
    step: dict[str, list[float]] = {arm: [] for arm in timers}
    test: dict[str, list[float]] = {arm: [] for arm in timers}
    rng = np.random.default_rng(0)
    for number in range(options.rounds):
        for arm in rng.permutation(list(timers)).tolist():
            step[arm].append(timers[arm].step_seconds(options.steps))
            test[arm].append(timers[arm].test_seconds())
            if not (step[arm][-1] > 0 and test[arm][-1] > 0):
                raise InputError(f"arm {arm}: is too fast for this machine's clock; give more --steps")
        on_round(number + 1)
    return {
        arm: ArmTimes(run=records[arm].run, steps_per_epoch=timer.steps_per_epoch, step=step[arm], test=test[arm])
        for arm, timer in timers.items()
    }
