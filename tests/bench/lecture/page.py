"""Writes "the lecture, slide by slide" from the declaration and the judged claims."""

from __future__ import annotations

import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import dnntrain
from dnntrain.cli.techniques import usage
from dnntrain.techniques import CATALOGUE
from dnntrain.utils.times import duration
from tests.bench.lecture.declaration import Lecture
from tests.bench.lecture.examples import table_of
from tests.bench.lecture.judging import CONTRADICTED, DEPENDS, NOT_RUN, SUPPORTED, UNDECIDED, JudgedClaim
from tests.bench.lecture.record import Record
from tests.bench.lecture.sections import Section, lessons, select, select_judged
from tests.bench.lecture.table import evidence, pipe_table

DOCS = Path(dnntrain.__file__).parent / "docs"
NAME = "lecture"
"""Of the page, and of the folder of its figures."""

WORDS = {
    SUPPORTED: "✓ holds", CONTRADICTED: "✗ does not hold", DEPENDS: "± depends", UNDECIDED: "≈ undecided",
    NOT_RUN: "not run",
}  # fmt: skip
"""Verdicts as the page has them."""

MANY = {
    SUPPORTED: "hold", CONTRADICTED: "do not", DEPENDS: "depend on how they are read", UNDECIDED: "undecided",
    NOT_RUN: "not run",
}  # fmt: skip
"""The same of several claims."""

NEWLINE = "\n"
WIDTH = 120


def write_page(lecture: Lecture, sections: Sequence[Section], record: Record, folder: Path, runs: Path) -> list[str]:
    """Write the page and its figures.

    Args:
        lecture: The declaration.
        sections: Its sections.
        record: The judged claims.
        folder: Where the page goes.
        runs: The folder of recorded studies.

    Returns:
        The figures that cannot be drawn, with the reason.
    """
    from tests.bench.lecture.figures import DRAWING_ERRORS, draw  # matplotlib takes long to import

    home, missing = folder / NAME, []
    home.mkdir(parents=True, exist_ok=True)
    for old in home.glob("*.png"):
        old.unlink()
    for figure in (figure for section in sections for figure in section.figures):
        print(f"drawing {figure.file}", file=sys.stderr, flush=True)
        try:
            (home / figure.file).write_bytes(draw(figure, lecture, runs))
        except DRAWING_ERRORS as error:
            missing.append(f"{figure.file}: {error}")
    drawn = {path.name for path in home.glob("*.png")}
    (folder / f"{NAME}.md").write_text(page(lecture, sections, record, drawn), encoding="utf-8")
    return missing


def page(lecture: Lecture, sections: Sequence[Section], record: Record, drawn: set[str]) -> str:
    """The page as Markdown.

    Args:
        lecture: The declaration.
        sections: Its sections.
        record: The judged claims.
        drawn: The files of figures that are there.
    """
    contents = "".join(f"- [{section.title}](#{anchor(section.title)}){NEWLINE}" for section in sections)
    return f"""# The lecture, slide by slide

"Training Deep Neural Networks" (Huang, GWU, 2022) teaches some twenty techniques and gives advice on each. dnntrain
has all of them, so the advice can be put to the test: {len(lecture.claims)} statements that a study can contradict,
each with the runs that judge it. A script writes the verdicts, numbers and figures of this page from these runs, and
none is typed by hand. Run it yourself: `make lecture`.

{tally(record.claims)}

How to read the tables:

- *Holds*: the whole 95 % interval is on the lecture's side. *Does not hold*: it is on the other side.
- *Undecided*: the interval has both; the table says how many seeds would tell.
- *Depends*: a statement can be read in several ways, and these disagree. Readings that are undecided have no say.
- Differences are paired by seed, and n is the runs of each arm (the rounds of a timing). Intervals in tables are
  those of each comparison by itself, and about one in twenty misses the truth. Those in figures hold for all arms at
  once, so they are wider.
- They speak of small networks on small images of clothes. Your data may answer differently, which is what the commands
  are for.

{contents}- [All claims](#all-claims)
- [Slips of the slides](#slips-of-the-slides)
- [What it took](#what-it-took)

{"".join(map("".join, (section_text(section, lecture, record, drawn) for section in sections)))}## All claims

{claims_table(sections, record)}

## Slips of the slides

{"".join(f"- {slip}{NEWLINE}" for slip in lecture.slips.values())}
## What it took

{times_table(record)}
"""


