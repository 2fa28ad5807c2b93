"""The tables of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.gpu import agreement
from tests.bench.gpu.cases import CNN, DENSE, RESNET
from tests.bench.gpu.engine import EAGER
from tests.bench.gpu.jax_runner import JAX
from tests.bench.gpu.results import Results
from tests.bench.gpu.targets import ALONE, Target

NONE = "-"
PARTS = ("setup", "first_train", "train", "validate", "test", "epoch")


def print_report(results: Results, targets: list[Target]) -> None:
    """Print everything."""
    print("  ".join(f"{key}: {value}" for key, value in results.machine.items()))
    for case in DENSE:
        print_epochs(results, case.name)
        print_steps(results, case.name)
    for case_name in (CNN, RESNET):
        print_per_member(results, case_name)
    print_agreement(results)
    for row in results.rows:
        if row["what"] == "setup":
            print(f"\nset-up of {row['members']:,} members: {row['seconds']:.2f} s")
    print_targets(targets)
    for name, text in results.profiles.items():
        print(f"\nprofile: {name}\n{text}")
    for title, names in (("left out", results.left_out), ("failed", results.failed)):
        if names:
            print(f"\n{title}:", *names, sep="\n  ")
    print("\nseconds:", ", ".join(f"{name} {seconds:.0f}" for name, seconds in results.seconds.items()))


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column is text, the others are numbers."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        numbers = (f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        print(f"  {line[0]:<{widths[0]}}  " + "  ".join(numbers))


def measured_members(results: Results, case: str, what: Sequence[str] = ("epoch", "step")) -> list[int]:
    """The numbers of members with which a case was measured."""
    return sorted({row["members"] for row in results.rows if row["case"] == case and row["what"] in what})


def shown(value: float | None, scale: float = 1.0, digits: int = 2) -> str:
    """A figure; a dash where it was not measured."""
    return NONE if value is None else f"{value * scale:,.{digits}f}"


def print_epochs(results: Results, case: str) -> None:
    """Seconds of an epoch and of its parts."""
    sizes = measured_members(results, case, ("epoch",))
    rows = []
    for how in results.hows("epoch", case):
        for part in PARTS:
            values = [results.get("epoch", case, how, members, part) for members in sizes]
            rows.append([f"{how}, {part.replace('_', ' ')}", *(shown(value, digits=3) for value in values)])
    if rows:
        title = f"{case}: seconds. epoch = train + validate + test; first train = the epoch that warms up"
        table(title, ["", *(f"P = {members:,}" for members in sizes)], rows)
    print_fallbacks(results, case)


def print_fallbacks(results: Results, case: str) -> None:
    """Say where steps that were to be graphs ran one kernel after the other."""
    for row in results.rows:
        fell_back = row["what"] == "epoch" and row["steps_as"].startswith(EAGER) and not row["how"].endswith(EAGER)
        if row["case"] == case and fell_back:
            print(f"  {row['how']}, P = {row['members']:,}: steps ran as {row['steps_as']}")


def print_steps(results: Results, case: str) -> None:
    """Microseconds of a training step of all members."""
    sizes = measured_members(results, case)
    rows = [
        [f"engine, {how}, training part", *step_cells(results, "epoch", case, how, sizes)]
        for how in results.hows("epoch", case)
    ]
    for how in results.hows("step", case):
        if how.startswith(ALONE):
            # one after the other: P of them take P times as long
            one = results.get("step", case, how, 1, "step")
            cells = [shown(one and one * members, 1e6, 0) for members in sizes]
        else:
            cells = step_cells(results, "step", case, how, sizes)
        rows.append([how if how.startswith((ALONE, JAX)) else f"engine, {how}, step alone", *cells])
    if rows:
        table(f"{case}: microseconds a step", ["", *(f"P = {members:,}" for members in sizes)], rows)


def step_cells(results: Results, what: str, case: str, how: str, sizes: Sequence[int]) -> list[str]:
    """The microseconds of a step at each number of members."""
    return [shown(results.get(what, case, how, members, "step"), 1e6, 0) for members in sizes]


def print_per_member(results: Results, case: str) -> None:
    """Microseconds of a training step and member."""
    sizes = measured_members(results, case)
    rows = []
    for what, suffix in (("epoch", ", training part"), ("step", "")):
        for how in results.hows(what, case):
            values = [(results.get(what, case, how, 1 if how.startswith(ALONE) else m, "step"), m) for m in sizes]
            each = [value if how.startswith(ALONE) else value and value / m for value, m in values]
            rows.append([f"{how}{suffix}", *(shown(value, 1e6, 0) for value in each)])
    if rows:
        table(f"{case}: microseconds a step and member", ["", *(f"P = {members:,}" for members in sizes)], rows)
    print_fallbacks(results, case)


def print_agreement(results: Results) -> None:
    """The largest differences."""
    rows: list[list[str]] = []
    for row in (row for row in results.rows if row["what"] == "agreement"):
        verdict = "agrees" if row["agrees"] else "DIFFERS"
        rows.append([f"{row['case']}: {row['how']}", f"{row['loss']:.1e}", f"{row['accuracy']:.1e}", verdict])
    if rows:
        limits = f"at most {agreement.TOLERANCE:g} in a loss and {agreement.ACCURACY_TOLERANCE:g} in an accuracy"
        table(f"largest difference after two epochs; claimed: {limits}", ["", "loss", "accuracy", ""], rows)


def print_targets(targets: list[Target]) -> None:
    """Each target, what was measured, and whether it is met."""
    rows: list[list[Any]] = []
    for target in targets:
        bound = f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
        rows.append([target.name, bound, shown(target.measured), target.verdict])
    table("targets (H100)", ["", "target", "measured", ""], rows)
