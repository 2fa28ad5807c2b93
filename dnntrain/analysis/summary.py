"""Summarizes the runs of a study by one metric: means, comparisons, effects, and health of each arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from dnntrain.analysis.arm_summary import ArmSummary, summarize_arms
from dnntrain.analysis.best import best_arms
from dnntrain.analysis.comparisons import compare_with_baseline
from dnntrain.analysis.designs import contributions, crosses_factors, factorial_effects
from dnntrain.analysis.example_errors import MOST_RUNS_READ, ExampleErrors, example_errors, population_errors
from dnntrain.analysis.looks import current_level
from dnntrain.analysis.margins import Margin, choose_delta
from dnntrain.analysis.options import SORTS, AnalysisOptions, check_order
from dnntrain.analysis.ordering import OrderResult, order_result
from dnntrain.analysis.per_class import ArmClasses, classes_by_arm
from dnntrain.analysis.planning import SeedPlan, plan_family
from dnntrain.analysis.predicted_metrics import no_metric, with_metric
from dnntrain.analysis.published import PublishedResult, published_results
from dnntrain.analysis.ranks import mean_ranks
from dnntrain.analysis.runs import ArmRuns, arms_by_metric
from dnntrain.analysis.secondary import secondary_metric
from dnntrain.analysis.selection import other_part_of
from dnntrain.analysis.sensitivity import Factors, layer_factors
from dnntrain.analysis.simple_effects import effects_within
from dnntrain.analysis.time_to_target import TimeToTarget, time_to_target
from dnntrain.analysis.timing import study_times
from dnntrain.analysis.verdicts import compare_finished
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import METRICS, default_metric, metric_of, split_column
from dnntrain.statistics import (
    LEVEL,
    Comparison,
    ComparisonFamily,
    Contribution,
    Effect,
    SimpleEffect,
    outlying_runs,
)
from dnntrain.store.provenance import datasets_of
from dnntrain.store.study_files import Results
from dnntrain.store.study_record import StudyRecord
from dnntrain.store.timing import StudyTimes


@dataclass(frozen=True)
class Summary:
    """A study, summarized by one metric."""

    results: Results
    metric: str
    options: AnalysisOptions
    baseline: str | None
    arms: list[ArmSummary]
    margin: Margin
    """The smallest difference that matters."""
    delta: float
    """The same in the metric's own unit."""
    level: float
    """The simultaneous confidence of the intervals, at the study's look."""
    family: ComparisonFamily | None
    """All comparisons with the baseline; None without a baseline."""
    effects: list[Effect]
    """Main effects and interactions of a factorial design."""
    contributions: Mapping[str, Contribution]
    """Solo gain and marginal loss of each factor of an in-and-out design."""
    per_class: list[ArmClasses]
    """How well each arm finds each class; empty unless that is asked for."""

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return metric_of(self.metric).higher_is_better

    def arm(self, name: str) -> ArmSummary:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def runs(self) -> dict[str, ArmRuns]:
        """The runs of each arm, by its name."""
        return {arm.name: arm.runs for arm in self.arms}

    @property
    def other_part(self) -> str:
        """The metric on the other part of the data: val_acc for test_acc, and the reverse; empty for other parts."""
        return other_part_of(self.metric)

    @cached_property
    def classes(self) -> list[ArmClasses]:
        """How well each arm finds each class, if the runs have predictions of classes; else empty.

        Without `per_class` it is empty for studies of very many runs, too.
        """
        is_small = len(self.results.runs) <= MOST_RUNS_READ
        return self.per_class or (classes_by_arm(self.results, self.metric, must_exist=False) if is_small else [])

    @cached_property
    def best(self) -> list[str]:
        """The arms that may be the best, the one with the best mean first.

        At a confidence of `best_level`, the truly best arm is among them. Empty without a baseline, with fewer than
        three seeds that all arms share, and where it is not known what a lost run counts as.
        """
        is_complete = self.results.is_table or all(arm.made >= arm.planned for arm in self.runs.values())
        if self.family is None or not is_complete:
            return []
        return best_arms(self.runs, self.higher_is_better, self.results.is_paired, self.best_level)

    @property
    def best_level(self) -> float:
        """The confidence of `best`: with several looks that of the strictest at which an arm's seeds ended."""
        return 1 - current_level(self.results.record, self.runs) / self.options.metrics

    @cached_property
    def mean_ranks(self) -> Mapping[str, float]:
        """Each arm's mean rank over the blocks that are compared; empty without blocks."""
        return mean_ranks(self.runs, self.higher_is_better) if self.results.blocks else {}

    @cached_property
    def plans(self) -> Mapping[str, SeedPlan]:
        """The seeds that each comparison with a variance needs, by arm, without arms that lost all runs."""
        if self.family is None or self.options.population:  # more seeds do not make up for few examples
            return {}
        names = [arm.name for arm in self.arms if not arm.runs.never_finishes]
        return plan_family(self.family, names, 1 - (1 - LEVEL) / self.options.metrics)

    @cached_property
    def among_finished(self) -> Mapping[str, Comparison]:
        """The arms compared by their finished runs only, where they or the baseline lost some. Not a verdict."""
        if self.family is None or self.baseline is None:
            return {}
        return compare_finished(self.runs, self.baseline, self.family.method)

    @cached_property
    def times(self) -> StudyTimes | None:
        """The arms' times that `dnntrain runs time` measured; None if it was not called."""
        return study_times(self.results)

    @cached_property
    def time_to_target(self) -> TimeToTarget | None:
        """How soon the runs are as good as the baseline's in the end; None if that is not known."""
        return time_to_target(self.results, self.metric, self.baseline, self.runs)

    @cached_property
    def example_errors(self) -> ExampleErrors:
        """What another test set of this size would change of each difference."""
        if self.baseline is None or self.results.is_table or len(self.results.runs) > MOST_RUNS_READ:
            return ExampleErrors({})
        return example_errors(self.results, self.metric, self.runs, self.baseline)

    @cached_property
    def layer_factors(self) -> Mapping[str, Factors]:
        """How the sensitivities change from layer to layer, by arm. Empty for studies of very many runs."""
        return layer_factors(self.results) if len(self.results.runs) <= MOST_RUNS_READ else {}

    @cached_property
    def secondary(self) -> Summary | None:
        """The study by the loss of the same part if its own metric is accuracy, and the reverse.

        Its verdicts are a family of their own. None by other metrics than the study's own, without a baseline, and
        where the other metric is not recorded.
        """
        if self.results.is_table or self.baseline is None or self.metric != self.results.record.metric:
            return None
        other = secondary_metric(self.metric, self.results.runs.recorded())
        options = replace(self.options, delta=None, baseline=self.baseline, sort=None, pairs=False, per_class=False)
        return summarize(self.results, other, options) if other else None

    @cached_property
    def outlying(self) -> dict[str, list[int]]:
        """The seeds of single finished runs that make the spread of their arm, by arm."""
        level = 1 - (1 - LEVEL) / len(self.arms)
        found = {arm.name: outlying_runs(arm.runs.finished, level) for arm in self.arms}
        return {name: seeds for name, seeds in found.items() if seeds}

    @cached_property
    def published(self) -> list[PublishedResult]:
        """Every arm compared with its published values of any metric; the summary's metric first."""
        return [] if self.results.progress else published_results(self.results, self.metric, self.level)

    @cached_property
    def simple_effects(self) -> list[SimpleEffect]:
        """The levels of one factor compared at each setting of the others; empty unless that is asked for."""
        if self.results.progress or not self.options.within:
            return []
        metric = metric_of(self.metric)
        return effects_within(self.results, self.runs, self.options.within, self.delta, metric, self.level)

    @cached_property
    def ordered(self) -> OrderResult | None:
        """The test of an order of arms; None unless that is asked for."""
        if self.results.progress or not self.options.order:
            return None
        return order_result(self.results, self.runs, self.options.order, metric_of(self.metric), self.level)


