"""How the sensitivities change from layer to layer in each arm, and what makes them: slopes and weights.

The sensitivity of layer k, s^k, is the gradient of one example's loss for the layer's net inputs. Backpropagation
multiplies it by the weights of the layer above and by the slope of the activation (Hagan et al. 2014, Neural Network
Design, eq. 11.35), so that ‖s^k‖ / ‖s^(k+1)‖ is about the root mean square of the slope times ‖W^(k+1)‖_F / √units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunRecords, RunStore
from dnntrain.store.study_files import Results


@dataclass(frozen=True)
class LayerFactor:
    """The sensitivities of one arm at one time, as geometric means over its runs."""

    sensitivities: tuple[float, ...]
    """The mean ‖s^k‖ of an example by layer, from the lowest to the output; nan where it is not measured."""
    factor: float
    """‖s^k‖ / ‖s^(k+1)‖ from a hidden layer to the one below, as the geometric mean over these; nan with fewer than two
    hidden layers."""
    slope: float
    """Root mean square of the activation's derivative, likewise; nan where each weight has no activation of its own."""
    weights: float
    """‖W‖_F / √units of the weights between these layers, likewise."""

    update: float
    """‖ΔW‖ / ‖W‖ of the lowest layer in one step."""

    @property
    def rest(self) -> float:
        """What the factor has beyond slope × weights: normalization, pooling, dropout, shortcuts, and chance."""
        predicted = self.slope * self.weights
        return self.factor / predicted if predicted else math.nan


@dataclass(frozen=True)
class Factors:
    """An arm's sensitivities before the first step and at the end."""

    layers: tuple[str, ...]
    """The names of the weights, from the lowest."""
    start: LayerFactor
    """On the first mini-batch, before the first step."""
    end: LayerFactor
    """Over the last epoch; of a run that diverged, at its last probed step with finite gradients."""


def layer_factors(results: Results) -> dict[str, Factors]:
    """The sensitivities of each arm, without those whose runs recorded none: old records, and your own modules.

    Raises:
        InputError: A record is damaged.
    """
    by_arm: dict[str, list[RunRecord]] = {}
    for arm, record in recorded(results):
        if known(record.probes.start.get("sensitivity", ())):
            by_arm.setdefault(arm, []).append(record)
    return {arm: factors_of(records) for arm, records in by_arm.items()}


def finite_gradients(results: Results) -> dict[str, dict[int, list[np.ndarray]]]:
    """The norms of the gradients at the last finite steps of each arm's diverged runs, by the epoch of divergence.

    Returns:
        By arm and epoch (from 1), for each probed step of that epoch an array (runs, layers), the earliest first.

    Raises:
        InputError: A record is damaged.
    """
    by_step: dict[tuple[str, int, int], list[Any]] = {}
    for arm, record in recorded(results):
        for figures in record.probes.last:
            if figures["epoch"] == record.epochs:
                by_step.setdefault((arm, record.epochs, figures["step"]), []).append(figures["grad_norm"])  # type: ignore[arg-type]
    found: dict[str, dict[int, list[np.ndarray]]] = {}
    for arm, epoch, step in sorted(by_step):
        rows = np.array(by_step[arm, epoch, step], dtype=float)
        found.setdefault(arm, {}).setdefault(epoch, []).append(rows)
    return found


def recorded(results: Results) -> Iterator[tuple[str, RunRecord]]:
    """Each run's arm and record; none of a table that dnntrain did not write, or of runs whose records are gone."""
    if results.is_table:
        return
    records = results.run_records
    if records is None:
        records = RunRecords(RunStore(results.folder.parent), results.runs["run"])
    for arm, run in zip(results.runs["arm"], results.runs["run"], strict=True):
        if run in records:
            yield arm, records[run]


def factors_of(records: Sequence[RunRecord]) -> Factors:
    """The sensitivities of one arm's runs, at least one."""
    layers = records[0].layers
    is_chain = layers.activations == layers.weights[:-1]
    starts, ends = [record.probes.start for record in records], [last_figures(record) for record in records]
    return Factors(tuple(layers.weights), factor_of(starts, is_chain), factor_of(ends, is_chain))


def last_figures(record: RunRecord) -> Mapping[str, Any]:
    """The figures at the end of a run: its last epoch's, or those of its last finite step if it diverged."""
    if record.status == "diverged":
        return record.probes.last[-1] if record.probes.last else {}
    return record.history[-1]


def factor_of(figures: Sequence[Mapping[str, Any]], is_chain: bool) -> LayerFactor:
    """The sensitivities of some runs.

    Args:
        figures: Of each run, a list by layer for each figure.
        is_chain: Whether each hidden layer's weights are followed by an activation of its own.
    """
    sensitivity, slope, weights, update = (
        mean_logs(figures, name) for name in ("sensitivity", "slope", "weight_norm", "update_ratio")
    )
    hidden = np.flatnonzero(~np.isnan(sensitivity[:-1]))  # frozen layers have none
    means = [math.nan] * 3
    if len(hidden) > 1:
        low, high = hidden[0], hidden[-1]
        with np.errstate(invalid="ignore"):  # -inf - -inf, where both are zero
            means[0] = (sensitivity[low] - sensitivity[high]) / (high - low)
        if is_chain:
            means[1:] = slope[low:high].mean(), weights[low + 1 : high + 1].mean()
    return LayerFactor(tuple(np.exp(sensitivity).tolist()), *(float(np.exp(mean)) for mean in (*means, update[0])))


def mean_logs(figures: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """The mean over runs of a figure's logarithm, by layer; nan for layers that no run has measured."""
    rows = [row[name] for row in figures if known(row.get(name, ()))]
    if not rows:
        return np.full(1, math.nan)
    values = np.array(rows, dtype=float)
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    counts = (~np.isnan(logs)).sum(axis=0)
    mean: np.ndarray = np.where(counts, np.nansum(logs, axis=0) / counts.clip(min=1), math.nan)
    return mean


def known(values: Sequence[float | None]) -> bool:
    """Whether any of some figures is known."""
    return any(value is not None for value in values)
