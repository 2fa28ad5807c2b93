"""Follows a study by a callback of the user's, whose errors are named after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnntrain.config.spec import RunSpec
from dnntrain.errors import DnntrainError
from dnntrain.executors.jobs import EpochEnd
from dnntrain.store.records import RunRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.study import Study


class GuardedCallback(StudyCallback):
    """Passes everything on to a callback, and says which of its methods has failed."""

    def __init__(self, callback: StudyCallback) -> None:
        self.callback = callback

    def _call(self, method: str, *args: Any) -> None:
        try:
            getattr(self.callback, method)(*args)
        except Exception as error:
            raise DnntrainError(
                f"{type(self.callback).__name__}.{method}() failed with {type(error).__name__}: {error}; runs that "
                "were finished are recorded"
            ) from error

    def start(self, study: Study, recorded: Mapping[str, RunRecord], ids: dict[RunSpec, str]) -> None:
        self._call("start", study, recorded, ids)

    def progress(self, event: EpochEnd) -> None:
        self._call("progress", event)

    def run_finished(self, record: RunRecord) -> None:
        self._call("run_finished", record)

    def stopping(self) -> None:
        self._call("stopping")

    def note(self, message: str) -> None:
        self._call("note", message)

    def stop(self) -> None:
        self._call("stop")
