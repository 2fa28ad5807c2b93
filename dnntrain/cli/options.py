"""How a study is carried out: the options that train, ablate and transfer share, and what follows from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from dnntrain.cli.data import DataDir, Mirror
from dnntrain.config.renamed import to_new_names
from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.store.provenance import data_notes
from dnntrain.transfer_learning.image_models import ARCHITECTURES, fetch
from dnntrain.utils.console import console, show
from dnntrain.utils.files import read_json
from dnntrain.utils.lazy import import_ahead

if TYPE_CHECKING:
    from dnntrain.executors.local import Executor
    from dnntrain.studies.runner import StudyResult
    from dnntrain.studies.study import Study, Tuning

RUNS = Path("runs")
DEVICES = ("auto", "cpu", "cuda", "mps")

Out = Annotated[Path, typer.Option("--out", help="folder of the run store")]
Workers = Annotated[int | None, typer.Option(min=1, max=1024, help="worker processes; one for each core if not given")]
Device = Annotated[str, typer.Option(help=f"where to train: {', '.join(DEVICES)}")]
ExecutorName = Annotated[str, typer.Option("--executor", help="what trains: local, on this machine, or ray, a cluster")]
Address = Annotated[
    str | None,
    typer.Option(metavar="auto|HOST:PORT", help="the Ray cluster to join; without it, Ray is started on this machine"),
]
Join = Annotated[bool, typer.Option("--join", help="help another process that is at work on the same study")]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(metavar="EPOCHS", min=1, help="how often a run in training is kept; once a minute if not given"),
]


@dataclass(frozen=True)
class RunOptions:
    """Where and how runs are trained and recorded; nothing in it changes a result."""

    out: Out = RUNS
    workers: Workers = None
    device: Device = "auto"
    executor: ExecutorName = "local"
    address: Address = None
    data_dir: DataDir = None
    mirror: Mirror = None
    join: Join = False
    checkpoint_every: CheckpointEvery = None

    def __post_init__(self) -> None:
        """Check what does not depend on a study."""
        for option, value, known in (("device", self.device, DEVICES), ("executor", self.executor, EXECUTORS)):
            if value not in known:
                raise InputError(f"--{option} '{value}'{did_you_mean(value, known)}")
        if self.address is not None and self.executor == "local":
            raise InputError(f"--address {self.address}: goes with --executor ray")

    @property
    def home(self) -> DataLocation:
        """Where data are."""
        return DataLocation.at(self.data_dir, self.mirror)


Command = Callable[..., None]


def takes_means(command: Command) -> Command:
    """Give a command the options of `RunOptions`; its parameter `means` receives them."""
    hints = get_type_hints(RunOptions, include_extras=True)
    options = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(RunOptions)
    ]
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "means"]

    def wrapper(**given: Any) -> None:
        means = RunOptions(**{option.name: given.pop(option.name) for option in options})
        command(means=means, **given)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


def local_executor(means: RunOptions) -> Executor:
    """The cores of this machine."""
    from dnntrain.executors.local import LocalExecutor, default_workers

    return LocalExecutor(means.workers or default_workers(means.device))


def ray_executor(means: RunOptions) -> Executor:
    """A Ray cluster."""
    from dnntrain.executors.ray import RayExecutor

    return RayExecutor(means.workers, means.device, means.address)


EXECUTORS: dict[str, Callable[[RunOptions], Executor]] = {"local": local_executor, "ray": ray_executor}
"""Every executor by the name that `--executor` takes; what it needs is imported only where it is asked for."""


def check(study: Study, means: RunOptions) -> None:
    """Refuse what cannot work before anything is trained or planned, and warn of settings that have no effect."""
    from dnntrain.studies.feasibility import check_study

    if means.mirror is not None and not is_fetched(study):
        raise InputError(f"--mirror {means.mirror}: this study's data are not downloaded")
    for reason in check_study(study, means.home):
        typer.echo(f"warning: {reason}", err=True)


def is_fetched(study: Study) -> bool:
    """Whether some of its data, or a network that it reuses, may have to be downloaded."""
    bases = {study.pretrain, *(arm.spec.reuse_from for arm in study.arms)}
    networks = any(isinstance(base, str) and base.split("@")[0] in ARCHITECTURES for base in bases)
    return networks or any(arm.spec.source.size for arm in study.arms)


def run_study(study: Study, means: RunOptions, printed: set[str] | None = None) -> StudyResult:
    """Run a study, with progress on stderr, and what was left out of its data.

    `printed` has the notes on data that this command has printed already; new ones are added.
    """
    from dnntrain.cli.progress import ProgressDisplay
    from dnntrain.store.run_store import RunStore
    from dnntrain.studies.runner import Manner, StudyRunner
    from dnntrain.transfer_learning.resolve import pretraining_study, with_backbone

    printed = set() if printed is None else printed
    if first := pretraining_study(study):
        study = with_backbone(study, next(iter(run_study(first, means, printed).records)))
    elif isinstance(study.pretrain, str):
        study = with_backbone(study, fetch(study.pretrain, means.home))
    ablation = StudyRunner(study, RunStore(means.out), means.home, means.device)
    terminal = console(stderr=True)
    for note in replaced(study, means.out):
        terminal.print(f"{study.name}: {note}; their runs stay in the store", soft_wrap=True)
    executor = EXECUTORS[means.executor](means)
    import_ahead("pandas")  # for the report: it takes most of a second, and workers take longer to get ready
    outcome = ablation.run(executor, ProgressDisplay(terminal), Manner(means.join, means.checkpoint_every))
    for note in data_notes(read_json(means.out / study.name / "study.json")):
        if note not in printed:
            terminal.print(note, soft_wrap=True)
            printed.add(note)
    return outcome


def replaced(study: Study, out: Path) -> Iterator[str]:
    """What leaves the study's tables now: seeds that are not asked for, arms that are gone or have other settings."""
    now = {arm.name: arm.spec.settings() for arm in study.arms}
    try:
        known = read_json(out / study.name / "study.json")
        seeds = len({*known["seeds"]} - {*study.seeds})
        before = {arm["name"]: to_new_names(arm["settings"]) for arm in known["arms"]}
        # settings that an older version did not have are no change
        gone = [name for name, settings in before.items() if not settings.items() <= now.get(name, {}).items()]
    except (InputError, KeyError, TypeError, AttributeError):
        return  # no study yet, or an unreadable one, which is written again
    if seeds:
        yield f"seeds that leave its tables now: {seeds}"
    if gone:
        yield f"arms that leave its tables now, or change their settings: {', '.join(gone)}"


