"""The function `lr_find`, which trains a few hundred steps and records nothing."""

from __future__ import annotations

from typing import Any, Literal

from rich.console import Console

from dnntrain.api.settings import split_options
from dnntrain.api.training import SeedsLike, shows_progress
from dnntrain.config.range_test import UNUSED_OPTIONS
from dnntrain.errors import InputError
from dnntrain.reporting.range_test import RangeTestResult
from dnntrain.statistics.range_test import RateRange
from dnntrain.studies.execution import RunOptions
from dnntrain.studies.range_test import check_range_study, range_study, run_range_test
from dnntrain.studies.study import Study
from dnntrain.utils.console import ProgressConsole
from dnntrain.utils.python_calls import warn_caller


def lr_find(
    *,
    seeds: SeedsLike = 5,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    progress: Literal["auto"] | bool = "auto",
    **settings: Any,
) -> RangeTestResult:
    """Find a learning rate by a range test: train while the rate grows from step to step (Smith 2017).

    Nothing is recorded.

    Args:
        seeds: How many seeds (5), or which ([3, 7], or '10-14'). They train as one population.
        low: The rate of the first step.
        high: The rate of the last step.
        steps: Training steps, whose rates have equal ratios.
        progress: Whether to show progress on stderr. 'auto' shows it in terminals and notebooks.
        settings: Settings of the run but for those of the rate, and `device`, `executor`, `data_dir`, `mirror`, and
            `reload_data` of `RunOptions`. `net` and `data` may be Python objects: see `train`.

    Returns:
        The suggested rate, and the loss by rate.

    Raises:
        InputError: If a setting is unknown, invalid, or without a use here.
        DnntrainError: If the runs could not be trained.
    """
    if unused := [key for key in UNUSED_OPTIONS if key in settings]:
        raise InputError(f"{unused[0]}: has no use in lr_find, which records nothing")
    options, spec = split_options(settings, "runs", None)
    tried, study = RateRange(low, high, steps), range_study(spec, seeds, options)
    for reason in check_range_study(study, options):
        warn_caller(reason)
    wanted = shows_progress() if progress == "auto" else progress
    return run_rates(study, tried, options, ProgressConsole() if wanted else None)


def run_rates(
    study: Study, tried: RateRange, options: RunOptions, shown_on: Console | None, *, owns_process: bool = False
) -> RangeTestResult:
    """Carry out a range test, and show progress on a console.

    Args:
        study: The runs, checked.
        tried: The rates.
        options: Where to train.
        shown_on: Where progress is shown, if anywhere.
        owns_process: Whether this process belongs to the test, as on the command line.
    """
    reported = 0

    def on_steps(steps: int, loss: float) -> None:
        nonlocal reported
        if shown_on and 4 * steps // tried.steps > reported:
            reported = 4 * steps // tried.steps
            shown_on.print(f"lr-find: {steps} of {tried.steps} steps, loss {loss:.4g}")

    [arm] = study.arms
    n = len(study.seeds)
    title = f"{arm.name} · {arm.spec.source.display_name()} · {n} seed{'' if n == 1 else 's'}"
    return RangeTestResult(run_range_test(study, tried, options, on_steps, owns_process=owns_process), title)
