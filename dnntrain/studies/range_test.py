"""Carries out a learning-rate range test: several seeds of one setting, as one population. Nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

from dnntrain.config.keys import Settings
from dnntrain.config.range_test import NO_USE, unused_settings
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.jobs import Event, Job, JobFailed, RangeProgress, RangeTested
from dnntrain.statistics.range_test import RangeTest, RateRange
from dnntrain.studies.build import training_study
from dnntrain.studies.execution import RunOptions, check, create_executor
from dnntrain.studies.runner import StudyInterrupted
from dnntrain.studies.study import Study
from dnntrain.techniques.optimizers.base import Optimizer
from dnntrain.utils.signals import graceful_interrupt
from dnntrain.utils.user_code.reference import code_of, pinned

OnSteps = Callable[[int, float], None]
"""Receives the steps taken so far, and the mean loss of the last one over the seeds."""


def range_study(settings: Settings, seeds: object, options: RunOptions) -> Study:
    """The runs of a range test, as a study; InputError for a setting that the test replaces or cannot use."""
    if unused := unused_settings().intersection(settings):
        raise InputError(f"{min(unused)}: {NO_USE}")
    return training_study(settings, seeds, None, options.out, options.home)


def check_range_study(study: Study, options: RunOptions) -> list[str]:
    """Check a study made by `range_study`, as `studies.execution.check` does; returns warnings."""
    warnings = check(study, options)
    optimizer = study.arms[0].spec.optimizer
    if type(optimizer).own_lr is not Optimizer.own_lr:
        warnings.append(f"optimizer {optimizer.name}: some parameters keep a rate of their own throughout the test")
    return warnings


def run_range_test(
    study: Study, tried: RateRange, options: RunOptions, on_steps: OnSteps, *, owns_process: bool = False
) -> RangeTest:
    """Train the study's runs while the learning rate grows.

    Args:
        study: Made by `range_study`, and checked.
        tried: The rates.
        options: Where to train.
        on_steps: Called every few steps.
        owns_process: Whether this process belongs to the test, as on the command line; see `train_missing_runs`.

    Raises:
        InputError: If the runs cannot be trained with these settings.
        DnntrainError: If they could not be trained for another reason.
    """
    specs = tuple(spec for _, spec in study.runs())
    code = code_of(reference for spec in specs for reference in spec.references())
    losses: dict[int, np.ndarray] = {}
    failures: list[JobFailed] = []

    def handle(event: Event) -> None:
        if isinstance(event, RangeProgress):
            on_steps(len(event.losses), float(event.losses[-1].mean()))
        elif isinstance(event, RangeTested):
            losses.update(zip((spec.seed for spec in event.job.specs), event.losses.T, strict=True))
        elif isinstance(event, JobFailed):
            failures.append(event)

    executor = create_executor(options, 1, owns_process)  # one population
    job = Job(specs, options.home, options.device, code=code, rates=tried)
    with pinned(code), graceful_interrupt(executor.stop) if owns_process else nullcontext():
        executor.run([job], handle)
    if failures:
        wrong_input = any(failure.exit_code == InputError.exit_code for failure in failures)
        raise (InputError if wrong_input else DnntrainError)("\n".join(failure.message for failure in failures))
    if len(losses) < len(specs):
        raise StudyInterrupted("interrupted; lr-find records nothing")
    steps = max(map(len, losses.values()))  # if memory ran out, the seeds were split into several populations
    padded = [np.pad(values, (0, steps - len(values)), constant_values=np.nan) for values in losses.values()]
    return RangeTest(tried, tuple(losses), np.stack(padded, axis=1))
