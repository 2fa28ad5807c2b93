"""Carries out a study on the command line, or with `--plan` prints what would be trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Group
from rich.text import Text

from dnntrain.config.shown import as_in_module, in_use, split_settings, write_settings
from dnntrain.engine.network import network_settings
from dnntrain.errors import InputError
from dnntrain.executors.devices import accelerated, default_workers
from dnntrain.executors.planner import NetworkSize, populations, predicted_bytes
from dnntrain.executors.speed import priced_on
from dnntrain.metrics import metric_of
from dnntrain.statistics import looks_up_to
from dnntrain.store.progress import recorded_in_words
from dnntrain.studies.execution import RunOptions, check
from dnntrain.studies.feasibility import predicted_duration
from dnntrain.studies.pretraining import pretraining_study
from dnntrain.studies.study import Arm, Study, Tuning
from dnntrain.techniques.networks.module import Module, module_spec
from dnntrain.utils.console import console, show
from dnntrain.utils.fields import format_value
from dnntrain.utils.text_layout import TextTable
from dnntrain.utils.times import rough_duration
from dnntrain.utils.words import count_noun

if TYPE_CHECKING:
    from dnntrain.nn.modules.spec import ModuleSpec
    from dnntrain.reporting.results import StudyResult
    from dnntrain.studies.runner import StudyRunner
    from dnntrain.trackers.base import Tracker

TUNED = "tuned"
"""What the plan shows for a value that is still to be chosen."""


def plan_or_run(study: Study, options: RunOptions, plan: bool, trackers: Sequence[Tracker] = ()) -> StudyResult | None:
    """Print the study's arms with `--plan`; otherwise train them, print the report and return the result."""
    warn(study, options)
    if plan:
        print_plan(study, options)
        return None
    result = run_here(study, options, trackers)
    print_result(result)
    return result


def warn(study: Study, options: RunOptions) -> None:
    """Check the study before anything is trained, and warn of settings that have no effect."""
    for reason in check(study, options):
        typer.echo(f"warning: {reason}", err=True)


def run_here(study: Study, options: RunOptions, trackers: Sequence[Tracker] = ()) -> StudyResult:
    """Run the study with progress on stderr, and in the trackers; Ctrl-C stops it after the current epoch."""
    from dnntrain.api.training import run_study
    from dnntrain.studies.progress import ProgressDisplay

    return run_study(study, options, ProgressDisplay(console(stderr=True)), trackers, owns_process=True)


def print_result(result: StudyResult) -> None:
    """Print the result of one setting in a few lines, or the report of a study, and where the records are."""
    from dnntrain.reporting.terminal import study_report
    from dnntrain.reporting.training import training_report

    records = list(result.records.values())
    if len(result) == 1 and records and not result.tuned:
        typer.echo(training_report(records, result.folder))
        return
    for each in filter(None, (result, result.tuned)):
        show(study_report(each.summary.analysis))
        typer.echo(f"records: {each.folder}")


def print_plan(study: Study, options: RunOptions) -> None:
    """Print the arms, what is recorded of them already, what the rest takes, and what the seeds can find.

    Raises:
        InputError: An arm cannot reuse what it names.
    """
    from dnntrain.cli.power import power_lines
    from dnntrain.store.run_store import RunStore
    from dnntrain.studies.continuation import check_seeds_kept, continue_study
    from dnntrain.transfer_learning.resolve import resolve_backbones

    store, backbones = RunStore(options.out), {}
    if not study.pretrain:
        backbones = resolve_backbones([arm.spec for arm in study.arms], store, options.home)
    if not options.drop_seeds:
        try:
            check_seeds_kept(study, options.out)
        except InputError as refused:
            typer.echo(f"warning: {refused}", err=True)
    study = continue_study(study, options.out)
    show(plan_table(study, options, planned_runner(study, options)))
    for arm in study.arms:
        if backbone := backbones.get(arm.spec.reuse_from or ""):
            for note in backbone.for_run(arm.spec).notes(arm.spec, arm.spec.source.outline(options.home)):
                typer.echo(f"{arm.name}: {note}")
    if study.baseline is not None and len(study.arms) > 1:
        typer.echo("\n".join(power_lines(study, options.out)))


