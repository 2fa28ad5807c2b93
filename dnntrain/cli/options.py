"""How a study is carried out: the options that train, ablate and transfer share, and what follows from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from dnntrain.cli.data import DataDir, Mirror
from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.executors.registry import EXECUTORS, option_fields, read_options
from dnntrain.store.provenance import data_notes
from dnntrain.transfer_learning.image_models import ARCHITECTURES, fetch
from dnntrain.utils.console import console, show
from dnntrain.utils.fields import field_extra
from dnntrain.utils.files import read_json
from dnntrain.utils.lazy import import_ahead
from dnntrain.utils.signals import graceful_interrupt

if TYPE_CHECKING:
    from dnntrain.executors.base import Executor
    from dnntrain.studies.runner import TrainedStudy
    from dnntrain.studies.study import Study, Tuning

RUNS = Path("runs")
DEVICES = ("auto", "cpu", "cuda", "mps")

Out = Annotated[Path, typer.Option("--out", help="folder of the run store")]
Workers = Annotated[int | None, typer.Option(min=1, max=1024, help="worker processes; one for each core if not given")]
Device = Annotated[str, typer.Option(help=f"where to train: {', '.join(DEVICES)}")]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor", help=f"where to train: {', '.join(f'{name} ({e.summary})' for name, e in EXECUTORS.items())}"
    ),
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
    data_dir: DataDir = None
    mirror: Mirror = None
    join: Join = False
    checkpoint_every: CheckpointEvery = None
    executor_settings: Mapping[str, Any] = field(default_factory=dict, metadata={"option": False})
    """The executor's own options, as given."""

    def __post_init__(self) -> None:
        """Check what does not depend on a study."""
        if self.device not in DEVICES:
            raise InputError(f"--device '{self.device}'{did_you_mean(self.device, DEVICES)}")
        read_options(self.executor, self.executor_settings)

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
        if f.metadata.get("option", True)
    ]
    of_executors = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, typer.Option(help=info.description, metavar=field_extra(info, "metavar"))],
        )
        for name, info in option_fields().items()
    ]
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "means"]

    def wrapper(**given: Any) -> None:
        values = {option.name: given.pop(option.name) for option in options}
        means = RunOptions(**values, executor_settings={option.name: given.pop(option.name) for option in of_executors})
        command(means=means, **given)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options + of_executors
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


def create_executor(means: RunOptions, n_runs: int) -> Executor:
    """What trains the study's missing runs; a single one on a CPU trains in this process."""
    from dnntrain.executors.in_process import InProcessExecutor

    if means.executor == "local" and InProcessExecutor.suits(means.device, n_runs):
        return InProcessExecutor()
    import_ahead("pandas")  # for the report: it takes most of a second, and workers take longer to start
    options = read_options(means.executor, means.executor_settings)
    return EXECUTORS[means.executor](means.workers, means.device, options)


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


def run_study(study: Study, means: RunOptions, printed: set[str] | None = None) -> TrainedStudy:
    """Run a study, with progress on stderr, and what was left out of its data.

    `printed` has the notes on data that this command has printed already; new ones are added.
    """
    from dnntrain.cli.progress import ProgressDisplay
    from dnntrain.store.run_store import RunStore
    from dnntrain.studies.runner import StudyRunner
    from dnntrain.transfer_learning.resolve import pretraining_study, with_backbone

    printed = set() if printed is None else printed
    if first := pretraining_study(study):
        study = with_backbone(study, next(iter(run_study(first, means, printed).records)))
    elif isinstance(study.pretrain, str):
        study = with_backbone(study, fetch(study.pretrain, means.home))
    runner = StudyRunner(study, RunStore(means.out), means.home, means.device)
    terminal = console(stderr=True)
    for note in replaced(study, means.out):
        terminal.print(f"{study.name}: {note}; their runs stay in the store", soft_wrap=True)
    executor, display = create_executor(means, len(runner.missing())), ProgressDisplay(terminal)

    def stop() -> None:
        display.stopping()
        executor.stop()

    with graceful_interrupt(stop):
        outcome = runner.run(executor, display, means.join, means.checkpoint_every)
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
        before = {arm["name"]: arm["settings"] for arm in known["arms"]}
        # settings that an older version did not have are no change
        gone = [name for name, settings in before.items() if not settings.items() <= now.get(name, {}).items()]
    except (InputError, KeyError, TypeError, AttributeError):
        return  # no study yet, or an unreadable one, which is written again
    if seeds:
        yield f"seeds that leave its tables now: {seeds}"
    if gone:
        yield f"arms that leave its tables now, or change their settings: {', '.join(gone)}"


def run_tuned_study(study: Study, tuning: Tuning, means: RunOptions, printed: set[str]) -> TrainedStudy:
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


def print_outcome(outcome: TrainedStudy, out: Path) -> None:
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
