"""Callbacks, by which progress displays and trackers follow a study."""

from __future__ import annotations

from collections.abc import Mapping

from dnntrain.config.spec import RunSpec
from dnntrain.executors.jobs import EpochEnd
from dnntrain.store.records import RunRecord
from dnntrain.studies.study import Study


class StudyCallback:
    """Follows a study. Each method does nothing here; override those that are of interest."""

    def start(self, study: Study, recorded: Mapping[str, RunRecord], ids: dict[RunSpec, str]) -> None:
        """The study begins, or its next look does, which asks for more seeds.

        Args:
            study: What is asked.
            recorded: The runs that are recorded already, by run id.
            ids: The run id of every run.
        """

    def progress(self, event: EpochEnd) -> None:
        """A population has trained one more epoch."""

    def run_finished(self, record: RunRecord) -> None:
        """A run is finished and recorded, after the `progress` of its last epoch."""

    def stopping(self) -> None:
        """The study was asked to stop. It does so at the end of the current epochs."""

    def note(self, message: str) -> None:
        """A remark for the user, such as which rows of the data were left out."""

    def stop(self) -> None:
        """The study has ended, also if it was interrupted."""


class CallbackGroup(StudyCallback):
    """Passes everything on to several callbacks, in their order."""

    def __init__(self, *callbacks: StudyCallback) -> None:
        self.callbacks = callbacks

    def start(self, study: Study, recorded: Mapping[str, RunRecord], ids: dict[RunSpec, str]) -> None:
        for callback in self.callbacks:
            callback.start(study, recorded, ids)

    def progress(self, event: EpochEnd) -> None:
        for callback in self.callbacks:
            callback.progress(event)

    def run_finished(self, record: RunRecord) -> None:
        for callback in self.callbacks:
            callback.run_finished(record)

    def stopping(self) -> None:
        for callback in self.callbacks:
            callback.stopping()

    def note(self, message: str) -> None:
        for callback in self.callbacks:
            callback.note(message)

    def stop(self) -> None:
        for callback in self.callbacks:
            callback.stop()
