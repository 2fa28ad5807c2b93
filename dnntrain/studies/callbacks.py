"""Several callbacks as one: the progress display and trackers follow the same study."""

from __future__ import annotations

from collections.abc import Mapping

from dnntrain.config.spec import RunSpec
from dnntrain.executors.jobs import EpochEnd
from dnntrain.store.records import RunRecord
from dnntrain.studies.runner import StudyCallback
from dnntrain.studies.study import Study


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
