"""The page on the lecture is what its declaration and the recorded verdicts make, and leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnntrain.techniques import CATALOGUE
from tests.bench.lecture.declaration import Claim, Reading, read_lecture
from tests.bench.lecture.judging import CONTRADICTED, DEPENDS, NOT_RUN, SUPPORTED, UNDECIDED, JudgedClaim, JudgedReading
from tests.bench.lecture.page import DOCS, NAME, anchor, page
from tests.bench.lecture.record import Record, read_record
from tests.bench.lecture.sections import Lesson, Section, lessons, read_sections, select

LECTURE = read_lecture()
SECTIONS = read_sections(LECTURE)
PAGE = (DOCS / f"{NAME}.md").read_text(encoding="utf-8")
FIGURES = {path.name: path for path in (DOCS / NAME).iterdir()}

TECHNIQUES = (
    "constant", "power", "exponential", "performance", "glorot", "he", "lecun", "relu", "leaky_relu", "elu", "selu",
    "tanh", "sigmoid", "bn", "clipvalue", "clipnorm", "early_stop", "dropout", "mc_dropout", "sgd",
)  # fmt: skip
"""Those of the lecture that are in the catalogue; those of transfer learning are options."""

SUBJECTS = (
    "data sets", "stretch pants", "learning rate", "power", "exponential", "performance", "backpropagation",
    "vanishing and exploding", "initialization", "activation", "batch normalization", "clipping", "early stopping",
    "dropout", "monte carlo", "transfer", "freezing and unfreezing", "dropping, replacing and adding", "all claims",
    "slips of the slides",
)  # fmt: skip


def test_the_page_is_what_the_declaration_and_the_recorded_verdicts_make() -> None:
    again = "python -m tests.bench.lecture --no-train --runs DIR --page writes it"
    assert page(LECTURE, SECTIONS, read_record(LECTURE), {*FIGURES}) == PAGE, again


def test_the_page_has_a_section_on_every_subject_of_the_lecture() -> None:
    headings = re.findall(r"^## (.*)$", PAGE.lower(), re.MULTILINE)
    assert [subject for subject in SUBJECTS if not any(subject in heading for heading in headings)] == []


def test_the_page_names_every_technique_and_equation_of_the_lecture() -> None:
    assert [name for name in TECHNIQUES if name not in CATALOGUE or f"| `{name}` |" not in PAGE] == []
    for word in (
        "--freeze-epochs",
        "--unfreeze-layers",
        "--unfreeze-lr",
        "--drop 1",
        "--head 50",
        "--resize",
        "Fig. 3",
    ):
        assert word in PAGE
    numbers = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert {*map(str, range(5, 11))} <= {*numbers}


def test_the_page_judges_every_claim_and_names_every_slip() -> None:
    for claim in LECTURE.claims:
        assert f"| {claim.id} | {claim.says} |" in PAGE
        assert all(f"| {reading.name} |" in PAGE for reading in claim.readings)
    text = " ".join(PAGE.split())
    assert all(text.count(slip) == 2 for slip in LECTURE.slips.values()), "in its section, and in the list"


def test_links_and_figures_of_the_page_are_there() -> None:
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert target.removeprefix("#") in headings if target.startswith("#") else (DOCS / target).is_file(), target
    assert {f"{NAME}/{name}" for name in FIGURES} == {*re.findall(r"^!\[.+\]\(([^)]+)\)$", PAGE, re.MULTILINE)}
    assert all(path.stat().st_size < 60_000 for path in FIGURES.values())


def test_the_page_has_nothing_of_the_machine_that_made_it() -> None:
    assert not re.search(r"/tmp|/home|/work|exit code", PAGE)


# How it is made


def judged(*verdicts: str) -> JudgedClaim:
    readings = [Reading(name=f"reading {n}", study="made", require="a > b") for n in range(len(verdicts))]
    claim = Claim(id="C1", says="This works.", readings=tuple(readings))
    figures = [JudgedReading(r, verdict, "a - b = 1 [0, 2]") for r, verdict in zip(readings, verdicts, strict=True)]
    return JudgedClaim(claim, tuple(figures))


@pytest.mark.parametrize(
    ("selection", "verdict", "is_said"),
    [("C1", SUPPORTED, False), ("C1", DEPENDS, True), ("C1 reading 0", SUPPORTED, True),
     ("C1 reading 1", SUPPORTED, False), ("C1 reading 2", UNDECIDED, True), ("C1 reading 3", NOT_RUN, True)],
)  # fmt: skip
def test_a_sentence_about_results_is_printed_only_if_all_its_readings_bear_it_out(
    selection: str, verdict: str, is_said: bool
) -> None:
    section = Section(title="A", idea="B.", lessons=(Lesson(says="It works.", when={selection: verdict}),))
    claims = [judged(SUPPORTED, CONTRADICTED, UNDECIDED, NOT_RUN)]
    assert [*lessons(section, claims)] == (["It works."] if is_said else [])


def test_a_selection_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no claim has such readings"):
        select(LECTURE.claims, "C3 powre")


def test_a_declaration_that_leaves_out_a_reading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sections.yaml"
    path.write_text("- {title: A, idea: B., slips: [" + ", ".join(LECTURE.slips) + "], claims: [C1]}\n")
    with pytest.raises(ValueError, match=r"no section shows .*C10"):
        read_sections(LECTURE, path)


def test_a_record_read_again_gives_the_same_claims(tmp_path: Path) -> None:
    record = read_record(LECTURE)
    path = tmp_path / "lecture.json"
    path.write_text(Record(record.claims, record.times).to_json())
    assert read_record(LECTURE, path) == record
