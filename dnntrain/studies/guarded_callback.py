"""Follows a study by a callback of the user's, whose errors are named after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dnntrain.config.spec import RunSpec
from dnntrain.errors import DnntrainError
from dnntrain.executors.jobs import EpochEnd
from dnntrain.store.records import RunRecord
from dnntrain.studies.runner import StudyCallback
from dnntrain.studies.study import Study


class GuardedCallback(StudyCallback):
    """Passes everything on to a callback, and says which of its methods has failed."""

    def __init__(self, callback: StudyCallback) -> None:
        self.callback = callback

    def _call(self, method: Callable[..., None], *args: Any) -> None:
        try:
            method(*args)
        except Exception as error:
            name = f"{type(self.callback).__name__}.{method.__name__}"
            raise DnntrainError(
                f"{name}() failed with {type(error).__name__}: {error}; runs that were finished are recorded"
            ) from error

    def start(self, study: Study, recorded: Mapping[str, RunRecord], ids: dict[RunSpec, str]) -> None:
        self._call(self.callback.start, study, recorded, ids)

    def progress(self, event: EpochEnd) -> None:
        self._call(self.callback.progress, event)

    def run_finished(self, record: RunRecord) -> None:
        self._call(self.callback.run_finished, record)

    def stopping(self) -> None:
        self._call(self.callback.stopping)

    def note(self, message: str) -> None:
        self._call(self.callback.note, message)

    def stop(self) -> None:
        self._call(self.callback.stop)
