"""The table of claims as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from dnntrain.statistics.planning import MANY_SEEDS
from dnntrain.utils.times import duration
from tests.bench.lecture.judging import UNTOLD, VERDICTS, JudgedClaim, JudgedReading


def evidence(judged: JudgedReading) -> str:
    """One reading in a line: its name, its verdict, the figure, and the seeds that would tell."""
    parts = [judged.figure]
    if judged.n is not None:
        parts.append(f"n = {judged.n}")
    if judged.verdict == UNTOLD:
        parts.append(seeds_that_tell(judged.seeds_to_decide))
    return f"{judged.reading.name}: **{judged.verdict}** ({'; '.join(parts)})"


def seeds_that_tell(seeds: int | None) -> str:
    """How many seeds would tell, in words."""
    if seeds is None:
        return "no number of seeds can be planned"
    return f"{'more than ' if seeds > MANY_SEEDS else ''}{min(seeds, MANY_SEEDS):,} seeds would tell"


def verdict_line(claims: Sequence[JudgedClaim]) -> str:
    """How many claims have each verdict."""
    counts = Counter(judged.verdict for judged in claims)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def to_markdown(claims: Sequence[JudgedClaim], slips: Sequence[str], seconds: Mapping[str, float]) -> str:
    """The claims with their verdicts, the commands with their times, and the slips of the slides."""
    cells = [("claim", "the lecture says", "verdict", "evidence"), ("---",) * 4]
    for judged in claims:
        lines = "<br>".join(map(evidence, judged.readings))
        untold, n = sum(reading.verdict == UNTOLD for reading in judged.readings), len(judged.readings)
        verdict = judged.verdict + (f" ({untold} of {n} readings not told apart)" if 0 < untold < n else "")
        cells.append((judged.claim.id, judged.claim.says, verdict, lines))
    table = "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in cells)
    steps = "\n".join(f"| `dnntrain {command}` | {duration(spent)} |" for command, spent in seconds.items())
    gates = "\n".join(dict.fromkeys(f"dnntrain {r.commands[-1]}" for c in claims for r in c.readings if r.commands))
    errata = "\n".join(f"- {slip}" for slip in slips)
    return f"""# The lecture's claims, judged

{verdict_line(claims)}. Intervals are 95 %, of each comparison by itself; n is the runs of each arm. A claim that is
read in several ways depends if the readings disagree; readings that are not told apart do not count.

{table}

## Commands

| command | time |
| --- | --- |
{steps}

All of it took {duration(sum(seconds.values()))}. The figures are from:

```
{gates}
```

## Slips of the slides

{errata}
"""


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


def to_json(claims: Sequence[JudgedClaim], slips: Sequence[str], seconds: Mapping[str, float]) -> str:
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
        "seconds": dict(seconds),
        "slips": list(slips),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