def summarize(results: Results, metric: str | None = None, options: AnalysisOptions | None = None) -> Summary:
    """Summarizes a study by a metric. One that is not complete yet has means and counts, but no verdicts.

    Args:
        results: The study as recorded.
        metric: The metric with its part, such as test_acc; by default the study's own. One that is not recorded is
            computed from the runs' predictions.
        options: How to analyze it.

    Raises:
        InputError: For a metric that does not exist or that the study lacks, a δ that the metric cannot have, or a
            baseline, a factor or an order that the study lacks.
    """
    options = options or AnalysisOptions()
    if metric is None:
        results, metric = results_by_own_metric(results)
    declared = metric_of(metric)
    results = with_metric(results, metric)
    if metric not in results.runs.columns:
        raise InputError(no_metric(results, metric))
    study, runs = results.record, arms_by_metric(results, metric)
    baseline, options = choose_baseline(study, options.baseline), with_own_comparisons(study, options)
    if results.progress is not None:
        # verdicts on part of the planned runs would be a look; see `analysis.looks`
        baseline, options = None, replace(options, pairs=False)
    if options.delta is None and metric == study.metric:
        options = replace(options, delta=study.delta)
    margin, delta = choose_delta(options.delta, declared, runs.get(baseline or ""))
    values = {name: arm.values for name, arm in runs.items()}
    errors = population_errors(results, metric, runs, baseline) if baseline and options.population else None
    family = compare_with_baseline(study, values, baseline, metric, delta, options, errors) if baseline else None
    arms = summarize_arms(results, metric, runs, baseline, family)
    level = 1 - current_level(study) / options.metrics
    return Summary(
        results=results,
        metric=metric,
        options=options,
        baseline=baseline,
        arms=sorted(arms, key=SORTS[options.sort]) if options.sort else arms,
        margin=margin,
        delta=delta,
        level=level,
        family=family,
        effects=[] if results.progress else factorial_effects(study, runs, delta, declared, level),
        contributions={} if results.progress else contributions(study, runs, delta, declared, level),
        per_class=classes_by_arm(results, metric) if options.per_class else [],
    )


