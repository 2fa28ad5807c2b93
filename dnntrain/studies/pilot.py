"""What a study can be expected to find with its planned seeds, judged by the spread of runs that are recorded already.

Only the variance of a pilot is used, never its differences, so planning by it does not change the error rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnntrain.analysis.looks import arms_to_judge
from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.predicted_metrics import with_metric
from dnntrain.analysis.summary import Summary, summarize
from dnntrain.errors import InputError
from dnntrain.statistics import SeedRange, plan_seeds, planned_detectable
from dnntrain.store.study_files import Results, read_study
from dnntrain.studies.continuation import settings_by_arm
from dnntrain.studies.study import Study


@dataclass(frozen=True)
class Outlook:
    """What planned seeds can find, by a pilot."""

    pilot: Summary
    is_same_study: bool
    """Whether the pilot is the study itself with its runs so far; otherwise it is another one on the same data."""
    seeds: int
    """The planned seeds; the most, for a study that adds seeds."""
    detectable: Mapping[str, float]
    """By arm of the pilot, the smallest difference that is found with 80 % power, in the metric's unit."""
    for_delta: Mapping[str, SeedRange]
    """By arm of the pilot, the seeds that find a difference of δ with 80 % power."""


def outlook(study: Study, out: Path) -> Outlook | None:
    """What the study's planned seeds can find; None if nothing like it is recorded in `out`."""
    pilot = find_pilot(study, out)
    if pilot is None or pilot.family is None:
        return None
    seeds, k = study.max_seeds or len(study.seeds), len(arms_to_judge(study.to_record()))
    detectable, for_delta = {}, {}
    for name, comparison in pilot.family.comparisons.items():
        smallest = planned_detectable(comparison, k, seeds)
        if smallest is not None:
            detectable[name] = smallest
        if needed := plan_seeds(comparison, k, pilot.delta):
            for_delta[name] = needed
    return Outlook(pilot, pilot.results.name == study.name, seeds, detectable, for_delta) if detectable else None


def find_pilot(study: Study, out: Path) -> Summary | None:
    """The study itself as recorded, or the one on the same data and metric with the most runs."""
    found = []
    for path in sorted(out.glob("*/study.json")):
        try:
            results = read_study(path.parent)
        except InputError:
            continue  # a damaged study is no pilot
        if is_alike(study, results):
            found.append(results)
    if not found:
        return None
    best = max(found, key=lambda results: (results.name == study.name, len(results.runs)))
    return summarize(best, study.metric, AnalysisOptions(delta=study.delta))


def is_alike(study: Study, results: Results) -> bool:
    """Whether a recorded study says how much runs of this one vary: the same data, size of the training set and metric.

    Under its own name, some arm has to be the same.
    """
    ours, theirs = settings_by_arm(study.to_record()), settings_by_arm(results.record)
    if not arms_to_judge(results.record) or results.record.baseline is None:
        return False
    if study.metric not in with_metric(results, study.metric).runs.columns:
        return False
    if results.name == study.name:
        return any(theirs.get(name) == settings for name, settings in ours.items())
    keys = ("data", "classes", "target", "train_size")
    first, second = next(iter(ours.values())), next(iter(theirs.values()))
    return all(first.get(key) == second.get(key) for key in keys)
