"""Asks each study once for the answers to all requirements that are put to it: a report takes seconds to start."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.lecture.commands import REQUIREMENTS_ANSWERED, CommandError, StudyRuns, dnntrain
from tests.bench.lecture.declaration import Claim, Lecture, Reading
from tests.bench.lecture.judging import NOT_RUN, JudgedReading, judge_reading
from tests.bench.lecture.tables import COLUMNS, write_table

Asked = tuple[str, str | None]
"""A study or a table, and the metric of arms that name none."""


@dataclass
class Judge:
    """Judges readings by the recorded studies."""

    lecture: Lecture
    claims: Sequence[Claim]
    studies: StudyRuns
    failures: Mapping[str, str]
    """The studies that could not be made, with the reason."""
    answers: dict[Asked, dict[str, Any] | str] = field(default_factory=dict)
    """By requirement; or why there are none."""

    def reading(self, reading: Reading) -> JudgedReading:
        """A reading with its verdict; not run if its study could not be made or asked."""
        asked, study = (reading.study, reading.metric), self.lecture.study_of(reading)
        if asked not in self.answers:
            self.answers[asked] = self.failures.get(study) or self.ask(asked)
        commands = (*self.lecture.studies[study], shlex.join(self.command(asked, reading.require)))
        answers = self.answers[asked]
        if isinstance(answers, str):
            return JudgedReading(reading, NOT_RUN, answers, commands=commands)
        return judge_reading(reading, [answers[text] for text in reading.require], commands)

    def ask(self, asked: Asked) -> dict[str, Any] | str:
        """The answers to all requirements that the claims put to a study or a table."""
        readings = [reading for claim in self.claims for reading in claim.readings]
        requirements = [text for r in readings if (r.study, r.metric) == asked for text in r.require]
        try:
            if table := self.lecture.tables.get(asked[0]):
                write_table(asked[0], table, self.studies.runs)
            answers = json.loads(dnntrain([*self.command(asked, requirements), "--json"], REQUIREMENTS_ANSWERED))
        except (CommandError, OSError) as error:
            return str(error)
        return dict(zip(requirements, answers["requirements"], strict=True))

    def command(self, asked: Asked, requirements: Sequence[str]) -> list[str]:
        """The command that answers requirements."""
        study, metric = asked
        path = self.studies.runs / study
        if study in self.lecture.tables:
            columns = COLUMNS[self.lecture.tables[study].figures]
            start = ["compare", f"{path}.csv", "--arm", "arm", "--seed", "seed"]
            start += [part for column in columns for part in ("--value", f"{column}:min")]
        else:
            start = ["report", str(path), *(["--metric", metric] if metric else [])]
        return start + [part for text in requirements for part in ("--require", text)]
