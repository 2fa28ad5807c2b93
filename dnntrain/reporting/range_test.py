"""Shows a learning-rate range test: text for a terminal, a table, and files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group
from rich.text import Text

from dnntrain.reporting.sparklines import sparkline
from dnntrain.statistics.range_test import RULES, RangeTest, Suggestion
from dnntrain.utils.console import as_text
from dnntrain.utils.files import write_atomic, write_errors
from dnntrain.utils.finite import nan_to_none
from dnntrain.utils.lazy import pandas
from dnntrain.utils.text_layout import TextTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISY = 3.0
"""Suggestions whose highest seed is this many times the lowest get a note."""
WIDTH = 60
"""Characters of a curve on the terminal."""


class RangeTestResult:
    """The result of `lr_find`: the suggested learning rate, and the curves that it comes from."""

    def __init__(self, analysis: RangeTest, title: str) -> None:
        """Wrap the analysis; `title` describes the settings and data."""
        self.analysis, self.title = analysis, title

    @property
    def suggestion(self) -> float:
        """The suggested learning rate, two digits: the geometric mean over the seeds of the first of the `rules`.

        nan if the loss falls with no rate.
        """
        return float(f"{self.analysis.suggestions[next(iter(RULES))].rate:.2g}")

    @property
    def suggestions(self) -> dict[str, Suggestion]:
        """What each rule suggests, with the lowest and the highest rate of any seed."""
        return self.analysis.suggestions

    @property
    def frame(self) -> pandas.DataFrame:
        """A row for each step: its rate, the smoothed loss over the seeds, and each seed's loss as it was."""
        low, mean, high = self.analysis.band
        columns = {"lr": self.analysis.rates, "loss": mean, "lowest": low, "highest": high}
        raw = zip(self.analysis.seeds, self.analysis.losses.T, strict=True)
        return pandas.DataFrame(columns | {f"seed {seed}": losses for seed, losses in raw})

    def save(self, folder: str | Path) -> list[Path]:
        """Write lr-find.csv and lr-find.png to a folder, which is created if it does not exist; returns their paths.

        Raises:
            DnntrainError: If the folder cannot be written to.
        """
        from dnntrain.reporting.figures.style import rendered

        table, picture = Path(folder) / "lr-find.csv", Path(folder) / "lr-find.png"
        with write_errors(Path(folder)):
            Path(folder).mkdir(parents=True, exist_ok=True)
            write_atomic(table, [self.frame.to_csv(index=False)])
            picture.write_bytes(rendered(self.plot(), "png"))
        return [table, picture]

    def to_json(self) -> str:
        """The suggested rates, and each seed's losses by rate; numbers that are not finite are null."""
        test = self.analysis
        losses = {str(seed): values.tolist() for seed, values in zip(test.seeds, test.losses.T, strict=True)}
        rules = {rule: asdict(found) | {"rule": RULES[rule]} for rule, found in test.suggestions.items()}
        content = {"suggestion": self.suggestion, "rules": rules, "lr": test.rates.tolist(), "losses": losses}
        return json.dumps(nan_to_none(content), indent=1) + "\n"

    def __str__(self) -> str:
        return as_text(self.__rich__()).rstrip("\n")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from dnntrain.reporting.exports.html import html_table

        return html_table(replace(rule_table(self.analysis), title=self.title))

    def plot(self) -> Figure:
        """Draw the loss by rate, with the suggested rate. Notebooks show the figure."""
        from dnntrain.reporting.figures.range_test import draw_range_test

        return draw_range_test(self.analysis, self.title)

    def __rich__(self) -> Group:
        """The curve, the suggested rates, and notes on them."""
        return Group(Text(self.title, style="bold"), curve_lines(self.analysis), rule_table(self.analysis),
                     *map(Text, notes(self.analysis)))  # fmt: skip


def curve_lines(test: RangeTest) -> Text:
    """The smoothed loss by rate as bars, with its range over the seeds, above an axis that marks the suggestion."""
    low, mean, high = test.band
    bottom, top = float(np.nanmin(low)), float(np.nanmax(mean[: max(1, int(np.nanargmin(mean)))]))
    rows = {"mean": mean} if len(test.seeds) == 1 else {"highest": high, "mean": mean, "lowest": low}
    lines = [f"{name:>8} {sparkline(values.tolist(), bottom, top, WIDTH)}" for name, values in rows.items()]
    width, rate = min(WIDTH, len(mean)), test.suggestions[next(iter(RULES))].rate
    if np.isfinite(rate):
        place = min(width - 1, int(np.searchsorted(test.rates, rate) * width / len(mean)))
        lines.append(f"{'':>8} {'':>{place}}▲ {rate:.2g}")
    first, last = f"{test.rates[0]:.2g}", f"{test.rates[-1]:.2g}"
    lines.append(f"{'lr':>8} {first:<{max(len(first) + 1, width - len(last))}}{last}")
    return Text("\n".join(lines), no_wrap=True)


def rule_table(test: RangeTest) -> TextTable:
    """A row for each rule: its rate, and the range over the seeds."""
    several = len(test.seeds) > 1
    rows = []
    for rule, text in RULES.items():
        found = test.suggestions[rule]
        rate, ends = "none", "-"
        if np.isfinite(found.rate):
            rate, ends = f"{found.rate:.2g}", f"{found.low:.2g} to {found.high:.2g}"
        rows.append([rate, *([ends] if several else []), text])
    headings = ["lr", *(["seeds"] if several else []), "rule"]
    return TextTable("", headings, rows, frozenset({"lr"}), frozenset({"rule"}))


def notes(test: RangeTest) -> list[str]:
    """How sure the suggestion is, and what would make it surer."""
    found, diverged = test.suggestions[next(iter(RULES))], int(np.isnan(test.curves[-1]).sum())
    lines = []
    if np.isfinite(found.rate):
        lines.append(f"Use --lr {found.rate:.2g}: compared with the best rate of a grid, the first rule lost least.")
    if not np.isfinite(found.rate):
        lines.append("The loss falls at no rate: nothing is suggested.")
    elif len(test.seeds) == 1:
        lines.append("One seed does not show how noisy the suggestion is; --seeds 5 does.")
    else:
        factor = found.high / found.low
        noisy = ": noisy; more seeds or steps help" if factor > NOISY else ""
        lines.append(f"The seeds' suggestions differ by a factor of up to {factor:.2g}{noisy}.")
    if test.falls_to_the_end:
        lines.append(f"The loss still falls at the highest rate, {test.tried.high:g}; --to tries higher ones.")
    if diverged:
        lines.append(f"{diverged} of {len(test.seeds)} seeds diverged before the last step.")
    if len(test.rates) < test.tried.steps:
        ends = f"{test.rates[-1]:.2g} instead of {test.tried.high:g}"
        lines.append(f"The curve ends at {ends}, because all seeds had diverged there.")
    return lines
