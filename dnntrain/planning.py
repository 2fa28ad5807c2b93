"""Which runs train together: runs of one graph share a population, and populations are cut to keep workers busy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from dnntrain.spec import CoreSpec

MOST_MEMBERS = 32
"""Beyond this a step's fixed cost is spread thin enough, and larger populations only hold up more memory."""

STEP_OVERHEAD = 4e5
"""What starting one layer's operations costs, in multiply-adds: about 15 µs beside some 30 GFLOP/s."""


def populations(specs: Sequence[CoreSpec], workers: int) -> list[list[CoreSpec]]:
    """The specs in populations, the dearest first.

    No population is dearer than one worker's share of the whole, so that workers who take the next one when they are
    free end at about the same time. Which runs share a population never changes their numbers.
    """
    groups: dict[str, list[CoreSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.graph(), []).append(spec)
    share = sum(cost(group) for group in groups.values()) / workers
    cut = [piece for group in groups.values() for piece in pieces(group, share)]
    return sorted(cut, key=cost, reverse=True)


def pieces(group: list[CoreSpec], share: float) -> list[list[CoreSpec]]:
    """The group cut into populations of nearly equal size, none dearer than the share or larger than MOST_MEMBERS."""
    # a little slack: a group that is hardly dearer than a share is not worth cutting
    count = max(math.ceil(cost(group) / (1.1 * share)), math.ceil(len(group) / MOST_MEMBERS))
    count = min(count, len(group))
    bounds = [round(i * len(group) / count) for i in range(count + 1)]
    # long runs together, so that short ones do not wait in a population that has shrunk to one
    ordered = sorted(group, key=lambda spec: spec.epochs)
    return [ordered[a:b] for a, b in pairwise(bounds)]


def cost(group: Sequence[CoreSpec]) -> float:
    """The predicted work of one population, in multiply-adds for every 1,000 images of an epoch."""
    spec = group[0]
    outline = spec.source.outline()
    widths = [outline.n_features, *spec.hidden, outline.n_outputs]
    weights = sum(a * b for a, b in pairwise(widths))
    layers = len(widths) - 1
    extra = 1.0 + 1.0 * bool(getattr(spec, "bn", False)) + 0.3 * bool(getattr(spec, "dropout", None))
    per_member = 3 * spec.batch_size * weights + 8 * weights + 2000 * extra * sum(widths) / 10
    epochs = sum(member.epochs for member in group) / len(group)
    return epochs * (1000 / spec.batch_size) * (STEP_OVERHEAD * layers * extra + len(group) * per_member)
