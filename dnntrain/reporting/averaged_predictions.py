"""How good averaged predictions are, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from dnntrain.analysis.averaged_predictions import WEIGHT_SCALING, PredictionScore
from dnntrain.metrics import split_column
from dnntrain.reporting import formatting
from dnntrain.statistics import LEVEL
from dnntrain.utils.finite import nan_to_none
from dnntrain.utils.text_layout import TextTable


def scores_table(title: str, scores: Sequence[PredictionScore]) -> TextTable:
    """A row for each arm and way of averaging; for each metric on the test part the mean, and Δ from weight scaling."""
    tested = [score for score in scores if split_column(score.metric)[0] == "test"]
    metrics = list(dict.fromkeys(score.metric for score in tested))
    level = formatting.percent(LEVEL)
    headings = ["arm", "prediction", "n"]
    headings += [text for m in metrics for text in (formatting.heading(m), f"Δ {m} [{level}]")]
    rows: dict[tuple[str, str], list[str]] = {}
    for score in tested:
        row = rows.setdefault((score.arm, score.prediction), [score.arm, score.prediction, str(score.n)])
        alone = next(
            each
            for each in tested
            if (each.arm, each.prediction, each.metric) == (score.arm, WEIGHT_SCALING, score.metric)
        )
        mean = formatting.number(score.mean, score.metric, alone.deviation)
        deviation = formatting.number(score.deviation, score.metric, alone.deviation)
        row.append(mean if score.n == 1 else f"{mean} ± {deviation}")
        row.append(formatting.difference(score.difference, score.metric) if score.difference else "")
    return TextTable(title, headings, [*rows.values()], frozenset(headings) - {"arm", "prediction"}, keys=2)


def scores_notes(scores: Sequence[PredictionScore]) -> Iterator[str]:
    """What the intervals of the table are; nothing without scores."""
    if not scores:
        return
    yield (
        "Monte Carlo: Δ from weight scaling (dropout off), with a paired interval over seeds, not corrected for the "
        "number of arms; runs that diverged are left out."
    )
    if any(score.prediction.startswith("ensemble") for score in scores):
        yield (
            "Ensemble: Δ from the mean of its networks by weight scaling. There is one ensemble, so its interval is "
            "from the ensembles that leave out one seed each (jackknife)."
        )


def scores_to_json(studies: Mapping[str, Sequence[PredictionScore]], samples: int) -> str:
    """The scores on both held-out parts in full precision.

    Args:
        studies: The scores by study; those of runs that were named themselves under 'runs'.
        samples: Passes with dropout on.
    """
    content = [{"study": study, "scores": [asdict(each) for each in scores]} for study, scores in studies.items()]
    return json.dumps(nan_to_none({"samples": samples, "studies": content}), indent=1) + "\n"
