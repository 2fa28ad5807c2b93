"""What `--per-class` shows: precision, recall and F1 of each class, and how classes are confused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dnntrain.analysis.per_class import ArmClasses
from dnntrain.analysis.summary import Summary
from dnntrain.statistics import deviation, mean
from dnntrain.utils.text_layout import TextTable

LARGEST_MATRIX = 12
"""With more classes than this, the most frequent confusions are listed instead of a matrix."""

MOST_MATRICES = 3
"""With more arms than this, only the baseline's matrix and that of the arm with the best mean are shown."""

MOST_CONFUSIONS = 10

PARTS_IN_WORDS = {"val": "validation", "test": "test"}


def class_tables(summary: Summary, classes: Sequence[ArmClasses]) -> Iterator[TextTable]:
    """Yields the table of all classes and arms, then how the arms confuse classes; nothing if `classes` is empty."""
    if not classes:
        return
    yield per_class_table(classes)
    for arm in shown_matrices(summary, classes):
        yield confusion_table(arm) if len(arm.classes) <= LARGEST_MATRIX else confusions_table(arm)


def per_class_table(classes: Sequence[ArmClasses]) -> TextTable:
    """A row for each class and arm, with the figures over the arm's runs in percent."""
    rows = []
    for label in dict.fromkeys(label for arm in classes for label in arm.classes):
        name = label
        for arm in (arm for arm in classes if label in arm.classes):
            place = arm.classes.index(label)
            figures = [shares(arm.values(figure, place)) for figure in arm.figures]
            rows.append([name, arm.arm, count(arm.support[place]), *figures])
            name = ""
    part = PARTS_IN_WORDS[classes[0].part]
    headings = ["class", "arm", "examples", "precision %", "recall %", "F1 %"]
    over = "mean ± standard deviation over runs, of precision over those that predict the class"
    title = f"per class, on the {part} part ({over})"
    return TextTable(title, headings, rows, frozenset(headings[2:]), keys=2)


def shown_matrices(summary: Summary, classes: Sequence[ArmClasses]) -> Sequence[ArmClasses]:
    """The arms whose confusions are shown: all, or of many the baseline and the one with the best mean."""
    if len(classes) <= MOST_MATRICES:
        return classes
    sign = 1 if summary.higher_is_better else -1
    means = {arm.name: sign * arm.mean for arm in summary.arms if arm.finished}
    names = {summary.baseline, max(means, key=lambda name: means[name])}
    return [arm for arm in classes if arm.arm in names]


def confusion_table(arm: ArmClasses) -> TextTable:
    """An arm's confusion matrix, the mean over its runs."""
    headings = ["true class", *(f"→ {label}" for label in arm.classes)]
    rows = [[label, *map(count, row)] for label, row in zip(arm.classes, arm.confusion, strict=True)]
    return TextTable(f"{arm.arm}: predictions of each class{over_runs(arm)}", headings, rows, frozenset(headings[1:]))


def confusions_table(arm: ArmClasses) -> TextTable:
    """An arm's most frequent confusions, the mean over its runs."""
    wrong = arm.confusion * (1 - np.eye(len(arm.classes)))
    most = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    cells = [divmod(int(cell), len(arm.classes)) for cell in most if wrong.flat[cell] > 0]
    rows = [
        [
            arm.classes[truth],
            arm.classes[guess],
            count(wrong[truth, guess]),
            f"{100 * wrong[truth, guess] / arm.support[truth]:.1f}",
        ]
        for truth, guess in cells
    ]
    headings = ["true class", "predicted", "examples", "% of the class"]
    title = f"{arm.arm}: most frequent confusions{over_runs(arm)}"
    return TextTable(title, headings, rows, frozenset(headings[2:]), keys=2)


def over_runs(arm: ArmClasses) -> str:
    """What a matrix is the mean of, in words."""
    return f" (mean over {len(arm.matrices)} runs)" if len(arm.matrices) > 1 else ""


def shares(values: list[float]) -> str:
    """Mean ± standard deviation of shares in percent; a dash without values."""
    if not values:
        return "-"
    spread = "" if len(values) == 1 else f" ± {100 * deviation(values):.1f}"
    return f"{100 * mean(values):.1f}{spread}"


def count(number: float) -> str:
    """A mean count, with a decimal unless it is whole."""
    return f"{number:,.0f}" if number == round(number) else f"{number:,.1f}"


def missing_predictions_line(summary: Summary) -> Iterator[str]:
    """The arms whose classes are shown from some of their runs only."""
    lacking = [f"{arm.arm} {arm.missing}" for arm in summary.per_class if arm.missing]
    if lacking:
        yield f"Per class: finished runs without predictions are left out ({', '.join(lacking)})."


def class_rows(summary: Summary) -> Iterator[dict[str, Any]]:
    """A row for each arm and class as plain values, with how often the class is predicted as each."""
    for arm in summary.per_class:
        for place, label in enumerate(arm.classes):
            figures: dict[str, float] = {}
            for figure in arm.figures:
                values = arm.values(figure, place)
                figures |= {figure: mean(values), f"{figure}_sd": deviation(values)}
            predicted = zip(arm.classes, arm.confusion[place].tolist(), strict=True)
            yield {
                "study": summary.results.name,
                "arm": arm.arm,
                "part": arm.part,
                "runs": len(arm.matrices),
                "class": label,
                "examples": float(arm.support[place]),
                **figures,
                **{f"predicted {other}": number for other, number in predicted},
            }


def class_data(summary: Summary) -> list[dict[str, Any]]:
    """Every arm's figures and confusion matrix for JSON."""
    rows = list(class_rows(summary))
    keys = ("class", "examples", "precision", "precision_sd", "recall", "recall_sd", "f1", "f1_sd")
    return [
        {
            "arm": arm.arm,
            "part": arm.part,
            "runs": len(arm.matrices),
            "without_predictions": arm.missing,
            "classes": [{key: row[key] for key in keys} for row in rows if row["arm"] == arm.arm],
            "confusion": arm.confusion.tolist(),
        }
        for arm in summary.per_class
    ]