def run_tuned_study(study: Study, tuning: Tuning, means: RunOptions, printed: set[str]) -> StudyResult:
    """Choose each arm's value on validation, then compare the arms with the values that were chosen."""
    from dnntrain.studies.tuning import choose, selection_metric, tuned_study, tuning_study

    tried = run_study(tuning_study(study, tuning), means, printed)
    chosen = choose(study, tuning, tried.figures(selection_metric(study)))
    return run_study(tuned_study(study, tuning, chosen), means, printed)


def plan_or_carry_out(study: Study, means: RunOptions, plan: bool) -> None:
    """Print the study's arms with --plan; else train them, then with tuned values where the study asks for it."""
    from dnntrain.cli.techniques import plan_table
    from dnntrain.store.run_store import RunStore
    from dnntrain.transfer_learning.resolve import resolve_backbones

    check(study, means)
    if plan:
        if study.pretrain is None:
            resolve_backbones(study, RunStore(means.out), means.home)  # refuses what cannot be reused
        show(plan_table(study))
        return
    printed: set[str] = set()
    print_outcome(run_study(study, means, printed), means.out)
    if study.tuning:
        print_outcome(run_tuned_study(study, study.tuning, means, printed), means.out)


def print_outcome(outcome: StudyResult, out: Path) -> None:
    """The study's report, and where its records are."""
    from dnntrain.reporting import output
    from dnntrain.reporting.summary import summarize
    from dnntrain.store.study_loading import read_study

    if len(outcome.records) == 1:
        [record] = outcome.records.values()
        output.print_run(record, out)
    else:
        folder = out / outcome.study.name
        output.print_summary(summarize(read_study(folder)))
        typer.echo(f"records: {folder}")