def planned_runner(study: Study, options: RunOptions) -> StudyRunner | None:
    """What knows the ids of a study's runs; None as long as they depend on data or settings that are not there."""
    from dnntrain.store.run_store import RunStore
    from dnntrain.studies.runner import StudyRunner

    is_tuned_first = study.tuning is not None and not study.tuning.has_fixed
    has_data = all(source.find(options.home) for source in {arm.spec.source for arm in study.arms})
    if study.pretrain or is_tuned_first or not has_data:
        return None
    return StudyRunner(study, RunStore(options.out), options.home, options.device, options.compile)


def plan_table(study: Study, options: RunOptions, runner: StudyRunner | None) -> Group:
    """A study's arms with the settings in which they differ, and the number of runs and populations.

    Args:
        study: What is planned.
        options: Where and how it would be trained.
        runner: Knows which runs are recorded; None if the runs' ids are not known yet.
    """
    rows = []
    for arm in study.arms:
        text = write_settings(own_settings(study, arm))
        rows.append([arm.name, "\n".join([text, *(f"  so {change}" for change in study.implied(arm))])])
    table = TextTable("", ["arm", "settings"], rows, wraps=frozenset({"settings"}))
    direction = "" if metric_of(study.metric).higher_is_better else " (lower is better)"
    runs, delta = [spec for _, spec in study.runs()], study.delta or metric_of(study.metric).delta
    lines = [
        f"{count_noun(len(study.arms), 'arm')} × {count_noun(len(study.seeds), 'seed')} = "
        f"{count_noun(len(runs), 'run')} in {count_noun(len(populations(runs, 1)), 'population')}"
        + (f"; baseline: {study.baseline}" if study.baseline else ""),
        f"compared by {study.metric}{direction}; δ = {delta}",
        *reused_networks(study),
        *network_lines(study, options),
        *work_lines(study, options, runner),
        f"common: {write_settings(common_settings(study))}",
    ]
    if study.max_seeds:
        looks = ", ".join(map(str, looks_up_to(study.max_seeds)))
        most = len(study.arms) * study.max_seeds
        lines.insert(1, f"seeds are added until every arm is resolved: looks at {looks} seeds, at most {most} runs")
    if study.tuning:
        lines.append(tuning_line(study, study.tuning))
    heading = [Text(study.name, style="bold"), *([Text(study.question)] if study.question else [])]
    return Group(*heading, table, Text("\n".join(lines), style="dim"))


def own_settings(study: Study, arm: Arm) -> dict[str, object]:
    """What an arm changes in the baseline; the baseline itself has all settings that some arm changes."""
    settings, of_arms = in_use(planned_settings(study, arm)), [planned_settings(study, each) for each in study.arms]
    varied = [key for key in settings if any(each[key] != of_arms[0][key] for each in of_arms)]
    baseline = next((planned_settings(study, other) for other in study.arms if other.name == study.baseline), None)
    if baseline is not None and arm.name != study.baseline:
        varied = [key for key in varied if settings[key] != baseline[key]]
    own = {key: settings[key] for key in varied}
    own = as_in_module(own, settings["net"])
    return own | {key: value for key, value in settings.items() if value == TUNED}


def planned_settings(study: Study, arm: Arm) -> dict[str, object]:
    """An arm's settings, with `TUNED` for a value that is chosen before the arms are compared."""
    tried = study.tuning.candidates.get(arm.name) if study.tuning and not study.tuning.has_fixed else None
    return arm.spec.settings() | ({tried.key: TUNED} if tried else {})


