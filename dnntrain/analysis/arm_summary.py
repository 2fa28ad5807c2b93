"""One arm of a study by one metric: its runs, its comparison with the baseline, and its health."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dnntrain.analysis.clipping import ClippedSteps, clipped_steps
from dnntrain.analysis.runs import ArmRuns, column_by_arm, lost_p, outcomes
from dnntrain.analysis.selection import other_part_of, tuned_value
from dnntrain.analysis.verdicts import arm_verdict
from dnntrain.statistics import Comparison, ComparisonFamily, Interval, deviation, mean
from dnntrain.store.published import PublishedValue
from dnntrain.store.records import health_state
from dnntrain.store.study_files import Results


@dataclass(frozen=True)
class ArmSummary:
    """One arm by one metric. Its values include the lost runs, which count as a constant prediction."""

    runs: ArmRuns
    comparison: Comparison | None
    """The comparison with the baseline; None for the baseline itself, and without one."""
    verdict: str
    """The verdict in words; empty for the baseline itself, and without one."""
    lost_p: float
    """Fisher's exact test of its share of lost runs against the baseline's; nan for the baseline."""
    other_part: Mapping[int, float]
    """The metric of the finished runs on the other part of the data by seed: validation for a test metric, and test for
    a validation metric."""
    health: Mapping[str, int]
    """Runs by diagnosis (without layer and epoch), the most frequent first."""
    seconds: float
    """Mean time of a run, in seconds."""
    published: Mapping[str, PublishedValue] = field(default_factory=dict)
    """Published values by metric."""
    implied: tuple[str, ...] = ()
    """Other ways in which its settings differ from the baseline's."""
    tuned: str = ""
    """The setting that was chosen for it on validation data; empty if none was."""
    tuned_value: float | None = None
    """The value that was chosen."""
    clipped: ClippedSteps | None = None
    """How often its gradients were clipped; None for an arm that does not clip."""

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.runs.name

    @property
    def finished(self) -> int:
        """Runs with a result."""
        return len(self.runs.finished)

    @cached_property
    def values(self) -> dict[int, float]:
        """The metric by seed, lost runs included."""
        return self.runs.values

    @cached_property
    def mean(self) -> float:
        """Mean over the runs, lost runs included."""
        return mean(list(self.values.values()))

    @cached_property
    def deviation(self) -> float:
        """Standard deviation over the runs (ddof 1), lost runs included."""
        return deviation(list(self.values.values()))

    @property
    def finished_mean(self) -> float:
        """Mean over the finished runs only."""
        return mean(list(self.runs.finished.values()))

    @cached_property
    def other_part_gap(self) -> float:
        """The metric minus the same on the other part, as the mean over the finished runs; nan without both."""
        shared = self.runs.finished.keys() & self.other_part.keys()
        return mean([self.runs.finished[seed] - self.other_part[seed] for seed in sorted(shared)])

    @property
    def difference(self) -> Interval | None:
        """The difference from the baseline with its simultaneous interval."""
        c = self.comparison
        return None if c is None or math.isnan(c.difference) else Interval(c.difference, c.low, c.high)


def summarize_arms(
    results: Results, metric: str, runs: Mapping[str, ArmRuns], baseline: str | None, family: ComparisonFamily | None
) -> list[ArmSummary]:
    """Summarizes each arm, in the study's order."""
    columns = ("health", "seconds", other_part_of(metric))
    health, seconds, others = (column_by_arm(results.runs, column) for column in columns)
    ends = {} if results.is_table else outcomes(results.runs)
    clipped = clipped_steps(results)
    study, baseline_runs = results.record, runs.get(str(baseline))
    is_complete = all(arm.made >= arm.planned for arm in runs.values())
    arms = []
    for arm in results.record.arms:
        name, ours = arm.name, runs[arm.name]
        comparison, verdict, p = None, "", math.nan
        if family and baseline_runs and ours is not baseline_runs:
            # an arm that is resolved was compared with the runs up to that look
            is_resolved = any(name in look.resolved for look in study.looks)
            theirs = baseline_runs.at(study.seeds_of(name)) if is_resolved else baseline_runs
            both_lost_all = ours.never_finishes and theirs.never_finishes
            comparison = None if both_lost_all else family.comparisons[name]
            is_identical = not results.is_table and ends.get(name) == ends.get(theirs.name)
            is_judged = is_complete or is_resolved
            verdict = arm_verdict(ours, theirs, comparison, is_identical, is_complete=is_judged)
            p = lost_p(ours, theirs)
        lost = {*ours.diverged, *ours.failed}
        diagnoses = Counter(health_state(str(text)) for text in health.get(name, {}).values())
        arms.append(
            ArmSummary(
                runs=ours,
                comparison=comparison,
                verdict=verdict,
                lost_p=p,
                other_part={s: v for s, v in others.get(name, {}).items() if s not in lost and math.isfinite(v)},
                health=dict(diagnoses.most_common()),
                seconds=mean([*seconds.get(name, {}).values()]),
                published=results.record.published_of(arm),
                implied=tuple(arm.implied),
                tuned=study.tuned_setting(arm),
                tuned_value=tuned_value(study, arm),
                clipped=clipped.get(name),
            )
        )
    return arms
