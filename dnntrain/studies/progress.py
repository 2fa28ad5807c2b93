"""Shows how a study progresses: a live table on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dnntrain.config.spec import RunSpec
from dnntrain.executors.jobs import EpochEnd
from dnntrain.metrics import Metric, metric_of, score_of, validation_column
from dnntrain.store.progress import recorded_in_words
from dnntrain.store.records import RunRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.notebook_progress import NotebookLive
from dnntrain.studies.study import Study
from dnntrain.utils.times import duration, time_left


@dataclass
class ArmState:
    """How far one arm has come. Its work is what this command has to train: recorded runs are none of it."""

    epochs_planned: int
    """Of each run."""
    runs_planned: int
    epochs: dict[int, int] = field(default_factory=dict)
    """Epochs trained, by seed."""
    trained_before: dict[int, int] = field(default_factory=dict)
    """Those of them that were trained before this command, by seed."""
    val_score: dict[int, float] = field(default_factory=dict)
    """The newest validation score, by seed."""
    finished: set[int] = field(default_factory=set)
    """Seeds whose runs are finished."""

    def add_recorded(self, seed: int, epochs: int, score: object) -> None:
        """Note a run that is recorded already."""
        self.epochs[seed] = self.trained_before[seed] = epochs
        self.val_score[seed] = score if isinstance(score, int | float) else math.nan
        self.finished.add(seed)

    def add_epoch(self, seed: int, epoch: int, score: float, is_last: bool) -> None:
        """Note that a run has trained one more epoch."""
        self.trained_before.setdefault(seed, epoch - 1)  # a checkpoint has those before
        self.epochs[seed], self.val_score[seed] = epoch, score
        if is_last:
            self.finished.add(seed)

    @property
    def trained(self) -> int:
        """Epochs that this command has trained, over all runs."""
        return sum(self.epochs.values()) - sum(self.trained_before.values())

    @property
    def left(self) -> int:
        """Epochs that are left, if no run stops early."""
        unfinished = sum(epochs for seed, epochs in self.epochs.items() if seed not in self.finished)
        return (self.runs_planned - len(self.finished)) * self.epochs_planned - unfinished

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return share_of(self.trained, self.left)

    @property
    def score(self) -> float | None:
        """Mean of the newest validation scores over the runs; None before the first."""
        return sum(self.val_score.values()) / len(self.val_score) if self.val_score else None


def share_of(done: int, left: int) -> float:
    """Share of some work that is done, 0 to 1; 1 where there is none."""
    return done / (done + left) if done + left else 1.0


class ProgressDisplay(StudyCallback):
    """Shows the progress of one study after another on a console."""

    def __init__(self, console: Console, *, notebook: bool = False) -> None:
        """Show progress on a console, or in a notebook's output; notes go to the console in any case."""
        self.console, self.notebook = console, notebook
        self.live: Live | NotebookLive | None = None
        self.notes: set[str] = set()

    def start(self, study: Study, recorded: Mapping[str, RunRecord], ids: dict[RunSpec, str]) -> None:
        """Show the arms; runs that are recorded already count as done."""
        self.study = study
        self.arms: dict[str, ArmState] = {}
        self.thirds_reported: dict[str, int] = defaultdict(int)
        self.started = time.monotonic()
        self.first_epoch: tuple[float, int] | None = None
        """When the first epoch ended, and how many were trained then: what came before is mostly start-up."""
        self.followed = validation_column(study.metric)
        self.score: Metric | None = None
        """The study's metric, or the score of the data's task where runs do not record that while they train."""
        self.arm_of: dict[RunSpec, list[str]] = defaultdict(list)
        for arm, spec in study.runs():
            state = self.arms.setdefault(arm.name, ArmState(arm.spec.epochs, len(study.seeds_of(arm.name))))
            self.arm_of[spec].append(arm.name)
            if existing := recorded.get(ids[spec]):
                newest = existing.history[-1]
                column = self.followed if self.followed in newest else f"val_{score_of(existing.data.task).name}"
                self.score = metric_of(column)
                state.add_recorded(spec.seed, existing.epochs, newest[column])
        if recorded:
            self.console.print(f"{study.name}: {recorded_in_words(len(recorded), len(ids))} already", style="dim")
        if self.notebook and self.left:
            self.live = NotebookLive(self.table())
        elif self.console.is_terminal and self.left:
            live = self.live = Live(self.table(), console=self.console, refresh_per_second=4, transient=True)
            live.start()

    def progress(self, event: EpochEnd) -> None:
        """Update the arms of the runs that have trained one more epoch."""
        touched = set()
        column, scores = event.newest(self.followed)
        self.score = metric_of(column)
        for index, epoch in event.epochs.items():
            spec = event.job.specs[index]
            for name in self.arm_of[spec]:
                self.arms[name].add_epoch(spec.seed, epoch, scores[index], index in event.finished)
                touched.add(name)
        self.first_epoch = self.first_epoch or (time.monotonic(), self.trained)
        if self.live:
            self.live.update(self.table())
        else:
            for name in touched:
                self.report(name)

    def report(self, name: str) -> None:
        """Print one line for each third of an arm's work."""
        state = self.arms[name]
        third = int(state.share * 3 + 1e-9)
        if third > self.thirds_reported[name]:
            self.thirds_reported[name] = third
            score = ""
            if self.score and state.score is not None:
                score = f", validation {self.score.label} {format_score(self.score, state.score)}"
            arm = f"{self.study.name}: {name}" if len(self.arms) > 1 else f"{self.study.name}:"
            times = ", ".join(filter(None, [f"{self.elapsed:.0f} s", self.remaining]))
            line = f"{arm} {state.share:.0%}{score} ({times})"
            self.console.print(line, soft_wrap=True)

    def stopping(self) -> None:
        """Confirm an interrupt."""
        self.console.print("stopping after this epoch; interrupt again to stop at once")

    def note(self, message: str) -> None:
        """Print a note, once."""
        if message not in self.notes:
            self.notes.add(message)
            self.console.print(message, soft_wrap=True)

    def stop(self) -> None:
        """Remove the live table."""
        if self.live:
            self.live.stop()
            self.live = None

    @property
    def trained(self) -> int:
        """Epochs that this command has trained, over all arms."""
        return sum(state.trained for state in self.arms.values())

    @property
    def left(self) -> int:
        """Epochs that are left over all arms, if no run stops early."""
        return sum(state.left for state in self.arms.values())

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> str:
        """The time left at the pace since the first epoch; empty while that says too little, or at the end."""
        if self.first_epoch is None or not self.left:
            return ""
        since, trained_then = self.first_epoch
        seconds = time_left(self.trained - trained_then, self.left, time.monotonic() - since)
        return "" if seconds is None else f"{duration(seconds)} left"

    def table(self) -> Table:
        """A progress bar for each arm."""
        share = f"{share_of(self.trained, self.left):.0%}" if self.first_epoch else "starting"
        title = ", ".join(filter(None, [f"{self.study.name}: {share}", self.remaining]))
        table = Table(title=title, title_justify="left", box=None)
        table.add_column("arm", max_width=30, overflow="fold")
        table.add_column("runs", justify="right")
        table.add_column("progress", no_wrap=True)
        table.add_column(f"val {self.score.name}" if self.score else "", justify="right")
        for name, state in self.arms.items():
            runs = f"{len(state.finished)}/{state.runs_planned}"
            score = format_score(self.score, state.score) if self.score and state.score is not None else ""
            table.add_row(name, runs, progress_bar(state.share, 20), score)
        return table


def format_score(metric: Metric, value: float) -> str:
    """A score as text: 87.1% for a share, 0.612 for an R², 54,321 for a price."""
    if metric.is_share:
        return f"{value:.1%}"
    return f"{value:.3f}" if not abs(value) >= 1000 else f"{value:,.0f}"


def progress_bar(share: float, width: int) -> Text:
    """A progress bar of `width` characters."""
    full = round(share * width)
    return Text.assemble("━" * full, ("─" * (width - full), "dim"))
