"""One arm of a study as an object: what `study["bn"]` gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from dnntrain.analysis.arm_summary import ArmSummary
    from dnntrain.analysis.summary import Summary


@dataclass(frozen=True, repr=False, eq=False)
class ArmResult:
    """One arm by its study's metric, in the metric's own unit: shares from 0 to 1. Lost runs count as in the table."""

    analysis: ArmSummary
    """The numbers behind it."""
    study: Summary
    """The study that it belongs to."""

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.analysis.name

    @property
    def verdict(self) -> str:
        """The verdict on it compared with the baseline, such as 'better'; empty for the baseline itself."""
        return self.analysis.verdict

    @property
    def difference(self) -> float | None:
        """The arm's mean minus the baseline's; None for the baseline itself, and where it is not known."""
        found = self.analysis.difference
        return found.mean if found else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The simultaneous confidence interval of the difference, (low, high); None without one."""
        found = self.analysis.difference
        return (found.low, found.high) if found and not math.isnan(found.low) else None

    @property
    def p(self) -> float | None:
        """The p value of the difference, adjusted for the number of arms; None without one."""
        comparison = self.analysis.comparison
        return None if comparison is None or math.isnan(comparison.p) else comparison.p

    @property
    def n(self) -> int:
        """How many runs (or blocks) the mean is over."""
        return len(self.analysis.values)

    @property
    def mean(self) -> float:
        """The mean of the metric over the runs; nan without runs."""
        return self.analysis.mean

    @property
    def std(self) -> float:
        """The standard deviation of the metric over the runs (ddof 1); nan for fewer than two."""
        return self.analysis.deviation

    @property
    def values(self) -> pd.Series[float]:
        """The metric of each run, by seed (or of each block, by its number)."""
        import pandas as pd

        values = self.analysis.values
        index = pd.Index([*values], name="block" if self.study.results.blocks else "seed")
        return pd.Series([*values.values()], index=index, name=str(self.study.metric), dtype=float)

    @property
    def health(self) -> dict[str, int]:
        """How many runs have each diagnosis, the most frequent one first: {'healthy': 4, 'exploding': 1}."""
        return dict(self.analysis.health)

    @property
    def runs(self) -> pd.DataFrame:
        """Its rows of the table of runs."""
        return self.study.results.runs.where("arm", self.name).frame()

    def __repr__(self) -> str:
        from dnntrain.reporting import formatting

        arm, metric = self.analysis, self.study.metric
        text = f"{formatting.heading(metric)} {formatting.spread(arm, metric)} ({arm.finished}/{arm.runs.planned} runs)"
        if arm.comparison:
            text += f", {formatting.against_baseline(arm, self.study)}"
        return f"<ArmResult {self.name}: {text}{f', {self.verdict}' if self.verdict else ''}>"

    def _repr_html_(self) -> str:
        from dnntrain.reporting.exports.html import html_table
        from dnntrain.reporting.tables import main_table

        shown = [arm for arm in self.study.arms if arm.name in (self.name, self.study.baseline)]
        return html_table(main_table(replace(self.study, arms=shown), wide=False))
