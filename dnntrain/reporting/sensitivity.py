"""How the sensitivities change from layer to layer, as a table, as text, and as data."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from dnntrain.analysis.sensitivity import LayerFactor
from dnntrain.analysis.summary import Summary
from dnntrain.utils.text_layout import TextTable

FACTOR_PARTS = ("factor", "slope", "weights", "rest", "update")
"""What is shown of a `LayerFactor`."""


def sensitivity_table(summary: Summary) -> TextTable:
    """The factor from a layer to the one below it, and what makes it, at the start and at the end of each arm."""
    rows = []
    for arm, factors in summary.layer_factors.items():
        pairs = [[getattr(when, name) for when in (factors.start, factors.end)] for name in FACTOR_PARTS]
        if not math.isnan(factors.start.factor):
            rows.append([arm, *(" → ".join(map(three_digits, pair)) for pair in pairs)])
    headings = ["arm", "factor a layer", "slope", "weights", "rest", "update of layer 1"]
    title = "sensitivity from layer to layer downwards, first step → end: factor = slope × weights × rest"
    return TextTable(title, headings, rows, frozenset(headings[1:]))


def factor_text(factor: LayerFactor) -> str:
    """Two lines with the factor and its parts, such as 'factor 0.238 a layer' and '= slope 0.236 × weights 1.00'.

    The rest is left out within 5 %. Empty where the factor is not known.
    """
    if math.isnan(factor.factor):
        return ""
    line = f"factor {three_digits(factor.factor)} a layer"
    if math.isnan(factor.slope):
        return line
    rest = f" × {three_digits(factor.rest)}" if abs(factor.rest - 1) > 0.05 else ""
    return f"{line}\n= slope {three_digits(factor.slope)} × weights {three_digits(factor.weights)}{rest}"


def three_digits(value: float) -> str:
    """Three digits of a number; '-' where it is not known."""
    return "-" if math.isnan(value) else f"{value:#.3g}".rstrip(".") if value else "0"


def sensitivity_data(summary: Summary) -> dict[str, Any]:
    """By arm, the names of the layers, and sensitivities and factors at the start and at the end."""
    return {
        arm: {"layers": factors.layers}
        | {when: asdict(own) | {"rest": own.rest} for when, own in (("start", factors.start), ("end", factors.end))}
        for arm, factors in summary.layer_factors.items()
    }
