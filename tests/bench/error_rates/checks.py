"""What the simulations must reach, and the table that says whether they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One simulated figure and its bound."""

    target: str
    """What is bounded, in words; checks of one target form a row of the table."""
    cell: str
    """Which simulation gave the figure."""
    value: float
    bound: float
    slack: float = 0.0
    """How far beyond the bound chance alone may take the figure."""
    at_least: bool = False
    """Whether the bound is a lower one."""

    @property
    def excess(self) -> float:
        """How far the figure lies on the wrong side of the bound, slack included; negative if it is met."""
        return (self.bound - self.value if self.at_least else self.value - self.bound) - self.slack

    @property
    def is_missed(self) -> bool:
        return self.excess > 0


def number_of_studies(count: int, scale: float) -> int:
    """How many studies to simulate: `count` times the scale, but not so few that nothing shows."""
    return max(60, round(count * scale))


def monte_carlo_error(percent: float, studies: int) -> float:
    """The standard error of a percentage of so many studies, in percentage points."""
    return 100 * math.sqrt(percent / 100 * (1 - percent / 100) / studies)


def at_most(target: str, cell: str, value: float, bound: float, studies: int) -> Check:
    """A percentage of `studies` that may exceed its bound by two Monte Carlo errors."""
    return Check(target, cell, value, bound, 2 * monte_carlo_error(bound, studies))


def at_least(target: str, cell: str, value: float, bound: float, studies: int) -> Check:
    """A percentage of `studies` that may fall below its bound by two Monte Carlo errors."""
    return Check(target, cell, value, bound, 2 * monte_carlo_error(bound, studies), at_least=True)


def print_verdicts(checks: Sequence[Check]) -> None:
    """Print the worst figure of each target, and every cell that misses its bound."""
    print(f"\n## Targets\n\n{'':58}{'bound':>9} {'cells':>6} {'missed':>7}   worst cell")
    for target in dict.fromkeys(check.target for check in checks):
        cells = [check for check in checks if check.target == target]
        worst = max(cells, key=lambda check: check.excess)
        sign = "≥" if worst.at_least else "≤"
        missed = sum(check.is_missed for check in cells)
        print(
            f"{target:58}{sign + f' {worst.bound:.4g}':>9} {len(cells):6} {missed:7}   {worst.value:.2f}: {worst.cell}"
        )
    missed_checks = [check for check in checks if check.is_missed]
    print(f"\n{len(missed_checks)} of {len(checks)} figures miss their bound by more than two Monte Carlo errors")
    for check in missed_checks:
        print(f"  {check.target}, {check.cell}: {check.value:.2f}, bound {check.bound:.4g}, slack {check.slack:.2f}")