def common_settings(study: Study) -> dict[str, object]:
    """What all arms share; what is tuned stands with the arms."""
    common = split_settings({arm.name: planned_settings(study, arm) for arm in study.arms}).common
    return {key: value for key, value in common.items() if value != TUNED}


def tuning_line(study: Study, tuning: Tuning) -> str:
    """What is tuned for which arms, over which values, and how many runs that takes."""
    parts = []
    for tried in dict.fromkeys(tuning.candidates.values()):
        names = [arm.name for arm in study.arms if tuning.candidates.get(arm.name) == tried]
        who = "each arm" if len(names) == len(study.arms) else ", ".join(names)
        parts.append(f"{tried.key} is tuned for {who} over {', '.join(map(format_value, tried.values))}")
    more = sum(len(tried.values) for tried in tuning.candidates.values()) * tuning.seeds
    if tuning.has_fixed:
        more += len(study.arms) * len(study.seeds)
        return f"then {'; '.join(parts)}, and all arms train again at what was chosen: {more} more runs"
    return f"first {'; '.join(parts)}: {more} more runs"


def reused_networks(study: Study) -> Iterator[str]:
    """The networks that a preset's arms reuse, and the settings of those that are trained first."""
    first = pretraining_study(study)
    for key, base in study.pretrain.items():
        if isinstance(base, str):
            yield f"{key}: the pretrained network {base}"
        elif first:
            settings = write_settings(split_settings({key: base.settings()}).common)
            yield f"{key}: trained first, in the study {first.name}, 1 run more: {settings}"


def network_lines(study: Study, options: RunOptions) -> list[str]:
    """The size of the first arm's network, and what techniques change in a module."""
    spec = study.arms[0].spec
    if spec.reuse_from:
        return []  # its layers are known only once that network is there
    from dnntrain.nn.modules.surgery import unreachable

    data = spec.source.outline(options.home)
    size = NetworkSize.of(spec)
    which = f" of arm {study.arms[0].name}" if len(study.arms) > 1 else ""
    lines = [f"network{which}: {size.n_parameters:,} parameters, {size.flops:,} FLOPs an example (forward)"]
    for arm in study.arms:
        if isinstance(arm.spec.net, Module):
            module = module_spec(arm.spec.net, network_settings(arm.spec, data))
            lines += [f"arm {arm.name} changes {change}" for change in module.changes]
            lines += [f"arm {arm.name} leaves {part}" for part in unreachable(module.module)]
            lines += slower_ways(module, arm.name, options.device)
    return lines


def slower_ways(module: ModuleSpec, arm: str, device: str) -> Iterator[str]:
    """In which slower way an arm's module has to be computed on the device of this name, and why."""
    if accelerated(device):
        if module.in_turn:
            yield f"arm {arm}: its runs go one after the other, since torch.vmap refuses the module: {module.in_turn}"
    elif module.slow_layout:
        yield f"arm {arm}: images are not channels last in memory, which is faster on a CPU: {module.slow_layout}"


def work_lines(study: Study, options: RunOptions, runner: StudyRunner | None) -> list[str]:
    """How many runs are recorded already, and the time and memory that the others take."""
    runs = [spec for _, spec in study.runs()]
    lines = []
    if runner:
        runs = list(runner.missing())
        if recorded := len(runner.ids) - len(runs):
            lines = [f"{recorded_in_words(recorded, len(runner.ids))} in {options.out} already"]
    if not runs or study.arms[0].spec.reuse_from:
        return lines
    workers = options.workers or default_workers(options.device)
    seconds = predicted_duration(study, workers, options.home, runs)
    megabytes = predicted_bytes(runs, workers) / 1e6
    rest = "training the others" if lines else "training"
    return [
        *lines,
        f"{rest} takes {rough_duration(seconds)} with {count_noun(workers, 'worker')} {priced_on()}, "
        f"and at most about {max(1, round(megabytes)):,} MB for the networks in training",
    ]