def results_by_own_metric(results: Results) -> tuple[Results, str]:
    """The study and its own metric; another one, with a note, if that is of a plug-in that is not loaded."""
    study = results.record
    if not study.metric_plugin or split_column(study.metric)[1] in METRICS:
        return results, study.metric
    instead = default_metric(datasets_of(study)[0].task)
    note = (
        f"Its metric {study.metric} is of the plug-in {study.metric_plugin}, which is not loaded; "
        f"this is {instead} instead."
    )
    return replace(results, notes=(*results.notes, note)), instead


def choose_baseline(study: StudyRecord, wanted: str | None) -> str | None:
    """The arm to compare with; None if there is none. InputError for one that is not an arm."""
    names = [arm.name for arm in study.arms]
    if wanted is not None and wanted not in names:
        raise InputError(f"--baseline {wanted}: {study.name} has no such arm{did_you_mean(wanted, names)}")
    return (wanted or study.baseline) if len(names) > 1 else None


def with_own_comparisons(study: StudyRecord, options: AnalysisOptions) -> AnalysisOptions:
    """The options with the study's own `within` and `order` where none are given; InputError for what it lacks."""
    within = study.within if options.within is None else options.within
    order = tuple(study.order) if options.order is None else options.order
    factors = [*study.arms[0].levels]
    if within and not crosses_factors(study):
        raise InputError(f"--within {within}: {study.name} is no factorial design with several factors")
    if within and within not in factors:
        raise InputError(f"--within {within}: {study.name} has no such factor{did_you_mean(within, factors)}")
    if within and len({arm.levels[within] for arm in study.arms}) < 2:
        raise InputError(f"--within {within}: it has one level in {study.name}, so there is nothing to compare")
    if order:
        try:
            check_order(order, [arm.name for arm in study.arms])
        except InputError as error:
            raise InputError(f"--order for {study.name}: {error}") from None
    return replace(options, within=within, order=order)
