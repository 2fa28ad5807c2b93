"""Loss beside accuracy: the second metric that a study is judged by, and the arms whose verdicts differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dnntrain.metrics import HELD_OUT, split_column
from dnntrain.statistics.verdicts import BETTER, EQUIVALENT, INCONCLUSIVE, WORSE

COUNTERPARTS = {"acc": "loss", "loss": "acc"}
"""Techniques often change one of them and not the other: the loss says how good the probabilities are as well."""


def secondary_metric(metric: str, columns: Collection[str]) -> str:
    """The accuracy of a held-out part for its loss, and the reverse; empty for other metrics, or if it is missing.

    Args:
        metric: What the study is judged by, such as test_acc.
        columns: The metrics that its runs record.
    """
    part, name = split_column(metric)
    other = f"{part}_{COUNTERPARTS.get(name, '')}"
    return other if part in HELD_OUT and other in columns else ""


def disagreements(ours: Mapping[str, str], others: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """The arms that are better or worse by one metric, and something else by the other.

    Args:
        ours: Each arm's verdict in words, by the study's metric.
        others: The same by the other metric.

    Returns:
        The names of such arms, by their verdicts in one word.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for arm, words in ours.items():
        pair = one_word(words), one_word(others.get(arm, ""))
        if all(pair) and pair[0] != pair[1] and {BETTER, WORSE} & {*pair}:
            found.setdefault(pair, []).append(arm)
    return found


def one_word(verdict: str) -> str:
    """'better', 'worse', 'equivalent' or 'inconclusive'; empty where there is no verdict."""
    return next((word for word in (BETTER, WORSE, EQUIVALENT, INCONCLUSIVE) if word in verdict), "")
