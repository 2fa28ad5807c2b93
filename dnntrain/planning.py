"""Which runs train together: runs of one graph share a population, and populations are cut to keep workers busy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from dnntrain.memory import EVALUATION_ROWS, available
from dnntrain.spec import CoreSpec

MOST_MEMBERS = 32
"""Beyond this a step's fixed cost is spread thin enough, and larger populations only hold up more memory."""

STEP_OVERHEAD = 4e5
"""What starting one layer's operations costs, in multiply-adds: about 15 µs beside some 30 GFLOP/s."""

MEMORY_SHARE = 0.6
"""How much of the memory that is there populations may fill: the data and torch itself need some."""

COPIES_OF_WEIGHTS = 8
"""Weights, gradients, an optimizer's two moments, the best weights, a checkpoint on its way, and scratch."""

COPIES_OF_ACTIVATIONS = 4
"""Of each layer: before and after the nonlinearity, batch norm, the gradient."""


def populations(
    specs: Sequence[CoreSpec], workers: int, begun: Mapping[CoreSpec, int] | None = None
) -> list[list[CoreSpec]]:
    """The specs in populations, the dearest first; `begun` says how many epochs some were trained already.

    No population is dearer than one worker's share of the whole, so that workers who take the next one when they are
    free end at about the same time. Which runs share a population never changes their numbers.
    """
    groups: dict[tuple[str, int], list[CoreSpec]] = {}
    for spec in specs:
        groups.setdefault((spec.graph(), (begun or {}).get(spec, 0)), []).append(spec)
    share = sum(cost(group) for group in groups.values()) / workers
    room = (available() or math.inf) * MEMORY_SHARE / workers
    cut = [piece for group in groups.values() for piece in pieces(group, share, room)]
    return sorted(cut, key=cost, reverse=True)


def pieces(group: list[CoreSpec], share: float, room: float = math.inf) -> list[list[CoreSpec]]:
    """The group cut into populations of nearly equal size.

    None is dearer than the share, larger than MOST_MEMBERS, or needs more bytes than there is room for.
    """
    most = max(1, min(MOST_MEMBERS, int(room / member_bytes(group[0]))))
    # a little slack: a group that is hardly dearer than a share is not worth cutting
    count = max(math.ceil(cost(group) / (1.1 * share)), math.ceil(len(group) / most))
    count = min(count, len(group))
    bounds = [round(i * len(group) / count) for i in range(count + 1)]
    # long runs together, so that short ones do not wait in a population that has shrunk to one
    ordered = sorted(group, key=lambda spec: spec.epochs)
    return [ordered[a:b] for a, b in pairwise(bounds)]


def member_bytes(spec: CoreSpec) -> int:
    """The memory that one member takes at most, estimated."""
    outline = spec.source.outline()
    widths = [outline.n_features, *spec.hidden, outline.n_outputs]
    weights = sum(a * b for a, b in pairwise(widths))
    rows = max(spec.batch_size, EVALUATION_ROWS)
    return 4 * (COPIES_OF_WEIGHTS * weights + COPIES_OF_ACTIVATIONS * rows * sum(widths))


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
