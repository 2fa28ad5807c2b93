"""How far a study is that is being trained or was interrupted, as lines and a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dnntrain.metrics import metric_of
from dnntrain.statistics import mean
from dnntrain.store.progress import StudyProgress, recorded_in_words
from dnntrain.utils.text_layout import TextTable
from dnntrain.utils.times import duration, time_of_day


def progress_lines(progress: StudyProgress) -> Iterator[str]:
    """Who trains the study and until when, or how it goes on."""
    counts = recorded_in_words(len(progress.recorded), progress.planned)
    if progress.is_training:
        training = f"{len(progress.running)} {'is' if len(progress.running) == 1 else 'are'}"
        since = time_of_day(min(process.started for process in progress.processes))
        yield f"In training since {since} by {trained_by(progress)}: {counts}, {training} training."
        if (end := progress.expected_end) is not None:
            left = max(0.0, (end - datetime.now(UTC)).total_seconds())
            yield f"Expected end: {time_of_day(end)} ({duration(left)} left)."
    else:
        last = max(process.updated for process in progress.processes)
        yield f"Interrupted at {time_of_day(last)}: {counts}. {how_to_continue(progress)}"
    yield "Verdicts and intervals come when all planned runs are recorded."


def trained_by(progress: StudyProgress) -> str:
    """The processes that train the study: 'process 1234 on somehost'."""
    names = [f"{process.pid} on {process.host}" for process in progress.processes]
    return f"process {names[0]}" if len(names) == 1 else f"processes {', '.join(names)}"


def how_to_continue(progress: StudyProgress) -> str:
    """A sentence with the command that continues an interrupted study."""
    process = progress.processes[0]
    if not process.command:
        return f"The same call from Python continues it; it was made in {process.cwd}."
    where = "" if Path(process.cwd) == Path.cwd() else f", in {process.cwd}"
    return f"To continue{where}: {process.command}"


def progress_table(progress: StudyProgress) -> TextTable:
    """A row for each arm: its runs that are recorded, and the epochs and newest scores of those in training."""
    doing = "training" if progress.is_training else "interrupted"
    score = f"newest {progress.metric}" if progress.metric else "newest score"
    headings = ["arm", "recorded", doing, "epoch", score]
    rows = [
        [arm["arm"], f"{arm['recorded']}/{arm['planned']}", str(arm["training"] or ""), epochs_in_words(arm),
         score_in_words(arm["newest_score"], progress.metric)]
        for arm in arm_progress(progress)
    ]  # fmt: skip
    return TextTable("", headings, rows, frozenset(headings[1:]))


def arm_progress(progress: StudyProgress) -> list[dict[str, Any]]:
    """How far each arm is: counts of runs, the lowest and highest epoch in training, and the mean newest score."""
    arms = []
    for arm in progress.study.arms:
        runs = {*progress.runs[arm.name].values()}
        training = [progress.running[run] for run in progress.runs[arm.name].values() if run in progress.running]
        epochs, scores = [run.epoch for run in training], [run.score for run in training if run.score is not None]
        arms.append(
            {
                "arm": arm.name,
                "recorded": len(runs & progress.recorded),
                "planned": len(runs),
                "training": len(training),
                "epochs": [min(epochs), max(epochs)] if epochs else [],
                "planned_epochs": arm.settings.get("epochs"),
                "newest_score": mean(scores) if scores else None,
            }
        )
    return arms


def epochs_in_words(arm: dict[str, Any]) -> str:
    """The epochs of the runs in training: '3/20', or '3 to 5/20' if they differ; empty for none."""
    if not arm["epochs"]:
        return ""
    low, high = arm["epochs"]
    reached = f"{low}" if low == high else f"{low} to {high}"
    return f"{reached}/{arm['planned_epochs']}" if arm["planned_epochs"] else reached


def score_in_words(value: float | None, column: str) -> str:
    """A score as text; shares with their percent sign."""
    if value is None:
        return ""
    return f"{value:.1%}" if metric_of(column).is_share else f"{value:.3f}"


def progress_data(progress: StudyProgress) -> dict[str, Any]:
    """How far the study is, for JSON."""
    end = progress.expected_end
    return {
        "state": "training" if progress.is_training else "interrupted",
        "recorded": len(progress.recorded),
        "planned": progress.planned,
        "processes": [
            {
                "pid": process.pid,
                "host": process.host,
                "started": process.started.isoformat(),
                "updated": process.updated.isoformat(),
                "command": process.command,
                "cwd": process.cwd,
            }
            for process in progress.processes
        ],
        "expected_end": None if end is None else end.isoformat(),
        "score": progress.metric or None,
        "arms": arm_progress(progress),
    }
