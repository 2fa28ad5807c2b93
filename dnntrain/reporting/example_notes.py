"""What the footer says of the test set: what intervals hold for, and what another test set would change."""

from __future__ import annotations

from collections.abc import Iterator

from dnntrain.analysis.example_errors import NOT_A_MEAN
from dnntrain.analysis.summary import Summary
from dnntrain.metrics import split_column
from dnntrain.reporting import formatting
from dnntrain.store.provenance import datasets_of


def example_notes(summary: Summary, most: int, seed_varies: str) -> Iterator[str]:
    """What the intervals hold for, and by how much another test set would move the differences.

    Args:
        summary: The study.
        most: With more arms than this, the range over the arms is given.
        seed_varies: What a seed varies, as a sentence that begins with a space; or nothing.
    """
    datasets = datasets_of(summary.results.record)
    if not summary.family or not datasets:
        return
    part, errors = split_column(summary.metric)[0], summary.example_errors
    held_out = "validation part" if part == "val" else "test set"
    size = f" of {datasets[0].test_examples:,} examples" if part == "test" and len(datasets) == 1 else ""
    if summary.options.population:
        yield f"Intervals are over other seeds and over other {held_out}s of this size together.{seed_varies}"
    else:
        yield f"Intervals are over seeds, for this {held_out}{size}.{seed_varies}"
    moves = {name: error.other_test_set for name, error in errors.by_arm.items()}
    if moves:
        shown = {
            name: formatting.two_digits(size, summary.metric) if size > 0 else "0 (no example differs)"
            for name, size in moves.items()
        }
        if len(moves) > most:
            low, high = (choose(moves, key=lambda name: moves[name]) for choose in (min, max))
            text = f"{shown[low]} ({low}) to {shown[high]} ({high})"
        else:
            text = ", ".join(f"{name} {size}" for name, size in shown.items())
        unit = formatting.difference_unit(summary.metric)
        asked = "" if summary.options.population else " --population judges over both."
        yield (
            f"Another {held_out} of this size would move Δ of these runs by about (1 standard error, in {unit}): "
            f"{text}.{asked}"
        )
    if errors.missing and NOT_A_MEAN not in errors.why:
        arms = formatting.listed(errors.missing, most)
        yield f"What another {held_out} would change is not known for {arms}: {errors.why}."
