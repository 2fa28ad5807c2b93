"""What sections.yaml declares: the lecture's sections as the page has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import yaml

from tests.bench.lecture.declaration import Claim, Declared, Lecture, Reading
from tests.bench.lecture.judging import CONTRADICTED, DEPENDS, SUPPORTED, JudgedClaim

SECTIONS = Path(__file__).parent / "sections.yaml"


class Figure(Declared):
    """A figure of a study, or sample images of a data set."""

    alt: str
    """What it shows, for readers who cannot see it. Nothing about results, which may change."""
    sample: str = ""
    """The data set, if it shows samples."""
    study: str = ""
    """A study, or a table that is made from one."""
    kind: str = "effects"
    """As for `StudyResult.plot`."""
    arms: tuple[str, ...] = ()
    """Those to draw, in the study's order; all by default."""
    baseline: str | None = None
    """The arm that others are compared with, in a table."""

    @property
    def file(self) -> str:
        """Its file's name."""
        name = f"{self.study.replace(',', '-').replace('=', '-')}-{self.kind}" if self.study else self.sample
        return f"{name}.png"


class Example(Declared):
    """Numbers that the tool's own code computes; see `examples`."""

    kind: Literal["schedule", "activations", "initialization", "batch-norm", "clipping", "dropout"]
    of: str = ""
    """A schedule, as for `--schedule`."""


class Lesson(Declared):
    """A sentence about results, which is printed if the verdicts are those on which it rests."""

    says: str
    when: dict[str, str]
    """By selection, the verdict that all of its readings have; for `depends`, some are for the claim, some against."""


class Section(Declared):
    """A section of the lecture."""

    title: str
    idea: str
    techniques: dict[str, str] = {}
    """By name in the catalogue, the numbers of the lecture's equations."""
    equations: dict[str, str] = {}
    """By number, those that belong to no technique."""
    example: Example | None = None
    commands: tuple[str, ...] = ()
    """Without `dnntrain`. Those that make the claims' studies are added."""
    figures: tuple[Figure, ...] = ()
    claims: tuple[str, ...] = ()
    """Selections of readings."""
    slips: tuple[str, ...] = ()
    lessons: tuple[Lesson, ...] = ()


def read_sections(lecture: Lecture, path: Path = SECTIONS) -> list[Section]:
    """The declared sections.

    Raises:
        ValueError: If one names an unknown study, slip, or reading, or if no section has a reading or a slip.
    """
    sections = [Section.model_validate(each) for each in yaml.safe_load(path.read_text(encoding="utf-8"))]
    studies = {"", *lecture.studies, *lecture.tables}
    if unknown := {figure.study for section in sections for figure in section.figures} - studies:
        raise ValueError(f"unknown study {', '.join(sorted(unknown))}")
    if lecture.slips.keys() != {slip for section in sections for slip in section.slips}:
        raise ValueError("the sections' slips are not those of the lecture")
    for selection in (text for section in sections for lesson in section.lessons for text in lesson.when):
        select(lecture.claims, selection)
    shown = [
        (claim.id, reading.name)
        for section in sections
        for selection in section.claims
        for claim, readings in [select(lecture.claims, selection)]
        for reading in readings
    ]
    if missing := {(c.id, r.name) for c in lecture.claims for r in c.readings} - {*shown}:
        raise ValueError(f"no section shows {sorted(missing)}")
    return sections


def select(claims: Sequence[Claim], selection: str) -> tuple[Claim, tuple[Reading, ...]]:
    """A claim and some of its readings.

    Args:
        claims: All claims.
        selection: The claim's id, and words that the readings' names contain: `C3 power`. Without words, all readings.

    Raises:
        ValueError: If there is no such claim or reading.
    """
    name, _, words = selection.partition(" ")
    for claim in claims:
        if claim.id == name and (readings := tuple(r for r in claim.readings if words in r.name)):
            return claim, readings
    raise ValueError(f"{selection!r}: no claim has such readings")


def select_judged(judged: Sequence[JudgedClaim], selection: str) -> JudgedClaim:
    """A judged claim with some of its readings, as if it had no others."""
    claim, readings = select([each.claim for each in judged], selection)
    [found] = (each for each in judged if each.claim.id == claim.id)
    return JudgedClaim(claim, tuple(each for each in found.readings if each.reading in readings))


def lessons(section: Section, judged: Sequence[JudgedClaim]) -> Iterator[str]:
    """The section's sentences about results that the verdicts bear out."""
    for lesson in section.lessons:
        if all(bears_out(select_judged(judged, text), verdict) for text, verdict in lesson.when.items()):
            yield lesson.says


def bears_out(judged: JudgedClaim, verdict: str) -> bool:
    """Whether all readings have a verdict, or for `depends` some are for the claim and some against."""
    found = {reading.verdict for reading in judged.readings}
    return found >= {SUPPORTED, CONTRADICTED} if verdict == DEPENDS else found == {verdict}
