"""Corrects the comparisons of a family for their number, so that p and interval always agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnntrain.statistics.distributions import Array, dunnett_p, studentized_range_p, tail_level
from dnntrain.utils.lazy import special

NONE, BONFERRONI, DUNNETT_P, TUKEY = "none", "bonferroni", "dunnett", "tukey"


@dataclass(frozen=True)
class Correction:
    """How the comparisons of a family are corrected for their number.

    A comparison is judged by the tail of its own t statistic, whatever its degrees of freedom. The family's p and the
    critical value both follow from this tail: p < 1 − level exactly where |t| is above the critical value.
    """

    kind: str
    """'none', 'bonferroni', 'dunnett' (all arms with one baseline), or 'tukey' (all pairs of arms)."""
    k: int
    """Comparisons that are corrected for; for 'tukey', the arms − 1."""
    n: int
    """Seeds, at least 2."""

    def critical(self, level: float, df: float) -> float:
        """The critical value of |t| at which the family's p is 1 − level."""
        if self.kind in (DUNNETT_P, TUKEY):
            tail = tail_level(self.k, self.n, level, pairwise=self.kind == TUKEY)
        else:
            tail = (1 - level) / (self.k if self.kind == BONFERRONI else 1)
        return float(-special.stdtrit(df, tail / 2))

    def adjust(self, tail: float) -> float:
        """The family's two-sided p for P(T > |t|) of one comparison."""
        if self.kind not in (DUNNETT_P, TUKEY):
            return min(1.0, 2 * tail * (self.k if self.kind == BONFERRONI else 1))
        df = self.k * (self.n - 1)
        t = float(-special.stdtrit(df, tail))
        return studentized_range_p(2**0.5 * t, self.k + 1, df) if self.kind == TUKEY else dunnett_p(t, self.k, df)

    def p(self, t: float, df: float) -> float:
        """The family's two-sided p of one t statistic."""
        return self.adjust(float(special.stdtr(df, -abs(t))))


def holm(p: Array) -> Array:
    """The p values of a family, corrected by Holm's step-down method (Holm 1979); none is below its own p."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected
