"""Runs a study from start to end: the network it reuses, then its runs, then the comparison with tuned values."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, get_type_hints

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.data.user_callable import UserCallable
from dnntrain.errors import InputError, did_you_mean
from dnntrain.executors.devices import accelerated, cpu_precision_fault
from dnntrain.executors.registry import EXECUTORS, read_options
from dnntrain.metrics import metric_of
from dnntrain.store.provenance import data_notes
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.transfer_learning.weights import fetch
from dnntrain.utils.python_calls import check_type
from dnntrain.utils.signals import graceful_interrupt

if TYPE_CHECKING:
    from dnntrain.executors.base import Executor
    from dnntrain.studies.callbacks import StudyCallback
    from dnntrain.studies.study import Study, Tuning
    from dnntrain.studies.trained_study import TrainedStudy

LARGE_PREDICTIONS = 100
"""Predictions of more megabytes than this get a note before a study is trained."""

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class RunOptions:
    """Where and how runs are trained and recorded. None of these options changes a run.

    Raises:
        InputError: If a value is unknown or out of range.
    """

    out: Path = Path("runs")
    """Folder where runs and studies are recorded."""
    workers: int | None = None
    """Worker processes; by default one per core."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda or mps."""
    compile: bool = False
    """Whether torch.compile fuses the operations of a training step: it takes some ten seconds for each network, and
    sums may round otherwise."""
    executor: str = "local"
    """Where runs are trained: local (this machine) or ray (a cluster)."""
    data_dir: str | Path | None = None
    """Folder where data sets are looked up and downloaded to."""
    mirror: str | None = None
    """URL or folder to download from instead of the official source."""
    join: bool = False
    """Whether to share the work with a process that is training the same study."""
    checkpoint_every: int | None = None
    """Epochs between checkpoints; by default one a minute."""
    predictions: bool = True
    """Whether to record what each run predicts for validation and test examples."""
    drop_seeds: bool = False
    """Whether a finished study may have fewer seeds than before."""
    reload_data: bool = False
    """Whether functions that give the data (module:FILE.py:NAME) are called again."""
    executor_options: Mapping[str, Any] = field(default_factory=dict)
    """The executor's own options, such as a Ray cluster's address."""

    def __post_init__(self) -> None:
        for option, hint in get_type_hints(type(self)).items():
            check_type(option, getattr(self, option), hint)
        if self.device not in DEVICES:
            raise InputError(f"unknown device '{self.device}'{did_you_mean(self.device, DEVICES)}")
        read_options(self.executor, self.executor_options)
        for option, count, most in (("workers", self.workers, 1024), ("checkpoint_every", self.checkpoint_every, None)):
            if count is not None and not 1 <= count <= (most or count):
                raise InputError(f"{option} {count!r}: must be a whole number from 1{f' to {most}' if most else ''}")

    @cached_property
    def home(self) -> DataLocation:
        """Where data sets are found."""
        return replace(DataLocation.at(self.data_dir, self.mirror), called_after=time() if self.reload_data else 0.0)


def check(study: Study, options: RunOptions) -> list[str]:
    """Check that a study can be trained, before anything is.

    Returns:
        A warning for each setting that has no effect.

    Raises:
        InputError: If an arm cannot be trained with these settings and data, or `mirror` would not be used.
    """
    from dnntrain.studies.feasibility import check_study

    metric = metric_of(study.metric)
    is_measured = metric.recorded or all(metric in arm.spec.watched_metrics for arm in study.arms)
    if not (options.predictions or is_measured):
        raise InputError(f"metric {study.metric}: is computed from predictions, which --no-predictions leaves out")
    if options.mirror is not None and not downloads(study):
        raise InputError(f"mirror {options.mirror}: this study's data are not downloaded")
    if options.reload_data and not any(isinstance(arm.spec.source, UserCallable) for arm in study.arms):
        raise InputError("reload_data: this study's data do not come from a function (module:FILE.py:NAME)")
    for arm in study.arms:
        on_cpu = options.executor == "local" and not accelerated(options.device)
        if on_cpu and (fault := cpu_precision_fault(arm.spec.precision)):
            raise InputError(f"arm '{arm.name}': {fault}")
    return check_study(study, options.home)


