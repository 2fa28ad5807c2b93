"""The times of a study's arms that `dnntrain runs time` measured: timing.json in the study's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from dnntrain.errors import InputError
from dnntrain.store.records import EnvironmentRecord, Record
from dnntrain.utils.fields import format_validation_error
from dnntrain.utils.files import read_json, write_atomic, write_errors

FILE_NAME = "timing.json"


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ArmTimes(Record):
    """What one arm's training and testing cost, by round, in seconds of one run."""

    run: str
    """The recorded run whose settings were timed."""
    steps_per_epoch: int
    step: list[Seconds] = Field(min_length=1)
    """A training step."""
    test: list[Seconds] = Field(min_length=1)
    """A test example."""


class StudyTimes(Record):
    """The times of a study's arms, measured one after the other in every round."""

    members: int
    """Runs in the population of each arm."""
    steps: int
    """Training steps in a round."""
    environment: EnvironmentRecord
    """Where they were measured."""
    arms: dict[str, ArmTimes] = Field(min_length=1)

    @model_validator(mode="after")
    def check_rounds(self) -> Self:
        """Refuse arms that were not timed equally often, since they are compared round by round."""
        if len({len(times) for arm in self.arms.values() for times in (arm.step, arm.test)}) > 1:
            raise ValueError("its arms differ in their number of rounds")
        return self

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read a study's times; None if they were not measured, InputError if the file is damaged."""
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise InputError(
                f"{path}: no times of a study ({format_validation_error(error)}); `dnntrain runs time` writes it anew"
            ) from None

    def write(self, folder: Path) -> None:
        """Write them to a study's folder, atomically; DnntrainError if it cannot be written to."""
        with write_errors(folder):
            write_atomic(folder / FILE_NAME, [self.to_json()])

    def to_json(self) -> str:
        """The text of timing.json."""
        return json.dumps(self.content(), indent=1) + "\n"
