"""What a person sees while a study trains: a live table on a terminal, plain lines elsewhere; always on stderr."""

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

from dnntrain.config.spec import CoreSpec
from dnntrain.executors.worker import EpochEnd
from dnntrain.metrics import score_beside
from dnntrain.store.records import RunRecord
from dnntrain.studies.study import Study


@dataclass
class ArmState:
    """How one arm stands."""

    epochs_planned: int
    runs_planned: int
    epochs: dict[int, int] = field(default_factory=dict)
    """Epochs trained, by seed."""
    val_score: dict[int, float] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)

    @property
    def share(self) -> float:
        """Work done, 0 to 1: a run that is over counts in full, however early it stopped."""
        epochs = sum(self.epochs_planned if s in self.over else n for s, n in self.epochs.items())
        return epochs / (self.epochs_planned * self.runs_planned)

    @property
    def score(self) -> float | None:
        """The mean of the runs' newest validation scores."""
        return sum(self.val_score.values()) / len(self.val_score) if self.val_score else None


class ProgressDisplay:
    """Follows a study on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.arms: dict[str, ArmState] = {}
        self.live: Live | None = None
        self.said: dict[str, int] = defaultdict(int)
        self.started = time.monotonic()

    def start(self, study: Study, recorded: Mapping[str, RunRecord], names: dict[CoreSpec, str]) -> None:
        """Show the arms; runs that are recorded already count as done."""
        self.study = study
        self.measure = score_beside(study.metric)
        self.metric = f"val_{self.measure}"
        self.arm_of: dict[CoreSpec, list[str]] = defaultdict(list)
        for arm, spec in study.runs():
            state = self.arms.setdefault(arm.name, ArmState(arm.spec.epochs, len(study.seeds)))
            self.arm_of[spec].append(arm.name)
            known = recorded.get(names[spec])
            if known:
                state.epochs[spec.seed] = known.epochs
                state.over.add(spec.seed)
                score = known.history[-1][self.metric]
                state.val_score[spec.seed] = score if isinstance(score, float) else math.nan
        self.share_at_start = self.share
        if recorded:
            self.console.print(f"{study.name}: {len(recorded)} of {len(names)} runs are recorded already", style="dim")
        if self.console.is_terminal and self.share < 1:
            self.live = Live(self.table(), console=self.console, refresh_per_second=4, transient=True)
            self.live.start()

    def progress(self, event: EpochEnd) -> None:
        """Take a population's epoch in."""
        touched = set()
        for index, epoch in event.epochs.items():
            spec = event.job.specs[index]
            for name in self.arm_of[spec]:
                state = self.arms[name]
                state.epochs[spec.seed], state.val_score[spec.seed] = epoch, event.val_score[index]
                if index in event.over:
                    state.over.add(spec.seed)
                touched.add(name)
        if self.live:
            self.live.update(self.table())
        else:
            for name in touched:
                self.say(name)

    def say(self, name: str) -> None:
        """One plain line for each third of an arm's work."""
        state = self.arms[name]
        third = int(state.share * 3 + 1e-9)
        if third > self.said[name]:
            self.said[name] = third
            said = "" if state.score is None else f", validation {self.shown(state.score)}"
            named = f"{self.study.name}: {name}" if len(self.arms) > 1 else f"{self.study.name}:"
            self.console.print(
                f"{named} {state.share:.0%}{said} ({self.elapsed:.0f} s, {self.left})",
                soft_wrap=True,
            )

    def shown(self, score: float) -> str:
        """accuracy 87.1 %, R² 0.612."""
        return f"{'accuracy' if self.measure == 'acc' else 'R²'} {self.number(score)}"

    def number(self, score: float) -> str:
        """The validation score as people read it."""
        return f"{score:.1%}" if self.measure == "acc" else f"{score:.3f}"

    def stopping(self) -> None:
        """Say what an interrupt does."""
        self.console.print("stopping after this epoch; once more stops at once")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self.live:
            self.live.stop()
            self.live = None

    @property
    def share(self) -> float:
        """Work done over all arms, 0 to 1."""
        weights = [state.epochs_planned * state.runs_planned for state in self.arms.values()]
        done = [weight * state.share for weight, state in zip(weights, self.arms.values(), strict=True)]
        return sum(done) / sum(weights)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> str:
        """The time that is left, by the pace so far."""
        pace = (self.share - self.share_at_start) / self.elapsed
        return f"{duration((1 - self.share) / pace)} left" if pace > 0 else "starting"

    def table(self) -> Table:
        """The arms as a table of bars."""
        table = Table(title=f"{self.study.name}: {self.share:.0%}, {self.left}", title_justify="left", box=None)
        table.add_column("arm", max_width=30, overflow="fold")
        table.add_column("runs", justify="right")
        table.add_column("progress", no_wrap=True)
        table.add_column(f"val {self.measure}", justify="right")
        for name, state in self.arms.items():
            runs = f"{len(state.over)}/{state.runs_planned}"
            table.add_row(name, runs, bar(state.share, 20), "" if state.score is None else self.number(state.score))
        return table


def bar(share: float, width: int) -> Text:
    """A bar in characters."""
    full = round(share * width)
    return Text.assemble("━" * full, ("─" * (width - full), "dim"))


def duration(seconds: float) -> str:
    """5 s, 3 min, 1.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
