"""Judges a requirement in each study that has what it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dnntrain.analysis.looks import current_level
from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.summary import Summary, choose_baseline
from dnntrain.errors import InputError
from dnntrain.metrics import ALIASES, METRICS, column_named, metric_columns
from dnntrain.reporting.gates.count_claims import HealthClaim, LostClaim
from dnntrain.reporting.gates.grammar import split_at_signs
from dnntrain.reporting.gates.metric_claims import MetricClaim
from dnntrain.reporting.gates.results import GateResult
from dnntrain.reporting.gates.scope import (
    HEALTH,
    LOST,
    SECONDS,
    STEP_TIME,
    TARGET_EPOCHS,
    TARGET_SECONDS,
    TEST_TIME,
    NotInStudyError,
    Scope,
)
from dnntrain.reporting.gates.time_claims import SecondsClaim
from dnntrain.reporting.gates.timing_claims import TargetClaim, TimingClaim
from dnntrain.store.study_files import Results

Claim = MetricClaim | SecondsClaim | LostClaim | HealthClaim

CLAIMS: dict[str, type[Claim]] = {
    LOST: LostClaim,
    HEALTH: HealthClaim,
    SECONDS: SecondsClaim,
    STEP_TIME: TimingClaim,
    TEST_TIME: TimingClaim,
    TARGET_EPOCHS: TargetClaim,
    TARGET_SECONDS: TargetClaim,
}
"""By quantity; every other quantity is a metric."""

MOST_REASONS = 3
"""Studies that are named in an error, at most."""


def judge(
    requirement: str,
    studies: Sequence[Results],
    metric: str | None = None,
    options: AnalysisOptions | None = None,
    *,
    metrics: Sequence[str] | None = None,
    allow_partial: bool = False,
    option: str = "--require",
) -> list[GateResult]:
    """Judges a requirement in every study that has its arms and its metric.

    Each interval is at the level of the study's look, usually 95 %. A requirement that is false then holds in at most
    about 2.5 % of studies.

    Args:
        requirement: Such as 'elu >= relu - 0.3pp' or 'relu.test_acc >= 85%'.
        studies: The studies to look in.
        metric: The metric of arms that name none; by default the study's own.
        options: The baseline that `base` means, and the method by which two arms are compared.
        metrics: The columns that may follow an arm's name; by default dnntrain's own.
        allow_partial: Whether to judge studies whose planned runs are not all made.
        option: How messages call the requirement.

    Raises:
        InputError: If the requirement cannot be read, or no study has what it names.
    """
    options = options or AnalysisOptions()
    columns = {str(column): column for column in (metric_columns() if metrics is None else metrics)}
    if metrics is None:
        columns |= {name: column_named(name) for name in (*METRICS, *ALIASES)}
    results, lacking = [], []
    for study in studies:
        baseline = choose_baseline(study.record, options.baseline)
        level = 1 - current_level(study.record, [arm.name for arm in study.record.arms])
        scope = Scope(study, metric or study.record.metric, columns, baseline, options.method, level)
        try:
            results.append(judge_one(requirement, scope, allow_partial))
        except NotInStudyError as error:
            lacking.append(str(error))
        except InputError as error:
            raise InputError(f"{option} {requirement!r}: {error}") from None
    if not results:
        more = f"; and {len(lacking) - MOST_REASONS} more" if len(lacking) > MOST_REASONS else ""
        raise InputError(f"{option} {requirement!r}: {'; '.join(lacking[:MOST_REASONS])}{more}")
    return results


def judge_one(requirement: str, scope: Scope, allow_partial: bool) -> GateResult:
    """Judges a requirement in one study; NotInStudyError if the study lacks what it names, for the rest see `judge`."""
    claim = read_claim(requirement, scope)
    arms = tuple(scope.arms(operand.quantity)[operand.arm] for operand in claim.operands)
    unfinished = "" if allow_partial else scope.unfinished()
    return GateResult(requirement, scope.study.name, claim.left.quantity, claim.judge(scope), arms, unfinished)


def read_claim(requirement: str, scope: Scope) -> Claim:
    """What a requirement means in a study. A sign may be part of a name, so the first split at an arm's name counts."""
    sentences = split_at_signs(requirement)
    for sentence in sentences:
        left = scope.operand(sentence.left, scope.metric)
        if left is not None:
            return CLAIMS.get(left.quantity, MetricClaim).read(left, sentence, scope)
    raise scope.missing(sentences[0].left)


def judge_summary(requirement: str, summary: Summary, *, allow_partial: bool = False) -> GateResult:
    """Judges a requirement in one study, by the metric, baseline and method of its summary.

    Raises:
        InputError: If the requirement cannot be read, names what the study lacks, or the summary is over other test
            examples as well.
    """
    if summary.options.population:
        raise InputError("--require: judges over seeds, and this report is over other test examples as well")
    results = summary.results
    [gate] = judge(
        requirement, [results], summary.metric, summary.options,
        metrics=[summary.metric] if results.is_table else None, allow_partial=allow_partial,
    )  # fmt: skip
    return gate if allow_partial else inconclusive_if_partial(gate, results)


def inconclusive_if_partial(gate: GateResult, table: Results) -> GateResult:
    """The answer to a requirement, inconclusive if one of its arms lacks runs that others in the table have."""
    n = len(table.record.seeds)
    lacking = [f"{arm.name} lacks {n - arm.made} of {n} runs" for arm in gate.arms if arm.made < n]
    if not (table.is_table and table.is_paired and lacking):
        return gate
    return replace(gate, unfinished=f"{', '.join(lacking)} (judge the others with --allow-partial)")
