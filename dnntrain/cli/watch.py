"""`dnntrain watch` and `report --follow`: shows how studies progress until nobody trains them any more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from dnntrain.cli.options import Out, StudyPaths
from dnntrain.cli.outputs import Outputs
from dnntrain.errors import DnntrainError, InputError
from dnntrain.reporting.progress import progress_lines, progress_table
from dnntrain.store.progress import StudyProgress, read_progress, recorded_in_words
from dnntrain.store.studies import RUNS, study_folders
from dnntrain.utils.console import console
from dnntrain.utils.times import time_of_day

SECONDS_BETWEEN_LOOKS = 1.0
GRACE_SECONDS = 5.0
"""How long a study that adds seeds in steps may take to judge one step and begin the next."""


class WatchInterrupted(DnntrainError):
    """The user stopped watching. The study is not touched."""

    exit_code = 130  # as of a program that Ctrl-C ended


def watch(
    paths: StudyPaths,
    out: Out = RUNS,
) -> None:
    """Follow studies while they train, then print their report.

    Ctrl-C stops watching; the studies go on. The same as `dnntrain report --follow`.

    Examples:
        dnntrain watch runs/
        dnntrain watch runs/vanishing
    """
    from dnntrain.api import reports

    follow(paths, out)
    Outputs().write(reports.report(paths, out=out))


def follow(paths: Sequence[Path], out: Path) -> None:
    """Show on stderr how studies progress, and return when none is in training.

    A terminal shows a table that changes; elsewhere there are plain lines, one whenever a run is recorded or a tenth of
    a study is done.

    Raises:
        InputError: There is no study.
        WatchInterrupted: The user stopped watching.
    """
    terminal = console(stderr=True)
    try:
        with Live(console=terminal, transient=True) if terminal.is_terminal else nullcontext() as live:
            shown: dict[str, tuple[int, int]] = {}
            training = in_training(paths, out)
            while training:
                if live:
                    live.update(Group(*(part for progress in training for part in view(progress))))
                else:
                    print_changes(training, shown, terminal)
                time.sleep(SECONDS_BETWEEN_LOOKS)
                training = in_training(paths, out, training)
    except KeyboardInterrupt:
        raise WatchInterrupted("stopped watching; the studies go on") from None


def in_training(paths: Iterable[Path], out: Path, before: Sequence[StudyProgress] = ()) -> list[StudyProgress]:
    """The studies that are in training now; those of the last look may take a moment to begin their next seeds.

    Raises:
        InputError: There was no study from the start.
    """
    until = time.monotonic() + (GRACE_SECONDS if any(each.study.max_seeds for each in before) else 0.0)
    while True:
        try:
            folders = [folder for path in paths for folder in study_folders(path, out)]
        except InputError:
            if not before:
                raise
            return []  # it ended before anything was recorded
        found = [progress for folder in folders if (progress := read_progress(folder)) and progress.is_training]
        if found or time.monotonic() >= until:
            return found
        time.sleep(SECONDS_BETWEEN_LOOKS / 4)


def view(progress: StudyProgress) -> Iterator[RenderableType]:
    """A study's progress as a terminal shows it."""
    yield Text(f"{progress.study.name}: {progress.share:.0%}", style="bold")
    yield progress_table(progress)
    yield Text("\n".join(progress_lines(progress)), style="dim")


def print_changes(training: Iterable[StudyProgress], shown: dict[str, tuple[int, int]], terminal: Console) -> None:
    """Print a line for each study of which a run was recorded, or a tenth was done, since the last line."""
    for progress in training:
        state = len(progress.recorded), int(10 * progress.share)
        if shown.get(progress.study.name) == state:
            continue
        shown[progress.study.name] = state
        counts = recorded_in_words(len(progress.recorded), progress.planned)
        end = progress.expected_end
        until = f", expected end {time_of_day(end)}" if end else ""
        terminal.print(f"{progress.study.name}: {progress.share:.0%}, {counts}{until}", soft_wrap=True)
