"""Trains what the lecture's claims need, judges them, and writes their verdicts as a table and a page on the lecture.

    python -m tests.bench.lecture                    # all claims; make lecture
    python -m tests.bench.lecture --only C5 C6       # some of them, without the page
    python -m tests.bench.lecture --no-train --page  # the page that dnntrain ships, dnntrain/docs/lecture.md

Recorded runs are not trained again, so that the same command continues after an interruption. What cannot be run, as
without the data, has its reason in the table, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dnntrain.utils.times import duration
from tests.bench.lecture.answers import Judge
from tests.bench.lecture.commands import CommandError, StudyRuns
from tests.bench.lecture.declaration import Claim, Lecture, read_lecture
from tests.bench.lecture.judging import NOT_RUN, JudgedClaim
from tests.bench.lecture.page import DOCS, write_page
from tests.bench.lecture.record import RECORD, Record
from tests.bench.lecture.sections import read_sections
from tests.bench.lecture.table import to_csv, to_json, to_markdown, verdict_line


def main(argv: Sequence[str] | None = None) -> int:
    """Train, judge and write; 1 if a reading could not be judged."""
    lecture = read_lecture()
    sections = read_sections(lecture)
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lecture", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="CLAIM", help="C1 to C26; all by default")
    parser.add_argument(
        "--out", type=Path, default=Path("build/lecture"), help="for the table; runs/ in it for studies"
    )
    parser.add_argument("--runs", type=Path, help="where studies are recorded, if not in --out")
    parser.add_argument("--no-train", action="store_true", help="judge what is recorded")
    parser.add_argument("--page", action="store_true", help="write the page to dnntrain/docs instead of --out")
    arguments = parser.parse_args(argv)
    only = arguments.only or [claim.id for claim in lecture.claims]
    if unknown := set(only) - {claim.id for claim in lecture.claims}:
        parser.error(f"unknown claim {', '.join(sorted(unknown))}")
    claims = [claim for claim in lecture.claims if claim.id in only]
    studies = StudyRuns.at(arguments.runs or arguments.out / "runs")
    failures = {} if arguments.no_train else train(lecture, claims, studies)
    judge = Judge(lecture, claims, studies, failures)
    judged = [JudgedClaim(claim, tuple(map(judge.reading, claim.readings))) for claim in claims]
    arguments.out.mkdir(parents=True, exist_ok=True)
    commands = [command for name in needed(lecture, claims) for command in lecture.studies[name]]
    times = {each: (studies.seconds[each], studies.cpu_seconds[each]) for each in commands if each in studies.seconds}
    for name, text in (
        ("claims.md", to_markdown(judged, lecture.slips.values(), times)),
        ("claims.csv", to_csv(judged)),
        ("claims.json", to_json(judged, lecture.slips.values(), times)),
    ):
        (arguments.out / name).write_text(text, encoding="utf-8")
    print(f"{verdict_line(judged)}\n{arguments.out / 'claims.md'}")
    missing: list[str] = []
    if len(judged) == len(lecture.claims):
        record, folder = Record(judged, times), DOCS if arguments.page else arguments.out
        (RECORD if arguments.page else arguments.out / RECORD.name).write_text(record.to_json(), encoding="utf-8")
        missing = write_page(lecture, sections, record, folder, studies.runs)
        print("\n".join([*(f"not drawn: {figure}" for figure in missing), str(folder / "lecture.md")]))
    return int(bool(missing) or any(reading.verdict == NOT_RUN for claim in judged for reading in claim.readings))


def needed(lecture: Lecture, claims: Sequence[Claim]) -> list[str]:
    """The studies that answer the claims, each once."""
    return list(dict.fromkeys(lecture.study_of(reading) for claim in claims for reading in claim.readings))


def train(lecture: Lecture, claims: Sequence[Claim], studies: StudyRuns) -> dict[str, str]:
    """Make the studies one after the other; those that cannot be made, with the reason."""
    failures, names = {}, needed(lecture, claims)
    for number, name in enumerate(names, 1):
        try:
            for command in lecture.studies[name]:
                print(f"[{number}/{len(names)}] dnntrain {command}", file=sys.stderr, flush=True)
                studies.run(command)
                print(f"  {duration(studies.seconds[command])}", file=sys.stderr, flush=True)
        except CommandError as error:
            failures[name] = f"dnntrain {command}: {error}"
    return failures


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
