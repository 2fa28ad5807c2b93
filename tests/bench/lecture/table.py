"""The table of claims as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from dnntrain.statistics.planning import MANY_SEEDS
from dnntrain.utils.times import duration
from tests.bench.lecture.judging import CONTRADICTED, SUPPORTED, UNDECIDED, VERDICTS, JudgedClaim, JudgedReading

Times = Mapping[str, tuple[float, float]]
"""The seconds that each command took, and those of all processors together."""

NEWLINE = "\n"


def evidence(judged: JudgedReading) -> str:
    """The figure with its interval, n, and for a reading that is undecided the seeds that would tell."""
    parts = [judged.figure]
    if judged.n is not None:
        parts.append(f"n = {judged.n}")
    if judged.verdict == UNDECIDED:
        parts.append(seeds_that_tell(judged.seeds_to_decide, judged.counted))
    return "; ".join(parts)


def seeds_that_tell(seeds: int | None, counted: str) -> str:
    """How many seeds, or rounds of a timing, would tell."""
    if seeds is None:
        return f"how many {counted} would tell is not known"
    return f"{'more than ' if seeds > MANY_SEEDS else ''}{min(seeds, MANY_SEEDS):,} {counted} would tell"


def verdict_line(claims: Sequence[JudgedClaim]) -> str:
    """How many claims have each verdict."""
    counts = Counter(judged.verdict for judged in claims)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def to_markdown(claims: Sequence[JudgedClaim], slips: Iterable[str], times: Times) -> str:
    """An overview of the claims, each with its readings and commands, the commands' times, and the slides' slips."""
    rows = [(f"[{c.claim.id}](#{c.claim.id.lower()})", c.claim.says, verdict(c), reasons(c)) for c in claims]
    steps = [(f"`dnntrain {command}`", duration(wall), duration(cpu)) for command, (wall, cpu) in times.items()]
    wall, cpu = (sum(spent) for spent in zip(*times.values(), strict=True)) if times else (0.0, 0.0)
    steps.append(("all of them", duration(wall), duration(cpu)))
    return f"""# The lecture's claims, judged

{verdict_line(claims)}. A claim that can be read in several ways *depends* if these disagree; undecided readings have no
say. Intervals are 95 %, of each comparison by itself, paired by seed; n is the runs of each arm, or the
rounds of a timing.

{pipe_table(("claim", "the lecture says", "verdict", "why"), rows)}

{"".join(map(section, claims))}## What it took

Several processes work at the same time, so that idle cores divide the CPU time among them.

{pipe_table(("command", "time", "CPU time"), steps if times else [])}

## Slips of the slides

{"".join(f"- {slip}{NEWLINE}" for slip in slips)}"""


def verdict(judged: JudgedClaim) -> str:
    """The verdict, and how many readings have no say in it."""
    untold, n = sum(reading.verdict == UNDECIDED for reading in judged.readings), len(judged.readings)
    return f"**{judged.verdict}**" + (f" ({untold} of {n} readings undecided)" if 0 < untold < n else "")


def reasons(judged: JudgedClaim) -> str:
    """For the overview: the first reading that is for the claim and the first against, or the first there is."""
    telling = [next((r for r in judged.readings if r.verdict == v), None) for v in (SUPPORTED, CONTRADICTED)]
    shown = [reading for reading in telling if reading] or judged.readings[:1]
    return "<br>".join(f"{reading.reading.name}: {evidence(reading)}" for reading in shown)


def section(judged: JudgedClaim) -> str:
    """A claim with all of its readings, and the commands that repeat them."""
    rows = [(reading.reading.name, reading.verdict, evidence(reading)) for reading in judged.readings]
    commands = dict.fromkeys(command for reading in judged.readings for command in reading.commands)
    return f"""## {judged.claim.id}

> {judged.claim.says}

{judged.verdict.capitalize()}.

{pipe_table(("reading", "verdict", "figure"), rows)}

```sh
{NEWLINE.join(f"dnntrain {command}" for command in commands)}
```

"""


def pipe_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def to_csv(claims: Sequence[JudgedClaim]) -> str:
    """A row for each reading."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["claim", "says", "verdict", "reading", "reading_verdict", "figure", "n", "seeds_to_decide", "commands"]
    )
    for judged in claims:
        for reading in judged.readings:
            commands = " && ".join(f"dnntrain {command}" for command in reading.commands)
            writer.writerow(
                [judged.claim.id, judged.claim.says, judged.verdict, reading.reading.name, reading.verdict,
                 reading.figure, reading.n, reading.seeds_to_decide, commands]
            )  # fmt: skip
    return text.getvalue()


def to_json(claims: Sequence[JudgedClaim], slips: Iterable[str], times: Times) -> str:
    """Everything, for programs."""
    content = {
        "claims": [
            {
                "claim": judged.claim.id,
                "says": judged.claim.says,
                "verdict": judged.verdict,
                "readings": [
                    {
                        **reading.reading.model_dump(),
                        "verdict": reading.verdict,
                        "figure": reading.figure,
                        "n": reading.n,
                        "seeds_to_decide": reading.seeds_to_decide,
                        "commands": reading.commands,
                    }
                    for reading in judged.readings
                ],
            }
            for judged in claims
        ],
        "commands": [
            {"command": command, "seconds": wall, "cpu_seconds": cpu} for command, (wall, cpu) in times.items()
        ],
        "slips": list(slips),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
