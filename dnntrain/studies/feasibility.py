"""Checks before anything is trained that every run can work with its data.

`RunSpec` rejects settings that are wrong in themselves. Here the task, the classes, and the number of examples are
known too. Each technique declares what it needs (`Technique.fault`, `Technique.idle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dnntrain.config.spec import RunSpec, default_settings
from dnntrain.data import DataLocation, DatasetInfo
from dnntrain.data.split import batch_count, batch_counts, step_count, training_count, validation_count
from dnntrain.engine.network import layer_specs, network_settings
from dnntrain.errors import InputError
from dnntrain.executors.planner import predicted_seconds
from dnntrain.executors.speed import relative_time
from dnntrain.metrics import TRAIN_LOSS, default_metric, metric_columns, modules_of
from dnntrain.nn.layer_spec import parameter_roles
from dnntrain.nn.modules.source_calls import Kind, source_calls
from dnntrain.nn.modules.spec import ModuleSpec
from dnntrain.studies.confounds import setting_differences
from dnntrain.studies.pretraining import check_reuse
from dnntrain.studies.study import Study
from dnntrain.studies.tuning import tuning_study
from dnntrain.techniques.base import RunExtent, Technique, techniques_in
from dnntrain.techniques.early_stopping import metric_fault
from dnntrain.techniques.networks.mlp import SkipConnections
from dnntrain.techniques.networks.module import Module, module_spec
from dnntrain.techniques.normalization import Normalization
from dnntrain.utils.fields import format_value

START_SECONDS = 3.0
"""What starting dnntrain and its workers takes, and the report."""


def surgery() -> dict[str, Kind]:
    """Settings that replace parts of a user's module, each with the kind of function that does it in the source."""
    norms: dict[str, Kind] = {norm.name: "norm" for norm in techniques_in(Normalization)}
    return {"act": "activation", "dropout": "dropout", **norms}


def check_study(study: Study, home: DataLocation) -> list[str]:
    """Raise InputError, with the arm's name, for runs that cannot work; returns warnings of what has no effect."""
    idle = []
    for arm in study.arms:
        outline = arm.spec.source.outline(home)  # reads your own data, so errors in them show here
        check_metric_of(study.metric, outline)
        try:
            check_run(arm.spec, outline)
        except InputError as error:
            raise InputError(f"arm '{arm.name}': {error}") from None
        idle += [f"arm '{arm.name}': {reason}" for reason in idle_settings(arm.spec, outline)]
    idle += equal_arms(study)
    check_surgery(study, home)
    if study.metric == TRAIN_LOSS and len({arm.spec.loss for arm in study.arms}) > 1:
        raise InputError(f"metric {TRAIN_LOSS}: the arms train on different losses; compare them by val_loss")
    for base in study.pretrain.values():
        if isinstance(base, RunSpec):
            check_run(base, base.source.outline(home))
    check_reuse(study, home)
    check_tuning(study, home)
    return idle


def equal_arms(study: Study) -> Iterator[str]:
    """Warnings of arms that are the same as an earlier one, so that no difference can show."""
    first: dict[object, str] = {}
    tuned = study.tuning.candidates if study.tuning else {}
    for arm in study.arms:
        twin = first.setdefault((arm.spec, tuned.get(arm.name)), arm.name)
        if twin != arm.name:
            settings = arm.spec.settings()
            shown = ", ".join(f"{key}={format_value(settings[key])}" for key in study.varied()) or "nothing varies"
            renames = study.design == "one-in" and study.source and twin == study.baseline
            way_out = f", or call the baseline so with `baseline: {arm.name}`" if renames else ""
            yield (
                f"arms '{twin}' and '{arm.name}' have the same settings ({shown}), so they are the same runs; "
                f"leave '{arm.name}' out{way_out}"
            )


def check_tuning(study: Study, home: DataLocation | None) -> None:
    """Raise InputError if an arm cannot work with one of the values to be tuned."""
    if study.tuning is not None:
        for arm in tuning_study(study, study.tuning).arms:
            check_run(arm.spec, arm.spec.source.outline(home))


def check_metric_of(metric: str, outline: DatasetInfo) -> None:
    """Raise InputError for a metric that does not apply to the data's task."""
    if metric not in metric_columns(outline.task):
        instead = f"{default_metric(outline.task)} and others; `dnntrain docs metrics` lists them"
        raise InputError(f"metric {metric}: a {outline.task} has {instead}")


def check_run(spec: RunSpec, outline: DatasetInfo) -> None:
    """Raise InputError, starting with the key, for a setting that does not fit the data or the other settings."""
    check_split(spec, outline)
    spec.n_outputs(outline)
    spec.input_scale(outline.kind)
    if outline.kind == "tokens" and not spec.net.takes_tokens:
        instead = "use a module of your own with one, or inputs=numbers"
        raise InputError(f"net {spec.net.name}: takes numbers, but the inputs are tokens for an embedding; {instead}")
    if spec.reuse_from is None or isinstance(spec.net, Module):
        check_network(spec, outline)
    for key in ("act", "init"):
        value = spec.settings()[key]
        if not spec.net.conv_units + len(spec.hidden) and value != default_settings()[key]:
            raise InputError(f"{key} {value}: there are no hidden layers")
    modules_of(spec.watched_metrics)  # refuses metrics that workers cannot import
    best = spec.best_epoch
    if spec.select != "auto" and best and (fault := metric_fault(f"select {spec.select}", best.metric, outline.task)):
        raise InputError(fault)
    extent = extent_of(spec, outline)
    for technique in techniques_of(spec):
        if fault := technique.fault(extent):
            raise InputError(fault)


