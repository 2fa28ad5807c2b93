"""How good averaged predictions are: Monte Carlo dropout and ensembles over seeds against single networks.

A single network predicts with dropout off (weight scaling). Monte Carlo dropout averages its probabilities over passes
with dropout on (Gal and Ghahramani 2016, "Dropout as a Bayesian approximation"). An ensemble averages those of the
networks of all seeds. A regression averages the predicted numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.analysis.runs import column_by_arm
from dnntrain.metrics import HELD_OUT, METRICS, recorded_columns, recorded_metrics, split_column
from dnntrain.statistics import Interval, deviation, jackknife_interval, mean, paired_interval
from dnntrain.store.predictions import Predictions
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import Results
from dnntrain.utils.lazy import special

WEIGHT_SCALING, MONTE_CARLO = "weight scaling", "Monte Carlo"
"""The predictions of one network with dropout off, and their mean over passes with dropout on."""

PredictionsBySeed = Mapping[int, Predictions]
"""An arm's predictions by seed."""


@dataclass(frozen=True)
class PredictionScore:
    """A metric of an arm's predictions that are averaged in one way."""

    arm: str
    prediction: str
    """How they are averaged: 'weight scaling', 'Monte Carlo', 'ensemble of 5', or 'ensemble of 5, Monte Carlo'."""
    metric: str
    """The metric with its part, such as test_loss."""
    n: int
    """The number of predictors: the seeds, or one ensemble."""
    mean: float
    deviation: float
    """Standard deviation over the predictors; nan for one."""
    difference: Interval | None
    """The difference from the mean of single networks by weight scaling, with a 95 % interval over seeds: paired, or
    the jackknife's for an ensemble. None for weight scaling itself."""


def score_arm(arm: str, runs: Mapping[int, str], store: RunStore, samples: int) -> list[PredictionScore]:
    """Score an arm's recorded predictions in all ways of averaging, on both held-out parts.

    Args:
        arm: The arm's name.
        runs: Its finished runs by seed, which have predictions.
        store: Where they are recorded.
        samples: Passes with dropout on. Without their means on record, only weight scaling is scored.
    """
    single = {seed: found for seed, run in runs.items() if (found := store.predictions(run))}
    sampled = {seed: found for seed, run in runs.items() if (found := store.predictions(run, samples))}
    if not single:
        return []
    task = "classification" if next(iter(single.values())).info["test"].n_classes else "regression"
    metrics = [*recorded_metrics(task), *([METRICS["ece"]] if task == "classification" else [])]
    scores: list[PredictionScore] = []
    for column in (f"{part}_{metric.name}" for part in reversed(HELD_OUT) for metric in metrics):
        alone = {seed: predictions.metric(column) for seed, predictions in single.items()}
        averaged = {seed: predictions.metric(column) for seed, predictions in sampled.items()}
        scores += score_single(arm, column, alone, averaged)
        for members, name in ((single, ""), (sampled, f", {MONTE_CARLO}")):
            if len(members) > 1 and has_same_targets(members, column):
                prediction = f"ensemble of {len(members)}{name}"
                scores.append(score_ensemble(arm, prediction, column, members, alone))
    return scores


def recorded_scores(results: Results) -> list[PredictionScore]:
    """The scores of a study's arms that were trained with Monte Carlo dropout, by the metrics that runs record."""
    columns = [name for name in recorded_columns() if name.startswith("test_") and f"mc_{name}" in results.runs]
    found = []
    for arm in results.record.arms:
        for column in columns:
            alone, averaged = (column_by_arm(results.runs, each).get(arm.name, {}) for each in (column, f"mc_{column}"))
            averaged = {seed: value for seed, value in averaged.items() if math.isfinite(value)}
            if averaged:
                found += score_single(arm.name, column, {seed: alone[seed] for seed in averaged}, averaged)
    return found


def score_single(
    arm: str, column: str, alone: Mapping[int, float], averaged: Mapping[int, float]
) -> list[PredictionScore]:
    """The scores of single networks, from a metric's values by seed: with dropout off, and averaged over passes."""
    found = []
    for prediction, values in ((WEIGHT_SCALING, alone), (MONTE_CARLO, averaged)):
        if values:
            numbers = list(values.values())
            difference = None if values is alone else paired_interval(values, alone)
            figures = mean(numbers), deviation(numbers), difference
            found.append(PredictionScore(arm, prediction, column, len(numbers), *figures))
    return found


def score_ensemble(
    arm: str, prediction: str, column: str, members: PredictionsBySeed, alone: Mapping[int, float]
) -> PredictionScore:
    """The score of the ensemble of all seeds, and how far it is from the mean of single networks.

    There is one ensemble. Its interval is from the ensembles that leave out one seed each.
    """

    def gain(seeds: Sequence[int]) -> float:
        return average([members[seed] for seed in seeds]).metric(column) - mean([alone[seed] for seed in seeds])

    seeds = sorted(members)
    without_one = [gain([other for other in seeds if other != seed]) for seed in seeds]
    score = average([members[seed] for seed in seeds]).metric(column)
    return PredictionScore(arm, prediction, column, 1, score, math.nan, jackknife_interval(gain(seeds), without_one))


def average(members: Sequence[Predictions]) -> Predictions:
    """The mean prediction of several networks for the same examples, in the form of outputs."""
    first = members[0]
    outputs = {}
    for part in HELD_OUT:
        stacked = np.stack([member.outputs[part].astype(float) for member in members])
        if not first.info[part].n_classes:
            outputs[part] = stacked.mean(axis=0)
            continue
        has_one = stacked.shape[-1] == 1  # the logit of the second of two classes
        logits = np.concatenate([np.zeros_like(stacked), stacked], axis=-1) if has_one else stacked
        # in logarithms, because a probability may be too small for a float in every network
        logs = special.logsumexp(special.log_softmax(logits, axis=-1), axis=0) - np.log(len(members))
        outputs[part] = logs[:, 1:] - logs[:, :1] if has_one else logs
    return Predictions(outputs, first.targets, first.info, first.train_counts)


def has_same_targets(members: PredictionsBySeed, column: str) -> bool:
    """Whether all predictions are for the same examples, by their targets: validation parts may differ by seed."""
    part = split_column(column)[0]
    first, *others = (predictions.targets[part] for predictions in members.values())
    return all(np.array_equal(first, other) for other in others)
