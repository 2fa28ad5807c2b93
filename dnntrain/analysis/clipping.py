"""How often the gradients of each arm were clipped, and how much of their direction that kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnntrain.config.renamed import to_new_names
from dnntrain.config.shown import has_catalogue
from dnntrain.statistics import mean
from dnntrain.store.run_columns import RunColumns
from dnntrain.store.study_files import Results

CLIPPING = frozenset({"clipvalue", "clipnorm", "global_clipnorm"})
"""dnntrain's own techniques that clip, for which a report need not import the catalogue."""


@dataclass(frozen=True)
class ClippedSteps:
    """The clipping of one arm, as the mean over its runs."""

    share: float
    """Steps in which the gradient was clipped, 0 to 1."""
    cosine: float
    """Between the clipped and the raw gradient at the probed steps; nan where runs did not record it."""


def clipped_steps(results: Results) -> dict[str, ClippedSteps]:
    """The clipping of every arm that clips and has a history; empty for a table that dnntrain did not write."""
    keys = clipping_keys() if has_catalogue() else CLIPPING
    clip = {arm.name for arm in results.record.arms if any(map(to_new_names(arm.settings).get, keys))}
    if results.is_table or not clip:
        return {}
    history = results.history_of("clipped", "clip_cosine")
    found = {}
    for arm in sorted(clip):
        share, cosine = (mean_of_runs(history.where("arm", arm), figure) for figure in ("clipped", "clip_cosine"))
        if not math.isnan(share):
            found[arm] = ClippedSteps(share, cosine)
    return found


def mean_of_runs(history: RunColumns, figure: str) -> float:
    """The mean over runs of each run's mean over its epochs; nan where none has the figure."""
    values: dict[int, list[float]] = {}
    for seed, value in history.rows("seed", figure):
        if not math.isnan(value):
            values.setdefault(seed, []).append(value)
    return mean([mean(of_run) for of_run in values.values()])


def clipping_keys() -> frozenset[str]:
    """The settings of techniques that clip, with those of plug-ins."""
    from dnntrain.techniques.base import techniques_in
    from dnntrain.techniques.clipping import Clipping

    return frozenset(technique.name for technique in techniques_in(Clipping))
