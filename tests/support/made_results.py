"""Studies with made-up results, without training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dnntrain.metrics import metric_columns
from dnntrain.store.study_files import Results, StudyFiles
from dnntrain.studies.study import Study
from tests.support.records import made_record


def made_results(study: Study, values: Mapping[str, Sequence[float]]) -> Results:
    """The results of a study whose runs have these values of its metric, by arm and seed; nan for a diverged run.

    A network that ignores its inputs scores 0.1.
    """
    records, runs = {}, []
    for number, (arm, values_of_arm) in enumerate(values.items()):
        for seed, value in zip(study.seeds, values_of_arm, strict=False):
            run = f"{number:04x}{seed:08x}"
            lost = math.isnan(value)
            records[run] = made_record(
                run,
                settings={"seed": seed},
                status="diverged" if lost else "finished",
                results={} if lost else dict.fromkeys(metric_columns("classification"), value),
                constant={study.metric: 0.1},
            )
            runs.append((arm, run))
    files = StudyFiles.build(study.to_record(), runs, records, {run: {} for run in records})
    return files.results(Path("nowhere"))


def at_look(study: Study, n: int) -> Study:
    """The study with its first n seeds."""
    return replace(study, seeds=tuple(range(n)))
