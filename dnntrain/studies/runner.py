"""Runs a study: keeps what is recorded, trains what is missing, and writes the study's tables."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from dnntrain.config.run_id import run_id
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.engine.run import ENGINE_VERSION
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.base import Executor
from dnntrain.executors.devices import accelerated, gpus_for
from dnntrain.executors.jobs import CheckpointSaved, EpochEnd, Event, Job, JobFailed, RunsFinished
from dnntrain.executors.planner import populations
from dnntrain.executors.speed import TrainingTime
from dnntrain.metrics import modules_of
from dnntrain.store.locks import RunLocks
from dnntrain.store.progress import ProgressFile, remove_ended
from dnntrain.store.run_store import RunRecords, RunStore
from dnntrain.store.study_files import StudyFiles
from dnntrain.store.study_record import StudyRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.feasibility import check_study
from dnntrain.studies.live_progress import after_epoch, after_failure, after_recording, process_record
from dnntrain.studies.study import Study
from dnntrain.studies.trained_study import TrainedStudy
from dnntrain.transfer_learning.resolve import check_leakage, resolve_backbones
from dnntrain.utils.command_line import command_line
from dnntrain.utils.user_code.reference import code_of, pinned

LOCKED_RUNS_SECONDS = 0.5
"""Pause before another look at runs that other processes train."""


class StudyInterrupted(DnntrainError):
    """The study was stopped before all its runs were trained. What is finished is recorded."""

    exit_code = 130  # as of a program that Ctrl-C ended


class StudyRunner:
    """Trains the missing runs of one study into one store."""

    def __init__(
        self,
        study: Study,
        store: RunStore,
        home: DataLocation | None = None,
        device: str = "auto",
        compiles: bool = False,
    ) -> None:
        """Check the study, and find its recorded runs.

        Raises:
            InputError: The study cannot be trained as it is.
        """
        self.study, self.store, self.home = study, store, home or DataLocation()
        self.device, self.compiles = device, compiles
        self.code = code_of(reference for arm in study.arms for reference in arm.spec.references())
        """The user's own code as it is now: all runs use it, whatever becomes of the files."""
        with pinned(self.code):
            fingerprints = {source: source.fingerprint(self.home) for source in {arm.spec.source for arm in study.arms}}
            check_study(study, self.home)
            self.ids = {spec: run_id(spec, fingerprints[spec.source], ENGINE_VERSION) for _, spec in self.study.runs()}
            """The run id of every run."""
            self.backbones = resolve_backbones([arm.spec for arm in study.arms], store, self.home)
            for arm in study.arms:
                if arm.spec.reuse_from:
                    check_leakage(self.backbones[arm.spec.reuse_from], arm.spec, store, self.home)
        self.records = RunRecords(store, self.ids.values())
        self.failures: list[JobFailed] = []
        self.training_time = TrainingTime()

    def run(
        self,
        executor: Executor,
        callback: StudyCallback | None = None,
        join: bool = False,
        checkpoint_every: int | None = None,
        predictions: bool = True,
    ) -> TrainedStudy:
        """Train the missing runs. Whatever ends this, finished runs stay recorded.

        Args:
            executor: Trains the runs; its `stop` stops the study.
            callback: Follows the study.
            join: Whether to help another process that is training this study.
            checkpoint_every: Epochs between checkpoints of runs in training; None for one a minute.
            predictions: Whether to record what the runs predict for held-out examples.

        Raises:
            DnntrainError: Some runs could not be trained (InputError if because of their settings), or another
                process is training the study.
            StudyInterrupted: The executor was stopped, and has saved checkpoints of the runs in training.
        """
        callback = callback or StudyCallback()
        folder, missing = self.store.root / self.study.name, self.missing()
        files = None if missing else self.study_files(self.recorded_command())
        if files and files.are_written(folder):
            # nothing to write, so the store may be read-only
            callback.start(self.study, self.records, self.ids)
            callback.stop()
            remove_ended(folder)
            return TrainedStudy(self.study, self.ids, self.records, files)
        if missing:
            self.store.prepare()
        with (
            pinned(self.code),
            self.store.study_lock(self.study.name, join),
            self.store.run_locks() as locks,
            ProgressFile(folder, process_record(self.study, self.ids)) as progress,
        ):
            try:
                callback.start(self.study, self.records, self.ids)
                while (missing := self.missing()) and not executor.stopping:
                    jobs = JobQueue(self, executor.workers, missing, locks, checkpoint_every, predictions)
                    executor.run(jobs, lambda event: self.handle(event, callback, locks, progress))
                    if not jobs.taken and not executor.stopping:
                        time.sleep(LOCKED_RUNS_SECONDS)
                    self.records.refresh()
            finally:
                try:
                    callback.stop()
                finally:
                    # an interrupt may have come between writing a record and noting it
                    self.records.refresh()
                    if self.records:
                        files = self.study_files(command_line())
                        files.write(folder)
                    self.training_time.learn()
                    progress.keep = bool(self.missing() and (self.records or progress.record.epochs_trained))
        if missing:
            raise StudyInterrupted(
                "interrupted; what is finished stays recorded, and running it again continues from there"
            )
        if self.failures:
            raise self.failure()
        assert files is not None  # every run is recorded
        return TrainedStudy(self.study, self.ids, self.records, files)

    def recorded_command(self) -> str:
        """The command that made the study's files as they are; empty if there are none, or they cannot be read."""
        try:
            return StudyRecord.read(self.store.root / self.study.name / "study.json").command
        except InputError:
            return ""

    def study_files(self, command: str) -> StudyFiles:
        """The study's files, made from the records so far by a command."""
        study = self.study.to_record()
        study = study.model_copy(update={"command": command}) if command else study
        varied = self.study.varied()
        of_arms = {arm.name: arm.spec.settings() for arm in self.study.arms}
        runs = [(arm.name, self.ids[spec]) for arm, spec in self.study.runs() if self.ids[spec] in self.records]
        settings = {run: {key: of_arms[arm][key] for key in varied} for arm, run in runs}
        return StudyFiles.build(study, runs, self.records, settings, self.study.source, self.failed_seeds())

    def failed_seeds(self) -> dict[str, list[int]]:
        """By arm, the seeds whose jobs failed and that are not recorded."""
        failed = {spec for failure in self.failures for spec in failure.job.specs}
        seeds: dict[str, list[int]] = {}
        for arm, spec in self.study.runs():
            if spec in failed and self.ids[spec] not in self.records:
                seeds.setdefault(arm.name, []).append(spec.seed)
        return seeds

    def missing(self) -> dict[RunSpec, str]:
        """The runs that are neither recorded nor have failed, with their ids."""
        failed = {spec for failure in self.failures for spec in failure.job.specs}
        return {spec: run for spec, run in self.ids.items() if run not in self.records and spec not in failed}

    def failure(self) -> DnntrainError:
        """Each reason once, with the runs that it cost, and where the others are."""
        names = {spec: f"{arm.name} seed {spec.seed}" for arm, spec in self.study.runs()}
        failed: dict[str, list[str]] = {}
        for failure in self.failures:
            failed.setdefault(failure.message, []).extend(names[spec] for spec in failure.job.specs)
        lines = [f"{message}: {', '.join(runs)} not trained" for message, runs in failed.items()]
        if self.records:
            folder = self.store.root / self.study.name
            lines.append(f"the other runs are recorded, {len(self.records)} of them: dnntrain report {folder}")
        wrong_input = any(failure.exit_code == InputError.exit_code for failure in self.failures)
        return (InputError if wrong_input else DnntrainError)("\n".join(lines))

    def handle(self, event: Event, callback: StudyCallback, locks: RunLocks, progress: ProgressFile) -> None:
        """Record an event."""
        if isinstance(event, EpochEnd):
            progress.update(**after_epoch(progress.record, event, self.ids))
            callback.progress(event)
        elif isinstance(event, JobFailed):
            self.failures.append(event)
            progress.update(**after_failure(progress.record, event, self.ids, self.failed_seeds()))
        elif isinstance(event, RunsFinished):
            for run in event.runs:
                record = run.to_record(self.ids[run.spec], event.data, event.environment)
                self.records.add(self.store.write(record, run.weights, run.predictions, self.code))
                locks.release(record.run)
                callback.run_finished(record)
            self.training_time.add(event)
            progress.update(**after_recording(progress.record, event, self.ids))
        elif isinstance(event, CheckpointSaved):
            for spec, checkpoint in event.checkpoints.items():
                self.store.write_checkpoint(self.ids[spec], checkpoint)


