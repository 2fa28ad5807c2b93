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
from dnntrain.metrics import Metric, metric_of, score_of
from dnntrain.store.records import RunRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.notebook_progress import NotebookLive
from dnntrain.studies.study import Study
from dnntrain.utils.times import duration


@dataclass
class ArmState:
    """How far one arm has come."""

    epochs_planned: int
    runs_planned: int
    epochs: dict[int, int] = field(default_factory=dict)
    """Epochs trained, by seed."""
    val_score: dict[int, float] = field(default_factory=dict)
    """The newest validation score, by seed."""
    finished: set[int] = field(default_factory=set)
    """Seeds whose runs are finished."""

    @property
    def share(self) -> float:
        """Share of the work done, 0 to 1. A finished run counts in full, even if it stopped early."""
        epochs = sum(self.epochs_planned if s in self.finished else n for s, n in self.epochs.items())
        return epochs / (self.epochs_planned * self.runs_planned)

    @property
    def score(self) -> float | None:
        """Mean of the newest validation scores over the runs; None before the first."""
        return sum(self.val_score.values()) / len(self.val_score) if self.val_score else None


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
        self.score: Metric | None = None
        """The score of the data's task; unknown until a run is read or trained."""
        self.arm_of: dict[RunSpec, list[str]] = defaultdict(list)
        for arm, spec in study.runs():
            state = self.arms.setdefault(arm.name, ArmState(arm.spec.epochs, len(study.seeds_of(arm.name))))
            self.arm_of[spec].append(arm.name)
            if existing := recorded.get(ids[spec]):
                state.epochs[spec.seed] = existing.epochs
                state.finished.add(spec.seed)
                self.score = score_of(existing.data.task)
                score = existing.history[-1][f"val_{self.score.name}"]
                state.val_score[spec.seed] = score if isinstance(score, int | float) else math.nan
        self.share_at_start = self.share
        if recorded:
            self.console.print(f"{study.name}: {len(recorded)} of {len(ids)} runs are recorded already", style="dim")
        if self.notebook and self.share < 1:
            self.live = NotebookLive(self.table())
        elif self.console.is_terminal and self.share < 1:
            live = self.live = Live(self.table(), console=self.console, refresh_per_second=4, transient=True)
            live.start()

    def progress(self, event: EpochEnd) -> None:
        """Update the arms of the runs that have trained one more epoch."""
        touched = set()
        self.score = metric_of(event.metric)
        for index, epoch in event.epochs.items():
            spec = event.job.specs[index]
            for name in self.arm_of[spec]:
                state = self.arms[name]
                state.epochs[spec.seed], state.val_score[spec.seed] = epoch, event.val_score[index]
                if index in event.finished:
                    state.finished.add(spec.seed)
                touched.add(name)
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
            line = f"{arm} {state.share:.0%}{score} ({self.elapsed:.0f} s, {self.remaining})"
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
    def share(self) -> float:
        """Share of the work done over all arms, 0 to 1."""
        weights = [state.epochs_planned * state.runs_planned for state in self.arms.values()]
        done = [weight * state.share for weight, state in zip(weights, self.arms.values(), strict=True)]
        return sum(done) / sum(weights)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> str:
        """The time left, estimated from the pace so far."""
        pace = (self.share - self.share_at_start) / self.elapsed
        return f"{duration((1 - self.share) / pace)} left" if pace > 0 else "starting"

    def table(self) -> Table:
        """A progress bar for each arm."""
        table = Table(title=f"{self.study.name}: {self.share:.0%}, {self.remaining}", title_justify="left", box=None)
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
    """A score as text: 87.1% for a share, 0.612 for an R²."""
    return f"{value:.1%}" if metric.is_share else f"{value:.3f}"


def progress_bar(share: float, width: int) -> Text:
    """A progress bar of `width` characters."""
    full = round(share * width)
    return Text.assemble("━" * full, ("─" * (width - full), "dim"))