def tally(claims: Sequence[JudgedClaim]) -> str:
    """How many claims have each verdict, as a sentence."""
    counts = Counter(judged.verdict for judged in claims)
    parts = [f"{counts[verdict]} {words}" for verdict, words in MANY.items() if counts[verdict]]
    return f"**Of the {len(claims)} statements, {', '.join(parts)}.**"


def section_text(section: Section, lecture: Lecture, record: Record, drawn: set[str]) -> Iterator[str]:
    """The parts of a section, each with an empty line after it."""
    yield f"## {section.title}\n\n{filled(section.idea)}\n\n"
    if section.equations:
        yield pipe_table(("equation", "as dnntrain computes it"), list(section.equations.items())) + "\n\n"
    if section.techniques:
        used = section.techniques.items()
        rows = [(f"`{name}`", numbers or "–", CATALOGUE[name].formula, f"`{how(name)}`") for name, numbers in used]
        yield pipe_table(("technique", "equation", "as dnntrain computes it", "to use it"), rows) + "\n\n"
    if section.example:
        text, headings, cells = table_of(section.example)
        yield f"{text}\n\n{pipe_table(headings, cells)}\n\n"
    yield from (filled(f"*Slip of the slides:* {lecture.slips[slip]}") + "\n\n" for slip in section.slips)
    yield f"```sh\n{NEWLINE.join(f'dnntrain {command}' for command in commands(section, lecture))}\n```\n\n"
    yield from (f"![{each.alt}]({NAME}/{each.file})\n\n" for each in section.figures if each.file in drawn)
    if section.claims:
        yield "### What our runs say\n\n"
        yield "".join(f"- **{lesson}**\n" for lesson in lessons(section, record.claims)) + "\n"
        yield from (claim_text(select_judged(record.claims, text), text) for text in section.claims)


def how(name: str) -> str:
    """A technique's flag."""
    return usage(CATALOGUE[name], flags=True).splitlines()[0].partition("   or ")[0]


def commands(section: Section, lecture: Lecture) -> list[str]:
    """A section's own commands, and those that make the studies of its claims, each once."""
    readings = [reading for text in section.claims for reading in select(lecture.claims, text)[1]]
    making = [command for reading in readings for command in lecture.studies[lecture.study_of(reading)]]
    return list(dict.fromkeys([*section.commands, *making]))


def claim_text(judged: JudgedClaim, selection: str) -> str:
    """A claim with its readings in a table."""
    part = selection.partition(" ")[2]
    rows = [
        (each.reading.name, WORDS[each.verdict], minus(evidence(each)) if each.verdict != NOT_RUN else "")
        for each in judged.readings
    ]
    heading = f"{judged.claim.id}{f', {part}' if part else ''}: {judged.claim.says} {WORDS[judged.verdict]}"
    return f"**{heading}**\n\n{pipe_table(('put to the test', 'verdict', 'measured'), rows)}\n\n"


def minus(text: str) -> str:
    """Text with the minus signs of print."""
    return re.sub(r"(?<![\w.])-(?=[\d ])", "−", text)


def filled(text: str) -> str:
    """A paragraph in lines of the usual width."""
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def claims_table(sections: Sequence[Section], record: Record) -> str:
    """All claims with their verdicts, and where they are."""
    rows = []
    for judged in record.claims:
        name = judged.claim.id
        at = [s.title for s in sections if any(text.partition(" ")[0] == name for text in s.claims)]
        links = ", ".join(f"[{title}](#{anchor(title)})" for title in at)
        rows.append((name, judged.claim.says, WORDS[judged.verdict], links))
    return pipe_table(("claim", "the lecture says", "our runs", "section"), rows)


def anchor(title: str) -> str:
    """The link to a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def times_table(record: Record) -> str:
    """How long the commands took."""
    steps = [(f"`dnntrain {command}`", duration(wall), duration(cpu)) for command, (wall, cpu) in record.times.items()]
    sums = [duration(sum(spent)) for spent in zip(*record.times.values(), strict=True)]
    return pipe_table(("command", "time", "CPU time"), [*steps, ("all of them", *sums)] if sums else [])
