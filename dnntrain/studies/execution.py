"""Runs a study from start to end: the network it reuses, then its runs, then the comparison with tuned values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.executors.registry import EXECUTORS
from dnntrain.store.provenance import data_notes
from dnntrain.transfer_learning.image_models import ARCHITECTURES, fetch
from dnntrain.utils.files import read_json
from dnntrain.utils.lazy import import_ahead

if TYPE_CHECKING:
    from dnntrain.studies.runner import StudyCallback, TrainedStudy
    from dnntrain.studies.study import Study, Tuning

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class RunOptions:
    """Where and how runs are trained and recorded. None of these options changes a result.

    Raises:
        InputError: If a value is unknown or out of range.
    """

    out: Path = Path("runs")
    """Folder where runs and studies are recorded."""
    workers: int | None = None
    """Worker processes; by default one per core."""
    device: str = "auto"
    """Device to train on: auto, cpu, cuda or mps."""
    executor: str = "local"
    """Where runs are trained: local (this machine) or ray (a cluster)."""
    address: str | None = None
    """Ray cluster to join, as auto or HOST:PORT; by default Ray is started on this machine."""
    data_dir: str | None = None
    """Folder where data sets are looked up and downloaded to."""
    mirror: str | None = None
    """URL or folder to download from instead of the official source."""
    join: bool = False
    """Whether to share the work with a process that is training the same study."""
    checkpoint_every: int | None = None
    """Epochs between checkpoints; by default one a minute."""

    def __post_init__(self) -> None:
        for option, value, known in (("device", self.device, DEVICES), ("executor", self.executor, EXECUTORS)):
            if value not in known:
                raise InputError(f"unknown {option} '{value}'{did_you_mean(str(value), known)}")
        for option, count, most in (("workers", self.workers, 1024), ("checkpoint_every", self.checkpoint_every, None)):
            if count is not None and not (isinstance(count, int) and 1 <= count <= (most or count)):
                raise InputError(f"{option} {count!r}: must be a whole number from 1{f' to {most}' if most else ''}")
        if self.address is not None and self.executor == "local":
            raise InputError(f"address {self.address}: needs the executor ray")

    @property
    def home(self) -> DataLocation:
        """Where data sets are found."""
        return DataLocation.at(self.data_dir, self.mirror)


def check(study: Study, options: RunOptions) -> list[str]:
    """Check that a study can be trained, before anything is.

    Returns:
        A warning for each setting that has no effect.

    Raises:
        InputError: If an arm cannot be trained with these settings and data, or `mirror` would not be used.
    """
    from dnntrain.studies.feasibility import check_study

    if options.mirror is not None and not downloads(study):
        raise InputError(f"mirror {options.mirror}: this study's data are not downloaded")
    return check_study(study, options.home)


def downloads(study: Study) -> bool:
    """Whether a data set or a pretrained network of the study may have to be downloaded."""
    bases = {study.pretrain, *(arm.spec.reuse_from for arm in study.arms)}
    networks = any(isinstance(base, str) and base.split("@")[0] in ARCHITECTURES for base in bases)
    return networks or any(arm.spec.source.size for arm in study.arms)


def run_study(
    study: Study, options: RunOptions, callback: StudyCallback, *, handle_signals: bool = False
) -> TrainedStudy:
    """Train what is not recorded yet, including the network that the study reuses, and write the study's tables.

    Args:
        study: What to train.
        options: Where and how to train it.
        callback: Receives progress and notes.
        handle_signals: Whether Ctrl-C and SIGTERM let the current epoch finish first, as on the command line.

    Raises:
        InputError: If the study cannot be trained.
        DnntrainError: If some runs failed; the others are recorded.
    """
    from dnntrain.store.run_store import RunStore
    from dnntrain.studies.runner import Manner, StudyRunner
    from dnntrain.transfer_learning.resolve import pretraining_study, with_backbone

    if first := pretraining_study(study):
        pretrained = run_study(first, options, callback, handle_signals=handle_signals)
        study = with_backbone(study, next(iter(pretrained.records)))
    elif isinstance(study.pretrain, str):
        study = with_backbone(study, fetch(study.pretrain, options.home))
    runner = StudyRunner(study, RunStore(options.out), options.home, options.device)
    for note in dropped_from_tables(study, options.out):
        callback.note(f"{study.name}: {note}; their runs stay in the store")
    executor = EXECUTORS[options.executor](options.workers, options.device, options.address)
    import_ahead("pandas")  # the report needs it, and it loads while the workers start
    trained = runner.run(executor, callback, Manner(options.join, options.checkpoint_every, handle_signals))
    for note in data_notes(read_json(options.out / study.name / "study.json")):
        callback.note(note)
    return trained


def run_tuned_study(
    study: Study, tuning: Tuning, options: RunOptions, callback: StudyCallback, *, handle_signals: bool = False
) -> TrainedStudy:
    """Choose each arm's value on validation data, then compare the arms with the chosen values."""
    from dnntrain.studies.tuning import choose, selection_metric, tuned_study, tuning_study

    tried = run_study(tuning_study(study, tuning), options, callback, handle_signals=handle_signals)
    chosen = choose(study, tuning, tried.figures(selection_metric(study)))
    return run_study(tuned_study(study, tuning, chosen), options, callback, handle_signals=handle_signals)


def dropped_from_tables(study: Study, out: Path) -> Iterator[str]:
    """What the study's tables lose when they are written again: seeds, and arms that are gone or have changed."""
    now = {arm.name: arm.spec.settings() for arm in study.arms}
    try:
        known = read_json(out / study.name / "study.json")
        seeds = len({*known["seeds"]} - {*study.seeds})
        before = {arm["name"]: arm["settings"] for arm in known["arms"]}
        # a setting that an older version did not have is not a change
        gone = [name for name, settings in before.items() if not settings.items() <= now.get(name, {}).items()]
    except (InputError, KeyError, TypeError, AttributeError):
        return  # no study yet, or an unreadable one, which is written again
    if seeds:
        yield f"seeds that leave its tables now: {seeds}"
    if gone:
        yield f"arms that leave its tables now, or change their settings: {', '.join(gone)}"
