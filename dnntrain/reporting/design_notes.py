"""What a reader must know of the tables in `design_tables`: the methods, and what the words mean."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.analysis.designs import missing_cells
from dnntrain.analysis.summary import Summary
from dnntrain.statistics.published import RUNS_APART

READINGS = (
    "Synergistic: better together than one by one; redundant: worse; additive: the {} interval lies within ±δ; "
    "otherwise an interaction is not told from none."
)


def design_notes(summary: Summary) -> Iterator[str]:
    """The notes on a study's pairs, effects, contributions and published values, as far as it has these."""
    level = summary.level
    percent, narrow = f"{100 * level:.4g} %", f"{100 * (2 * level - 1):.4g} %"
    arms = len(summary.arms)
    if summary.options.pairs and arms > 1:
        yield (
            f"All {arms * (arms - 1) // 2} pairs: simultaneous {percent} intervals by Tukey and Kramer's method on "
            "moderated variances."
        )
    if judged := sum(not math.isnan(effect.p) for effect in summary.effects):
        yield (
            "Effects are means over the settings of the other factors. An interaction (×) is the difference of "
            "differences: by how much the effect of one factor differs between two levels of the other. Intervals and "
            f"p are simultaneous over {judged} effects (Bonferroni, moderated variances). {READINGS.format(narrow)}"
        )
    if judged := sum(not math.isnan(item.p) for item in summary.contributions.values()):
        yield (
            "Gap: the loss without a technique minus its gain alone: its interaction with all others together. "
            f"Its intervals and p are simultaneous over {judged} technique{'s' if judged != 1 else ''} (Bonferroni, "
            "moderated variances); the intervals of gain and loss hold one by one. " + READINGS.format(narrow)
        )
    missing = missing_cells({arm.name: arm.runs for arm in summary.arms})
    if missing and (summary.effects or summary.contributions):
        yield f"Effects are estimated without these arms, which have too few runs: {', '.join(missing)}."
    if judged := sum(result.is_judged for result in summary.published):
        yield (
            f"Published values: z is the difference in standard errors, which count both sides' deviations and numbers "
            f"of runs. The {percent} intervals are simultaneous over {judged} published "
            f"value{'s' if judged != 1 else ''} (Bonferroni). A side without a deviation is taken to vary as the "
            f"other. Compatible: surely less than {RUNS_APART:g} standard deviations of one run apart, if data and "
            "settings are those that were published."
        )
