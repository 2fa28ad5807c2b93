"""How many seeds each arm needs, as lines below the tables and as a table of a wide report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dnntrain.analysis.planning import SeedPlan
from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting
from dnntrain.statistics import MANY_SEEDS, POWER, SeedRange
from dnntrain.utils.text_layout import TextTable

GOALS_IN_WORDS: dict[str, Callable[[SeedPlan], SeedRange | None]] = {
    "δ": lambda plan: plan.for_delta,
    "equivalence": lambda plan: plan.for_equivalence,
    "the difference seen": lambda plan: plan.for_difference,
}
"""What seeds could show."""


def planning_lines(summary: Summary, most: int) -> Iterator[str]:
    """The seeds that the arms need, and the smallest differences that the seeds so far would show.

    Args:
        summary: The study.
        most: With more arms than this, only the range over the arms is shown.
    """
    plans, power = summary.plans, formatting.percent(POWER)
    if not plans:
        return
    hint = "; --wide has every arm" if len(plans) > most else ""
    for goal, seeds_of in GOALS_IN_WORDS.items():
        ranges = {name: seeds for name, plan in plans.items() if (seeds := seeds_of(plan))}
        if ranges:
            what = f"δ = {summary.margin.text}" if goal == "δ" else goal
            yield f"Seeds for {power} power to show {what}: {seeds_in_words(ranges, most)}{hint}."
    sizes = {name: formatting.two_digits(plan.smallest_detectable, summary.metric) for name, plan in plans.items()}
    if len(sizes) > most:
        ends = [end(plans, key=lambda name: plans[name].smallest_detectable) for end in (min, max)]
        each = " to ".join(f"{sizes[name]} ({name})" for name in ends)
    else:
        each = ", ".join(f"{name} {size}" for name, size in sizes.items())
    unit = formatting.difference_unit(summary.metric)
    yield f"Smallest difference that these seeds show with {power} power: {each} {unit}{hint}."


def seeds_in_words(ranges: Mapping[str, SeedRange], most: int) -> str:
    """The seeds of each arm, or from the fewest to the most."""
    if len(ranges) <= most:
        return ", ".join(f"{name} {seed_range(seeds)}" for name, seeds in ranges.items())
    fewest, largest = (end(ranges, key=lambda name: ranges[name].advised) for end in (min, max))
    counts = [seed_count(ranges[name].advised) for name in (fewest, largest)]
    if counts[0] == counts[1]:
        return f"{counts[0]} for every arm"
    return f"{counts[0]} ({fewest}) to {counts[1]} ({largest})"


def planning_table(summary: Summary) -> TextTable:
    """A row for each arm with a variance: its smallest detectable difference, and the seeds that it needs."""
    rows = []
    for name, plan in summary.plans.items():
        size = formatting.two_digits(plan.smallest_detectable, summary.metric)
        ranges = (seeds_of(plan) for seeds_of in GOALS_IN_WORDS.values())
        rows.append([name, size, *(seed_range(seeds) if seeds else "-" for seeds in ranges)])
    headings = ["arm", "smallest difference", *(f"seeds for {goal}" for goal in GOALS_IN_WORDS)]
    title = f"what seeds show with {formatting.percent(POWER)} power"
    return TextTable(title, headings, rows, frozenset(headings[1:]))


def seed_range(seeds: SeedRange) -> str:
    """The advised seeds with their range: 12 (8 to 21)."""
    ends = "" if seeds.low == seeds.high else f" ({seed_count(seeds.low)} to {seed_count(seeds.high)})"
    return seed_count(seeds.advised) + ends


def seed_count(seeds: int) -> str:
    """A number of seeds; '> 1,000' where they are not counted any more."""
    return f"> {MANY_SEEDS:,}" if seeds > MANY_SEEDS else f"{seeds:,}"
