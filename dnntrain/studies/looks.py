"""Adds seeds to a study until every arm is resolved: better, worse, or equivalent. See `analysis.looks`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dnntrain.analysis.arm_names import sized_arms
from dnntrain.analysis.looks import arms_to_judge, current_level, is_resolved, judged_looks, unresolved_arms
from dnntrain.analysis.runs import arms_by_metric, worst_finished
from dnntrain.analysis.summary import summarize
from dnntrain.analysis.transfer import compare_sizes
from dnntrain.analysis.verdicts import arm_verdict
from dnntrain.statistics import Comparison
from dnntrain.store.study_files import Results
from dnntrain.store.study_record import JudgedArm, LookRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.study import Study
from dnntrain.studies.trained_study import TrainedStudy
from dnntrain.utils.finite import nan_to_none


def train_until_resolved(study: Study, train: Callable[[Study], TrainedStudy], callback: StudyCallback) -> TrainedStudy:
    """Train and judge a study, look by look, until every arm is resolved or the last look is over.

    Args:
        study: The study with the looks so far.
        train: Trains the missing runs of the study's seeds.
        callback: Receives a note at each look.
    """
    trained = None
    while (n := next_look(study)) is not None:
        study = replace(study, seeds=tuple(range(n)))
        record = study.to_record()
        goes_on, compared = unresolved_arms(record), arms_to_judge(record)
        number = f"look {len(judged_looks(record)) + 1} of {len(study.levels)}"
        callback.note(f"{study.name}: {number}: {n} seeds; {len(goes_on)} of {len(compared)} arms go on")
        trained = train(study)
        trained = trained.with_look(judge_look(trained.results, together=study.resolves_together))
        study = trained.study
    return trained or train(study)  # a study that was finished before has nothing to train


def next_look(study: Study) -> int | None:
    """The number of seeds at the study's next look; None if every arm is resolved, or that was the last one."""
    record = study.to_record()
    done = judged_looks(record)[-1].n if judged_looks(record) else 0
    return next((n for n in sorted(study.levels) if n > done), None) if unresolved_arms(record) else None


def judge_look(results: Results, *, together: bool) -> LookRecord:
    """Judge a study whose runs are all made.

    Args:
        results: The study, with the looks before.
        together: Whether arms are resolved only when all of them are.
    """
    summary = summarize(results)
    study, runs = summary.results.record, arms_by_metric(summary.results, summary.metric)
    if summary.family:
        baselines = dict.fromkeys(summary.family.comparisons, str(study.baseline))
        comparisons, pool = summary.family.comparisons, summary.family.pool
    else:
        baselines, pool = {each.arm: each.scratch for each in sized_arms(runs)}, None
        comparisons = {size.pair.transfer.name: size.comparison for size in compare_sizes(summary)}
    waiting = unresolved_arms(study)
    resolved = [name for name in waiting if is_resolved(runs[name], runs[baselines[name]], comparisons[name])]
    if together and resolved != waiting:
        resolved = []
    is_first = not judged_looks(study)
    return LookRecord(
        n=len(study.seeds),
        level=current_level(study),
        worst=nan_to_none(worst_finished(study, runs, study.metric)) if is_first else None,
        resolved={
            name: judged_arm(
                comparisons[name], arm_verdict(runs[name], runs[baselines[name]], comparisons[name], is_identical=False)
            )
            for name in resolved
        },
        pool_variance=None if pool is None else float(pool.variance),
        pool_df=None if pool is None else float(pool.df),
    )


def judged_arm(comparison: Comparison, verdict: str) -> JudgedArm:
    """What is recorded of an arm that is resolved."""
    return JudgedArm(
        verdict=verdict,
        difference=comparison.difference,
        low=nan_to_none(comparison.low),
        high=nan_to_none(comparison.high),
        p=nan_to_none(comparison.p),
        se=comparison.se,
        df=comparison.df,
        n=comparison.n,
        pooling=comparison.pooling,
    )
