"""TensorBoard: a folder of event files for each run, WHERE/STUDY/ARM/seed-N."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.reporting.results import StudyResult
from dnntrain.trackers.base import MARK, RunLog, TrackedRun, Tracker, mark_whole, study_files, whole_runs
from dnntrain.utils.fields import format_value
from dnntrain.utils.files import write_atomic


class TensorBoardTracker(Tracker):
    """Writes event files: curves for SCALARS, settings and results for HPARAMS, the summary table for TEXT."""

    name, summary = "tensorboard", "TensorBoard's event files"
    needs, default = "dnntrain[tensorboard]", "tensorboard"

    def __init__(self, where: str | Path | None = None) -> None:
        import tensorboard.summary.writer.event_file_writer  # noqa: F401  missing packages are reported at once

        super().__init__(where)

    def logged(self, study: str) -> set[TrackedRun]:
        return whole_runs(Path(self.where, study).glob("*/*"))

    def open(self, run: TrackedRun) -> RunLog:
        folder = Path(self.where, run.study, run.arm, f"seed-{run.seed}")
        remove_events(folder)
        return EventFile(folder, run)

    def log_study(self, result: StudyResult) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        from dnntrain.reporting.exports.markdown import to_markdown

        folder = Path(self.where, result.name)
        remove_events(folder)
        events = EventWriter(folder)
        events.add(text_pb("summary", to_markdown([result.summary.analysis])))
        events.close()
        write_atomic(folder / "summary.csv", [result.summary.frame.to_csv(index=False)])
        for file in study_files(result):
            shutil.copyfile(file, folder / file.name)


def remove_events(folder: Path) -> None:
    """Remove the event files in a folder, and the mark of a whole run."""
    for file in (*folder.glob("events.out.tfevents.*"), *folder.glob(MARK)):
        file.unlink()


class EventWriter:
    """Writes one event file."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.file = EventFileWriter(str(folder))

    def add(self, summary: Any, step: int = 0) -> None:
        """Write a summary (a protocol buffer), and flush it for a TensorBoard that is looking."""
        from tensorboard.compat.proto.event_pb2 import Event

        self.file.add_event(Event(wall_time=time.time(), step=step, summary=summary))
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class EventFile(RunLog):
    """The event file of one run. Numbers are kept as 32-bit floats, as by any writer for TensorBoard."""

    def __init__(self, folder: Path, run: TrackedRun) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        self.folder, self.run = folder, run
        self.events = EventWriter(folder)
        settings = {key: format_value(value) if value is None else value for key, value in run.settings.items()}
        self.events.add(hparams_pb({"arm": run.arm, **settings}, trial_id="/".join(run.names.values())))

    def log_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.events.add(Summary(value=points), epoch)

    def finish(self, results: Mapping[str, float], outcome: Mapping[str, str]) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self.log_epoch(self.epochs, results)
        lines = [f"- {name}: {value}" for name, value in (self.run.names | dict(outcome)).items()]
        self.events.add(text_pb("run", "\n".join(lines)))
        self.close()
        mark_whole(self.folder, self.run)

    def close(self) -> None:
        self.events.close()
