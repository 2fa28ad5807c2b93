"""What a process that trains a study shows to those who watch it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dnntrain.config.spec import RunSpec
from dnntrain.executors.jobs import EpochEnd, JobFailed, RunsFinished
from dnntrain.metrics import validation_column
from dnntrain.store.progress import ProcessRecord, RunProgress
from dnntrain.studies.study import Study
from dnntrain.utils.command_line import command_line


def process_record(study: Study, ids: Mapping[RunSpec, str]) -> ProcessRecord:
    """What this process is about to train. `ids` holds the run id of every run."""
    runs: dict[str, dict[int, str]] = {arm.name: {} for arm in study.arms}
    for arm, spec in study.runs():
        runs[arm.name][spec.seed] = ids[spec]
    return ProcessRecord.of_this_process(study.to_record(), runs, command_line())


def after_epoch(record: ProcessRecord, event: EpochEnd, ids: Mapping[RunSpec, str]) -> dict[str, Any]:
    """What changes in the record when a population has trained one more epoch. Finished runs stay until recorded."""
    running, trained = dict(record.running), record.epochs_trained + len(event.epochs)
    metric, scores = event.newest(validation_column(record.study.metric))
    for index, epoch in event.epochs.items():
        run, score = ids[event.job.specs[index]], scores[index]
        running[run] = RunProgress(epoch=epoch, score=score if math.isfinite(score) else None)
    first = {} if record.first_epoch else {"first_epoch": datetime.now(UTC), "epochs_at_first": trained}
    return {"running": running, "epochs_trained": trained, "metric": metric, **first}


def after_recording(record: ProcessRecord, event: RunsFinished, ids: Mapping[RunSpec, str]) -> dict[str, Any]:
    """What changes in the record when finished runs have been recorded."""
    recorded = {ids[run.spec] for run in event.runs}
    return {"running": {run: state for run, state in record.running.items() if run not in recorded}}


def after_failure(
    record: ProcessRecord, event: JobFailed, ids: Mapping[RunSpec, str], failed: Mapping[str, list[int]]
) -> dict[str, Any]:
    """What changes in the record when a job has failed. `failed` holds the seeds of all lost runs by arm."""
    lost = {ids[spec] for spec in event.job.specs}
    return {"running": {run: state for run, state in record.running.items() if run not in lost}, "failed": failed}
