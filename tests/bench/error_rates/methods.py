"""Half the widths of the simultaneous intervals of many studies, by dnntrain's method and by those it is held against.

All take differences arm − baseline, [study, arm, seed], and give [study, arm].
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincc, stdtrit

from dnntrain.statistics import LEVEL, dunnett_critical, t_critical
from dnntrain.statistics.distributions import Array, tail_level
from dnntrain.statistics.moderation import moderate

MODERATED, PREVIOUS, DUNNETT, PAIRED = METHODS = ("moderated", "previous", "Dunnett", "paired")

VARIANCE_LEVEL = 0.2
"""Of the variance test by which the previous method chose between Dunnett's comparison and the paired t."""


def differences_of(values: Array) -> Array:
    """Differences of the arms from the baseline, which is row 0 of [study, row, seed]."""
    return np.asarray(values[:, 1:] - values[:, :1])


def all_margins(differences: Array) -> dict[str, Array]:
    """The half widths at 95 % by each of `METHODS`."""
    arms, n = differences.shape[-2:]
    own = (differences - differences.mean(-1, keepdims=True)).var(-1, ddof=1)
    paired = t_critical(1 - (1 - LEVEL) / arms, n - 1) * np.sqrt(own / n)
    squares = residual_squares(differences)
    df = arms * (n - 1)
    se = np.sqrt(2 * squares.sum(-1, keepdims=True) / df / n)
    pooled = np.broadcast_to(dunnett_critical(LEVEL, arms, df) * se, paired.shape)
    differ = largest_row_p(squares, n) < VARIANCE_LEVEL
    return {
        MODERATED: moderated_margins(differences),
        PREVIOUS: np.where(differ[:, None], paired, pooled),
        DUNNETT: pooled,
        PAIRED: paired,
    }


def moderated_margins(differences: Array, level: float = LEVEL) -> Array:
    """The half widths by which `dnntrain.statistics.compare` judges complete arms."""
    arms, n = differences.shape[-2:]
    found = moderate(differences)
    return critical(found.df, arms, n, level) * found.se


def critical(df: Array, judged: int, n: int, level: float = LEVEL, pairwise: bool = False) -> Array:
    """The critical values of |t| for `judged` arms and a baseline over n seeds, or for all pairs of these."""
    return np.asarray(-stdtrit(df, tail_level(judged, n, level, pairwise) / 2))


def residual_squares(differences: Array) -> Array:
    """Squared residuals of the layout row + seed, summed by row: [study, 1 + arm], the baseline first."""
    rows = np.concatenate([np.zeros_like(differences[:, :1]), differences], 1)
    rows -= rows.mean(-1, keepdims=True)
    rows -= rows.mean(-2, keepdims=True)
    return np.asarray((rows**2).sum(-1))


def largest_row_p(squares: Array, n: int) -> Array:
    """P value of the largest row's variance against that of the others (Russell and Bradley 1958), times the rows."""
    rows = squares.shape[-1]
    if rows < 3:
        return np.ones(len(squares))
    share = squares.max(-1) / squares.sum(-1) * rows / (rows - 1)
    tail = betaincc((n - 1) / 2, (rows - 2) * (n - 1) / 2, np.minimum(share, 1))
    return np.asarray(np.minimum(rows * tail, 1))
