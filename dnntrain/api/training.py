"""Functions that train: `train`, `ablate` and `transfer`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dnntrain.api.settings import named_with_references, split_options, with_references
from dnntrain.config.keys import Settings
from dnntrain.errors import InputError
from dnntrain.reporting.results import StudyResult, StudySummary
from dnntrain.studies import build
from dnntrain.studies.callbacks import CallbackGroup, StudyCallback
from dnntrain.studies.execution import RunOptions, check, run_tuned_study, train_missing_runs
from dnntrain.studies.guarded_callback import GuardedCallback
from dnntrain.studies.notebook_progress import in_notebook
from dnntrain.studies.study import Study
from dnntrain.trackers.base import Tracker
from dnntrain.trackers.live import LiveTracking
from dnntrain.trackers.registry import TrackLike, read_trackers
from dnntrain.utils.console import ProgressConsole
from dnntrain.utils.python_calls import warn_caller

__all__ = ["RunOptions", "StudyCallback", "ablate", "train", "transfer"]

ProgressMode = StudyCallback | Literal["auto"] | bool
SeedsLike = int | Sequence[int] | str


def train(
    *,
    seeds: SeedsLike = 1,
    name: str | None = None,
    out: str | Path = "runs",
    workers: int | None = None,
    progress: ProgressMode = "auto",
    track: TrackLike = (),
    **settings: Any,
) -> StudyResult:
    """Train one setting over one or several seeds.

    `data` is the name or path of a data set, or data in memory. Those are kept in the data folder by their content, and
    equal content gives equal run ids. They are:

    - arrays, tensors, or lists: (x, y), of which the share `test` is held out; (x_train, y_train, x_test, y_test), with
      x_val and y_val or without; or a dict with these names. Floats are numbers; uint8 and other whole numbers of the
      shape of images are images, and others are columns of numbers, unless inputs='tokens' says that they are tokens.
      As targets, integers and text are classes, and floats are numbers to predict.
    - torch data sets with a length: one, (train, test), or (train, val, test). Their items are read once, so random
      transforms are drawn once.
    - a pandas DataFrame with target='COLUMN'. Types stay: text is text, also '007', categories and booleans are what
      they are, and gaps are gaps. The index is not used.
    - a function (or a `functools.partial`) that returns arrays or data sets.

    `net` is the name of a network, a class or function that builds a `torch.nn.Module`, such as Net or
    functools.partial(Net, width=64), or a module that is built already, such as nn.Sequential(...). Each run trains a
    deep copy of that, whose parameters are drawn anew from the run's seed by the `reset_parameters()` of its parts:
    weights that it has, pretrained ones included, are not used.

    Args:
        seeds: How many seeds (5), or which ([3, 7], or '10-14').
        name: The study's name; derived from the settings by default.
        out: Folder where runs and studies are recorded.
        workers: Worker processes; by default one per core.
        progress: Whether to show progress on stderr, or a callback. 'auto' shows it in terminals and notebooks.
        track: Where to log the study while it trains: 'tensorboard', 'wandb' or 'mlflow', each also as 'NAME:WHERE',
            or a `Tracker`; or several in a list.
        settings: Settings of the run, such as act='elu', `data`, and `net`, and the other fields of `RunOptions`.

    Raises:
        InputError: If a setting is unknown or invalid.
        DnntrainError: If a run could not be trained.
    """
    options, spec = split_options(settings, out, workers)
    return run_with_progress(
        build.training_study(spec, seeds, name, options.out, options.home), options, progress, track
    )


def ablate(
    preset: str | Path | None = None,
    *,
    arms: Mapping[str, Settings] | None = None,
    factors: Mapping[str, Any] | None = None,
    design: str = "one-in",
    varies: Sequence[str] | None = None,
    base: Settings | None = None,
    seeds: SeedsLike | None = None,
    max_seeds: int | None = None,
    metric: str | None = None,
    delta: str | float | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    workers: int | None = None,
    progress: ProgressMode = "auto",
    track: TrackLike = (),
    **settings: Any,
) -> StudyResult:
    """Train the arms of an ablation and compare them.

    Args:
        preset: A preset's file, or the name of one that comes with dnntrain; instead of `arms` or `factors`.
        arms: Settings that each arm changes in the base. The base is the first arm, 'base', and the baseline.
        factors: Settings of each factor; or its named levels; or, under a setting's name, a list of its values, as in
            {"lr": [0.1, 0.01]}.
        design: How factors make arms: 'one-in' (the baseline, and each level alone), 'factorial' (every combination),
            'one-out', 'in-and-out' or 'list', as in presets. Not for presets and arms.
        varies: The settings in which arms may differ from the baseline. Needed for arms on different data; without it,
            they may differ in everything else. Not for presets.
        base: Settings that all arms share; `settings` are added to them.
        seeds: How many seeds (5), or which ([3, 7], or '10-14'), or 'until-resolved' to add seeds until every arm is
            better, worse or equivalent. By default the preset's own, or 5.
        max_seeds: The most seeds of 'until-resolved'; by default 20.
        metric: What the arms are compared by, such as 'val_acc'. By default the preset's own, or accuracy on the test
            set (RMSE in regression).
        delta: The smallest difference that matters, such as '0.3pp', '2%', or a number in the metric's unit. By
            default the preset's own, or as the metric declares.
        name: The study's name; derived from the arms by default. Not for presets.
        out: Folder where runs and studies are recorded.
        workers: Worker processes; by default one per core.
        progress: Whether to show progress on stderr, or a callback. 'auto' shows it in terminals and notebooks.
        track: Where to log the study while it trains: 'tensorboard', 'wandb' or 'mlflow', each also as 'NAME:WHERE',
            or a `Tracker`; or several in a list.
        settings: Settings of the base, such as epochs=5, and the other fields of `RunOptions`. `net` and `data` may be
            Python objects, here and in arms: see `train`.

    Raises:
        InputError: If a setting is unknown or invalid.
        DnntrainError: If a run could not be trained; the others are recorded.
    """
    options, changes = split_options(settings, out, workers)
    request = build.StudyRequest(seeds, max_seeds, metric, delta)
    if [preset, arms, factors].count(None) != 2:
        raise InputError("give one of preset, arms and factors")
    if preset is not None:
        for key, value in (("base", base), ("name", name), ("varies", varies)):
            if value is not None:
                raise InputError(f"{key}: the preset has its own; change single settings, as in ablate(preset, lr=0.1)")
        study = build.preset_study(str(preset), changes, request, options.home, "settings")
        return run_with_progress(study, options, progress, track)
    if design != "one-in" and factors is None:
        raise InputError(f"design {design}: says how factors make arms; give factors")
    if twice := set(base or {}) & set(changes):
        raise InputError(f"{min(twice)}: given both in base and as a keyword")
    study = build.ablation_study(
        arms=named_with_references(arms, options.home),
        factors=named_with_references(factors, options.home),
        design=design,
        varies=varies,
        base=with_references(base or {}, options.home) | changes,
        request=request,
        name=name,
        out=options.out,
        home=options.home,
    )
    return run_with_progress(study, options, progress, track)


def transfer(
    source: str | Path | StudyResult,
    *,
    drop: int = 0,
    head: str = "",
    scratch: bool = True,
    strategies: bool = False,
    reuse_depths: Iterable[int] | str | None = None,
    train_sizes: Iterable[int] | str | None = None,
    weights: str | Path | None = None,
    seeds: SeedsLike = 5,
    max_seeds: int | None = None,
    delta: str | float | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    workers: int | None = None,
    progress: ProgressMode = "auto",
    track: TrackLike = (),
    **settings: Any,
) -> StudyResult:
    """Reuse a trained network's lower layers on other data, and compare with training from scratch.

    For a preset of a transfer, use `ablate`.

    Args:
        source: A recorded run (its folder or id), a study for its best run, or the name of a pretrained network.
        drop: Top hidden layers of the source to leave out.
        head: New hidden layers on top, as '50' or '50,50'.
        scratch: Whether to train the same network from scratch for comparison.
        strategies: Whether to compare scratch, frozen, unfreezing 1, 2 or all layers (at a tenth of the rate, or at
            unfreeze_lr, and at the same rate), and the same after dropping, replacing or adding layers.
        reuse_depths: Numbers of lower layers whose reuse, under new ones, to compare.
        train_sizes: Numbers of training examples at which to compare all this with scratch.
        weights: File with a pretrained network's weights; by default they are downloaded.
        seeds: How many seeds (5), or which ([3, 7], or '10-14'), or 'until-resolved'; see `ablate`.
        max_seeds: The most seeds of 'until-resolved'; by default 20.
        delta: The smallest difference that matters; see `ablate`.
        name: The study's name; derived from the settings by default.
        out: Folder where runs and studies are recorded.
        workers: Worker processes; by default one per core.
        progress: Whether to show progress on stderr, or a callback. 'auto' shows it in terminals and notebooks.
        track: Where to log the study while it trains: 'tensorboard', 'wandb' or 'mlflow', each also as 'NAME:WHERE',
            or a `Tracker`; or several in a list.
        settings: Settings of the new runs, such as classes='sandal,shirt', and the other fields of `RunOptions`. `data`
            may be in memory: see `train`.

    Raises:
        InputError: If the source cannot be reused, or a setting is unknown or invalid.
        DnntrainError: If a run could not be trained; the others are recorded.
    """
    options, changes = split_options(settings, out, workers)
    design = build.TransferDesign(drop, head, scratch, strategies, reuse_depths, train_sizes)
    study = build.transfer_study(
        str(source.folder if isinstance(source, StudyResult) else source), changes, design,
        weights=None if weights is None else Path(weights), request=build.StudyRequest(seeds, max_seeds, delta=delta),
        name=name, out=options.out, home=options.home,
    )  # fmt: skip
    return run_with_progress(study, options, progress, track)


def run_study(
    study: Study,
    options: RunOptions,
    callback: StudyCallback,
    trackers: Sequence[Tracker] = (),
    *,
    owns_process: bool = False,
) -> StudyResult:
    """Train a study's missing runs, then those with tuned values if the study asks for them.

    Args:
        study: What to train.
        options: Where and how to train it.
        callback: Receives progress and notes.
        trackers: Log the study while it trains. One that fails is named on stderr, and costs no run.
        owns_process: Whether this process belongs to the study, as on the command line.

    Raises:
        InputError: If the study cannot be trained.
        DnntrainError: If a run could not be trained; the others are recorded.
    """
    from dnntrain.analysis.summary import summarize

    for tracker in trackers:
        tracker.check_place(options.out)
    live = [LiveTracking(tracker) for tracker in trackers]
    callback = CallbackGroup(callback, *live)
    results = []
    if study.tuning is None or study.tuning.has_fixed:
        trained = train_missing_runs(study, options, callback, owns_process=owns_process)
        results.append(StudyResult(StudySummary(summarize(trained.results))))
        study = replace(study, metric=trained.study.metric, delta=trained.study.delta)  # a record keeps its own
    if tuning := study.tuning:
        trained = run_tuned_study(study, tuning, options, callback, owns_process=owns_process)
        results.append(StudyResult(StudySummary(summarize(trained.results))))
    for tracking in live:
        for each in results:
            tracking.finish(each)
    return replace(results[0], tuned=results[1]) if len(results) > 1 else results[0]


def run_with_progress(study: Study, options: RunOptions, progress: ProgressMode, track: TrackLike = ()) -> StudyResult:
    """Check and run a study with the callback that `progress` asks for. Settings without effect raise a warning."""
    if not (isinstance(progress, StudyCallback | bool) or progress == "auto"):
        raise InputError(f"progress {progress!r}: must be 'auto', True, False, or a StudyCallback")
    trackers = read_trackers(track)
    for reason in check(study, options):
        warn_caller(reason)
    callback = progress_callback(progress)
    try:
        return run_study(study, options, callback, trackers)
    except KeyboardInterrupt:
        callback.note(f"{study.name}: interrupted; finished runs are recorded, and the same call continues from there")
        raise


def progress_callback(progress: ProgressMode) -> StudyCallback:
    """What follows a study: the user's own callback, or progress on stderr or in a notebook, or nothing."""
    if isinstance(progress, StudyCallback):
        return GuardedCallback(progress)
    if not (shows_progress() if progress == "auto" else progress):
        return StudyCallback()
    from dnntrain.studies.progress import ProgressDisplay

    return ProgressDisplay(ProgressConsole(), notebook=in_notebook())


def shows_progress() -> bool:
    """Whether stderr is a terminal or a notebook; ipykernel replaces it by a stream that is not a terminal."""
    try:
        is_terminal: bool = getattr(sys.stderr, "isatty", bool)()
    except ValueError:  # closed
        return False
    return is_terminal or in_notebook()