class JobQueue:
    """The missing runs as jobs; a job's runs are locked when it is taken."""

    def __init__(
        self,
        runner: StudyRunner,
        workers: int,
        missing: Mapping[RunSpec, str],
        locks: RunLocks,
        checkpoint_every: int | None,
        predictions: bool,
    ) -> None:
        self.runner, self.locks = runner, locks
        self.checkpoint_every, self.predictions = checkpoint_every, predictions
        # a process that waits for others looks twice a second, and need not read their checkpoints
        self.missing = {spec: run for spec, run in missing.items() if locks.is_unlocked(run)}
        store = runner.store
        self.checkpoints = {spec: found for spec, run in self.missing.items() if (found := store.checkpoint(run))}
        trained = {spec: checkpoint.epochs for spec, checkpoint in self.checkpoints.items()}
        gpus = gpus_for(runner.device) if accelerated(runner.device) else None
        self.plan = populations(list(self.missing), workers, trained, gpus)
        self.taken = 0
        """How many jobs were taken."""

    def __iter__(self) -> Iterator[Job]:
        for population in self.plan:
            specs = tuple(spec for spec in population if self.try_lock(self.missing[spec]))
            if specs:
                self.taken += 1
                backbone = self.runner.backbones.get(specs[0].reuse_from or "")
                job = Job(
                    specs,
                    self.runner.home,
                    self.runner.device,
                    backbone,
                    self.runner.code,
                    modules_of(metric for spec in specs for metric in spec.watched_metrics),
                    self.checkpoints,
                    self.checkpoint_every,
                    self.predictions,
                    compiles=self.runner.compiles,
                )
                yield job.subset(specs)  # with the checkpoints of these runs only

    def try_lock(self, run: str) -> bool:
        """Whether this process may train the run: no other process is training it, or has trained it since."""
        if not self.locks.try_lock(run):
            return False
        if self.runner.store.has(run):
            self.locks.release(run)
            return False
        return True
