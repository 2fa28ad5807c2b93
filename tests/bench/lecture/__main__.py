"""Trains what the lecture's claims need, judges them, and writes a table of their verdicts.

    python -m tests.bench.lecture                    # all claims; make lecture
    python -m tests.bench.lecture --only C5 C6       # some of them

Recorded runs are not trained again, so that the same command continues after an interruption.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from dnntrain.utils.times import duration
from tests.bench.lecture.commands import CommandError, StudyRuns
from tests.bench.lecture.declaration import Claim, Lecture, Reading, read_lecture
from tests.bench.lecture.judging import NOT_RUN, JudgedClaim, JudgedReading, judge_reading
from tests.bench.lecture.table import to_csv, to_json, to_markdown, verdict_line
from tests.bench.lecture.tables import judge_table


def main(argv: Sequence[str] | None = None) -> None:
    """Train, judge and write."""
    lecture = read_lecture()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lecture", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="CLAIM", help="C1 to C26; all by default")
    parser.add_argument(
        "--out", type=Path, default=Path("build/lecture"), help="for the table; runs/ in it for studies"
    )
    parser.add_argument("--runs", type=Path, help="where studies are recorded, if not in --out")
    parser.add_argument("--no-train", action="store_true", help="judge what is recorded")
    arguments = parser.parse_args(argv)
    only = arguments.only or [claim.id for claim in lecture.claims]
    if unknown := set(only) - {claim.id for claim in lecture.claims}:
        parser.error(f"unknown claim {', '.join(sorted(unknown))}")
    claims = [claim for claim in lecture.claims if claim.id in only]
    studies = StudyRuns.at(arguments.runs or arguments.out / "runs")
    failures = {} if arguments.no_train else train(lecture, claims, studies)
    judged = [
        JudgedClaim(claim, tuple(judge(lecture, reading, studies, failures) for reading in claim.readings))
        for claim in claims
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    used = {command: studies.seconds[command] for name in needed(lecture, claims) for command in lecture.studies[name]
            if command in studies.seconds}  # fmt: skip
    for name, text in (
        ("claims.md", to_markdown(judged, lecture.slips, used)),
        ("claims.csv", to_csv(judged)),
        ("claims.json", to_json(judged, lecture.slips, used)),
    ):
        (arguments.out / name).write_text(text, encoding="utf-8")
    print(f"{verdict_line(judged)}\n{arguments.out / 'claims.md'}")


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


def judge(lecture: Lecture, reading: Reading, studies: StudyRuns, failures: dict[str, str]) -> JudgedReading:
    """A reading with its verdict."""
    if failure := failures.get(lecture.study_of(reading)):
        return JudgedReading(reading, NOT_RUN, failure)
    commands = lecture.studies[lecture.study_of(reading)]
    try:
        if table := lecture.tables.get(reading.study):
            return judge_table(reading, table, studies, commands)
        answers = studies.report(reading.study, reading.require, reading.metric)["requirements"]
    except (CommandError, OSError) as error:
        return JudgedReading(reading, NOT_RUN, str(error))
    options = [f"--require {shlex.quote(text)}" for text in reading.require]
    metric = [f"--metric {reading.metric}"] if reading.metric else []
    gate = " ".join(["report", shlex.quote(str(studies.runs / reading.study)), *metric, *options])
    return judge_reading(reading, answers, (*commands, gate))


if __name__ == "__main__":
    main()
