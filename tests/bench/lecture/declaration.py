"""What claims.yaml declares: studies, the lecture's claims, and the requirements by which studies judge them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

CLAIMS = Path(__file__).parent / "claims.yaml"

OneOrMore = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class Declared(BaseModel):
    """A part of the file, which has no other keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reading(Declared):
    """One way to put a claim to a study."""

    name: str
    study: str
    """A study, or a table that is made from one."""
    require: OneOrMore
    """What must hold, as `dnntrain report --require` reads it. With several, the claim says that all hold."""
    metric: str | None = None
    """Of arms that name none; by default the study's own."""


class Claim(Declared):
    """A statement of the lecture that a study can contradict."""

    id: str
    says: str
    readings: Annotated[tuple[Reading, ...], Field(min_length=1)]


class Table(Declared):
    """Figures of a study's runs that `dnntrain compare` judges."""

    of: str
    figures: Literal["sensitivity", "averaged predictions"]


class Lecture(Declared):
    """The whole file."""

    studies: dict[str, OneOrMore]
    """By the folder that they are recorded in: the commands that make them, without `dnntrain` and `--out`."""
    tables: dict[str, Table] = {}
    claims: tuple[Claim, ...]
    slips: dict[str, str]
    """What the slides print wrongly, by a name."""

    @model_validator(mode="after")
    def check_names(self) -> Lecture:
        """Refuse a claim that is there twice, and a reading or a table of an unknown study."""
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise ValueError("two claims have the same id")
        known = {*self.studies, *self.tables}
        used = {reading.study for claim in self.claims for reading in claim.readings}
        if unknown := (used - known) | ({table.of for table in self.tables.values()} - self.studies.keys()):
            raise ValueError(f"unknown study {', '.join(sorted(unknown))}")
        return self

    def study_of(self, reading: Reading) -> str:
        """The study whose runs answer a reading."""
        return self.tables[reading.study].of if reading.study in self.tables else reading.study


def read_lecture(path: Path = CLAIMS) -> Lecture:
    """The declared claims; pydantic's ValidationError if the file is wrong."""
    return Lecture.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