def downloads(study: Study) -> bool:
    """Whether a data set or a pretrained network of the study may have to be downloaded."""
    bases = {*study.pretrain.values(), *(arm.spec.reuse_from for arm in study.arms)}
    networks = any(isinstance(base, str) and base.split("@")[0] in ARCHITECTURES for base in bases)
    return networks or any(arm.spec.source.size for arm in study.arms)


def train_missing_runs(
    study: Study, options: RunOptions, callback: StudyCallback, *, owns_process: bool = False
) -> TrainedStudy:
    """Train what is not recorded yet, including the network that the study reuses, and write the study's tables.

    Args:
        study: What to train.
        options: Where and how to train it.
        callback: Receives progress and notes.
        owns_process: Whether this process belongs to the study, as on the command line. Then Ctrl-C and SIGTERM let
            the current epoch finish first, and a single run trains in this process if torch is not loaded yet.

    Raises:
        InputError: If the study cannot be trained, or would lose seeds.
        DnntrainError: If some runs failed; the others are recorded.
    """
    from dnntrain.store.run_store import RunStore
    from dnntrain.studies.continuation import changes, check_seeds_kept, continue_study
    from dnntrain.studies.feasibility import predictions_size, useful_workers
    from dnntrain.studies.looks import train_until_resolved
    from dnntrain.studies.pretraining import pretraining_study, with_backbones
    from dnntrain.studies.runner import StudyRunner

    if not options.drop_seeds:
        check_seeds_kept(study, options.out)
    names = {key: fetch(base, options.home) for key, base in study.pretrain.items() if isinstance(base, str)}
    if first := pretraining_study(study):
        pretrained = train_missing_runs(first, options, callback, owns_process=owns_process)
        names |= {key: pretrained.ids[base] for key, base in study.pretrain.items() if isinstance(base, RunSpec)}
    study = with_backbones(study, names)
    asked, study = study, continue_study(study, options.out)
    for note in changes(study, asked, options.out):
        callback.note(f"{study.name}: {note}")

    def train(study: Study) -> TrainedStudy:
        runner = StudyRunner(study, RunStore(options.out), options.home, options.device, options.compile)
        missing = runner.missing()
        megabytes = predictions_size(missing, options.home) / 1e6 if options.predictions else 0
        if megabytes > LARGE_PREDICTIONS:
            callback.note(
                f"{study.name}: the predictions of {len(missing)} runs will take {megabytes:,.0f} MB in {options.out}; "
                "--no-predictions leaves them out"
            )
        executor = create_executor(options, len(missing), owns_process, useful_workers(study, options.home, [*missing]))

        def stop() -> None:
            callback.stopping()
            executor.stop()

        with graceful_interrupt(stop) if owns_process else nullcontext():
            return runner.run(executor, callback, options.join, options.checkpoint_every, options.predictions)

    trained = train(study) if study.max_seeds is None else train_until_resolved(study, train, callback)
    for note in data_notes(trained.files.record):
        callback.note(note)
    return trained


def create_executor(
    options: RunOptions, n_runs: int, owns_process: bool, useful_workers: int | None = None
) -> Executor:
    """What trains the missing runs. A single one on a CPU trains in this process, if that belongs to the study.

    Args:
        options: Where to train.
        n_runs: How many runs are missing.
        owns_process: See `train_missing_runs`.
        useful_workers: How many workers this machine needs, unless the options say how many; None for one per core.
    """
    from dnntrain.executors.in_process import InProcessExecutor

    is_on_cpu = options.executor == "local" and not accelerated(options.device)
    if owns_process and is_on_cpu and InProcessExecutor.suits(options.device, n_runs):
        return InProcessExecutor()
    own_options = read_options(options.executor, options.executor_options)
    workers = options.workers or (useful_workers if is_on_cpu else None)
    return EXECUTORS[options.executor](workers, options.device, own_options)


def run_tuned_study(
    study: Study, tuning: Tuning, options: RunOptions, callback: StudyCallback, *, owns_process: bool = False
) -> TrainedStudy:
    """Choose each arm's value on validation data, then compare the arms with the chosen values."""
    from dnntrain.studies.tuning import select_best, selection_metric, tuned_study, tuning_study

    tried = train_missing_runs(tuning_study(study, tuning), options, callback, owns_process=owns_process)
    chosen = select_best(study, tuning, tried.figures(selection_metric(study)))
    return train_missing_runs(tuned_study(study, tuning, chosen), options, callback, owns_process=owns_process)