def predicted_duration(study: Study, workers: int, home: DataLocation, runs: Sequence[RunSpec] | None = None) -> float:
    """Roughly how many seconds a study takes, `priced_on()`, without testing and tuning.

    Args:
        study: The study, none of whose arms reuses a network: its layers are known only once that is trained.
        workers: How many populations train at the same time.
        home: Where data sets are kept.
        runs: Those that are still to be trained; by default all.
    """
    spec = study.arms[0].spec
    data = spec.source.outline(home)
    n_train = training_examples(spec, data)
    runs = [run for _, run in study.runs()] if runs is None else runs
    seconds = predicted_seconds(runs, workers, n_train, data.n_train - n_train)
    return START_SECONDS + relative_time() * seconds


def useful_workers(study: Study, home: DataLocation, runs: Sequence[RunSpec]) -> int | None:
    """One for runs that take no longer than another worker's start; None for as many workers as there can be."""
    if any(run.reuse_from for run in runs):  # their layers are not known yet
        return None
    return 1 if predicted_duration(study, 1, home, runs) < 2 * START_SECONDS else None


def check_network(spec: RunSpec, outline: DatasetInfo) -> None:
    """Raise InputError if the network does not fit the data or the optimizer, or is a module that cannot be trained."""
    full, last = batch_counts(training_examples(spec, outline), spec.batch_size)
    rows = tuple(filter(None, (spec.batch_size if full else 0, last)))
    layers = layer_specs(spec, outline)
    if misfit := spec.optimizer.misfit(parameter_roles(layers).values()):
        raise InputError(misfit)
    for layer in layers:
        if isinstance(layer, ModuleSpec):
            from dnntrain.nn.modules.check import check_module  # loads torch

            check_module(layer, spec.n_outputs(outline), rows)


def check_surgery(study: Study, home: DataLocation) -> None:
    """Raise InputError for an arm whose techniques change nothing in a module that the baseline does not."""
    baseline = next((arm.spec for arm in study.arms if arm.name == study.baseline), None)
    for arm in study.arms:
        net = arm.spec.net
        if baseline is None or not isinstance(net, Module) or arm.spec == baseline:
            continue
        differing = setting_differences(arm.spec, baseline)
        if all(key.startswith(tuple(surgery())) for key in differing):
            outline = arm.spec.source.outline(home)
            ours, theirs = (module_spec(net, network_settings(s, outline)) for s in (arm.spec, baseline))
            if ours.changes == theirs.changes:
                settings = ", ".join(f"{key} {format_value(arm.spec.settings()[key])}" for key in differing)
                raise InputError(
                    f"arm '{arm.name}': {settings}: {type(ours.module).__name__} has that already; to compare with a "
                    "module that does not, set net in one of the arms"
                )


def check_split(spec: RunSpec, outline: DatasetInfo) -> None:
    """Raise InputError if the data cannot be split this way, or if a setting of the split would be ignored."""
    for key in ("val", "val_from"):
        if outline.n_validation and getattr(spec, key) != default_settings()[key]:
            raise InputError(f"{key} {format_value(getattr(spec, key))}: the data have their own validation part")
    if spec.subset != "per-seed" and spec.train_size is None and spec.reuse_from is None:
        raise InputError(f"subset {spec.subset}: needs train_size, the size of the subset")
    training_examples(spec, outline)


def training_examples(spec: RunSpec, outline: DatasetInfo) -> int:
    """The number of training examples; InputError if there are too few."""
    return training_count(outline.n_validation or spec.val, spec.train_size, outline.n_train)


def predictions_size(specs: Iterable[RunSpec], home: DataLocation) -> int:
    """The bytes that the runs' predictions for validation and test examples take."""
    size = 0
    for spec in specs:
        outline = spec.source.outline(home)
        validation = outline.n_validation or validation_count(spec.val, outline.n_train)
        size += 4 * (validation + outline.n_test) * spec.n_outputs(outline)
    return size


def idle_settings(spec: RunSpec, outline: DatasetInfo) -> Iterator[str]:
    """Reasons why settings have no effect on a run, such as a schedule whose first change comes after its end.

    Or none on parts of a module, whose source calls functions.
    """
    extent = extent_of(spec, outline)
    for technique in techniques_of(spec):
        if reason := technique.idle(extent):
            yield reason
    if isinstance(spec.net, Module) and spec.reuse_from is None:
        settings = network_settings(spec, outline)
        module = module_spec(spec.net, settings).module
        changing: dict[str, object] = {"act": settings.activations, "dropout": settings.dropout}
        changing |= {settings.norm.name: settings.norm} if settings.norm else {}
        for key, kind in surgery().items():
            if changing.get(key) and (calls := source_calls(module, kind)):
                more = f", and {len(calls) - 1} more calls stay" if len(calls) > 1 else ""
                yield f"{key} has no effect where {calls[0]}{more}"


def extent_of(spec: RunSpec, outline: DatasetInfo) -> RunExtent:
    """The size of a run, which techniques are checked against."""
    n_train = training_examples(spec, outline)
    batches = batch_count(n_train, spec.batch_size)
    skips = spec.techniques(SkipConnections)
    return RunExtent(
        outline.task,
        spec.hidden,
        spec.epochs,
        n_train,
        step_count(batches, spec.batches_per_step),
        spec.net.conv_units,
        spec.net.name,
        len(outline.classes),
        outline.kind,
        outline.shape,
        blocks=spec.net.n_blocks(spec.hidden, skips[0].every if skips else 0),
        reuses=spec.reuse_from is not None,
        batches_per_epoch=batches,
        longest_stage=spec.longest_stage(spec.epochs),
    )


def techniques_of(spec: RunSpec) -> tuple[Technique, ...]:
    """Every technique that a run uses."""
    loss = () if spec.loss is None else (spec.loss,)
    return (*spec.act, spec.optimizer, *loss, spec.schedule, *spec.switches)
