"""Thresholds for gradient clipping, from what healthy runs recorded of their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dnntrain.store.records import HEALTHY, NOT_JUDGED, RunRecord, health_state

QUANTILES = (0.5, 0.9, 0.99, 1.0)
"""A threshold is proposed at each of these quantiles of the probed steps."""


@dataclass(frozen=True)
class Threshold:
    """A threshold to try."""

    quantile: float
    """The share of the probed steps whose gradients are below it, before it is rounded."""
    value: float
    """Rounded up to two digits."""
    clips: float
    """The share of the probed steps that it would clip."""


@dataclass(frozen=True)
class ProposedThresholds:
    """The thresholds that healthy runs propose."""

    runs: int
    """Healthy runs that recorded their gradients."""
    steps: int
    """Steps at which they did, in all runs together."""
    by_kind: Mapping[str, list[Threshold]]
    """By kind of clipping, in the order of QUANTILES."""


def propose_thresholds(records: Iterable[RunRecord]) -> ProposedThresholds | None:
    """Thresholds at quantiles of what each kind of clipping compares with its threshold.

    The gradients are those before clipping, so runs that clip count like others.

    Args:
        records: Runs of the same settings. Those that are not healthy do not count.

    Returns:
        The thresholds; None without a healthy run that recorded its gradients.
    """
    healthy = [e for e in records if e.probes.magnitudes and health_state(e.health) in (HEALTHY, NOT_JUDGED)]
    by_kind: dict[str, list[float]] = {}
    for record in healthy:
        for kind, magnitudes in record.probes.magnitudes.items():
            by_kind.setdefault(kind, []).extend(m for m in magnitudes if m)  # neither missing nor 0
    found = {kind: np.array(magnitudes) for kind, magnitudes in by_kind.items() if magnitudes}
    if not found:
        return None
    proposed = {kind: [threshold_at(q, magnitudes) for q in QUANTILES] for kind, magnitudes in found.items()}
    return ProposedThresholds(len(healthy), max(map(len, found.values())), proposed)


def threshold_at(quantile: float, magnitudes: np.ndarray) -> Threshold:
    """The threshold at a quantile of the magnitudes (n,)."""
    exact = float(np.quantile(magnitudes, quantile))
    unit = 10.0 ** (math.floor(math.log10(exact)) - 1)
    value = float(f"{math.ceil(exact / unit) * unit:.2g}")
    return Threshold(quantile, value, float((magnitudes > value).mean()))
