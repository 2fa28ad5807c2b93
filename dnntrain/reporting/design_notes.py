"""What a reader must know of the tables in `design_tables`: the methods, and what the words mean."""

from __future__ import annotations

from collections.abc import Iterator

from dnntrain.analysis.summary import Summary
from dnntrain.statistics.published import RUNS_APART


def design_notes(summary: Summary) -> Iterator[str]:
    """The notes on a study's pairs, effects, contributions and published values, as far as it has these."""
    percent = f"{100 * summary.options.level:.4g} %"
    arms = len(summary.arms)
    if summary.options.pairs and arms > 1:
        yield (
            f"All {arms * (arms - 1) // 2} pairs: simultaneous {percent} intervals by Tukey and Kramer's method on "
            "moderated variances."
        )
    if judged := sum(result.is_judged for result in summary.published):
        yield (
            f"Published values: z is the difference in standard errors, which count both sides' deviations and numbers "
            f"of runs. The {percent} intervals are simultaneous over {judged} published "
            f"value{'s' if judged != 1 else ''} (Bonferroni). A side without a deviation is taken to vary as the "
            f"other. Compatible: surely less than {RUNS_APART:g} standard deviations of one run apart, if data and "
            "settings are those that were published."
        )
