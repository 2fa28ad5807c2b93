"""What was measured: as tables for a terminal, as a figure, and as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnntrain.reporting.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, SOFT, VERMILLION, styled
from tests.bench.peers.contenders import Timing
from tests.bench.peers.peer import CLASSES
from tests.bench.peers.workloads import Exported, Workload

OURS = "dnntrain"
COLOURS = {OURS: BLUE, "Keras (TF)": VERMILLION, "Keras (JAX)": ORANGE, "Lightning": PURPLE,
           "PyTorch, DataLoader": GREEN, "PyTorch, tensors": SKY}  # fmt: skip


FEWEST_ROUNDS = 6
"""Below these, the order statistics give no 95 % interval of a median."""
MOST_OTHERS = 0.05
"""The share of the cores' time that others may take before the figures mean nothing."""


@dataclass(frozen=True)
class Row:
    """One contender on one workload: medians over the rounds."""

    name: str
    timing: Timing
    ratio: float
    """To dnntrain, in the same round."""
    intervals: Sequence[tuple[float, float, float]] = ()
    """With enough rounds: the median ratio and its 95 % interval, to dnntrain whole, and to its training alone."""


@dataclass(frozen=True)
class Result:
    """One workload."""

    workload: Workload
    exported: Exported
    rows: list[Row]
    """dnntrain's first."""
    matmul_rate: float
    """float32 operations a second of the cores that it may use."""
    failures: Mapping[str, str]

    @property
    def work(self) -> float:
        """Floating-point operations in dnntrain's matrix products, the test at the end left out."""
        return self.workload.operations(self.exported) * sum(self.rows[0].timing.epochs.values())

    @property
    def share(self) -> float:
        """dnntrain's share of what the cores could do."""
        return self.work / self.rows[0].timing.seconds / self.matmul_rate


def table(result: Result) -> str:
    """The workload's table, at most 80 columns wide."""
    lines = [heading(result), f"{'':44}{'seconds':>9}{'ratio':>9}{'val acc':>9}{'memory':>9}"]
    for row in result.rows:
        scaled = "~" if row.timing.epoch_seconds else " "
        seconds, memory = row.timing.seconds, row.timing.peak_memory
        peak = f"{memory / 1e9:.1f} GB" if memory else "–"
        lines.append(f"{row.name:44}{scaled + number(seconds):>9}{row.ratio:>9.2f}{row.timing.val_acc:>9.1%}{peak:>9}")
    lines += [f"{name} failed: {message}"[:80] for name, message in result.failures.items()]
    return "\n".join([*lines, *remarks(result), *intervals(result)])


def intervals(result: Result) -> list[str]:
    """The ratios with their intervals, where there are enough rounds."""
    rows = [row for row in result.rows if row.intervals and row.name != OURS]
    if not rows:
        return []
    lines = [f"{'ratio, with its 95 % interval':44}{'to the whole':>18}{'to training alone':>18}"]
    for row in rows:
        lines.append(f"{row.name:44}" + "".join(f"{f'{m:.2f} [{a:.2f}, {b:.2f}]':>18}" for m, a, b in row.intervals))
    return lines


def heading(result: Result) -> str:
    """The name, and what the work is."""
    workload, spec = result.workload, result.workload.spec
    arms = f"{workload.study_arms} arms × " if workload.preset else ""
    work = f"{arms}{workload.seeds} {'seed' if workload.seeds == 1 else 'seeds'} × {workload.epochs} epochs"
    hidden = str(workload.settings["hidden"]).replace(",", "-")
    network = "-".join([str(result.exported.features), *map("conv{}".format, workload.channels), hidden, str(CLASSES)])
    title = f"{workload.name}: {work} of {network}, batch {spec.batch_size},"
    return f"{title}\n{result.exported.images:,} training images of {spec.data}"


def remarks(result: Result) -> list[str]:
    """What is scaled, when the accuracy is taken, and how busy the cores are."""
    workload, trained = result.workload, result.rows[0].timing.trained
    arms = f" of {', '.join(workload.arms)}" if workload.preset else ""
    timed = f"{workload.timed} epoch{'s'[: workload.timed != 1]}{arms} after a warm-up, one seed a process"
    return [
        f"~ timed on {timed}, and scaled;",
        f"  val acc: after {1 + workload.timed} epochs; "
        f"dnntrain reaches {result.share:.0%} of the matmul rate of {'a core' if workload.alone else 'the cores'}",
        *([f"  dnntrain trains, validates and tests for {number(trained)} s"] if trained else []),
    ]


def disturbance(results: Sequence[Result]) -> list[str]:
    """A warning where the machine was not this benchmark's alone."""
    rows = [(row.timing.others or 0.0, row.name, result) for result in results for row in result.rows]
    disturbed = [row for row in rows if row[0] >= MOST_OTHERS]
    if not disturbed:
        return []
    worst, name, result = max(disturbed, key=lambda row: row[0])
    return [
        f"NOT TO BE QUOTED: other processes took up to {worst:.0%} of the cores' time",
        f"({result.workload.name}: {name}). Peers with several threads suffer most by it.",
    ]


def number(seconds: float) -> str:
    """1,234 or 12.3."""
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.1f}"


def times(ratio: float) -> str:
    """27 × or 2.7 ×."""
    return f"{ratio:.0f} ×" if ratio >= 10 else f"{ratio:.2g} ×"


def own_table(own: Mapping[str, Any]) -> str:
    """What dnntrain takes by itself."""
    figures = {
        "health adds": f"{own['health_overhead']:.1%}",
        "health, history, progress and records add": f"{own['overhead']:.1%}",
        "train on the embedded data, 10 epochs, start to end": f"{own['train_seconds']:.1f} s",
        f"share of matmul rate, {own['members']} members a core": f"{own['matmul_share']:.0%}",
        f"an epoch of one of those {own['members']}": f"{own['epoch_seconds']:.3f} s",
    }
    return "\n".join(["dnntrain by itself", *(f"{name:56}{value:>10}" for name, value in figures.items())])


@styled
def save_figure(results: Sequence[Result], target: Path) -> None:
    """A panel for each workload: how many times as long as dnntrain each contender takes, on a logarithmic axis."""
    import matplotlib.pyplot as plt

    heights = [len(result.rows) for result in results]
    figure, panels = plt.subplots(
        len(results), figsize=(7.5, 0.9 * len(results) + 0.22 * sum(heights)), height_ratios=heights, sharex=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, result in zip(panels.flat, results, strict=True):
        names = [row.name for row in result.rows]
        labels = [f"{times(row.ratio)}   ({number(row.timing.seconds)} s)" for row in result.rows]
        bars = axes.barh(names, [row.ratio for row in result.rows], color=[colour(name) for name in names], height=0.72)
        axes.bar_label(bars, labels, padding=3)
        axes.set(xscale="log", title=heading(result).splitlines()[0].rstrip(","))
        axes.invert_yaxis()
    panels.flat[-1].set_xlabel("times as long as dnntrain", color=SOFT)
    panels.flat[-1].xaxis.set_major_formatter("{x:g} ×")
    ratios = [row.ratio for result in results for row in result.rows]
    panels.flat[-1].set_xlim(min(ratios) / 2, max(ratios) * 5)  # with room for the labels
    figure.savefig(target, dpi=100)


def colour(name: str) -> str:
    """One colour for each framework."""
    return next(colour for start, colour in COLOURS.items() if name.startswith(start))


def as_json(result: Result) -> dict[str, Any]:
    """The workload's results."""
    return {
        "workload": result.workload.name,
        "settings": result.workload.settings,
        "seeds": result.workload.seeds,
        "training_images": result.exported.images,
        "peers_timed": {"epochs": result.workload.timed, "after": 1, "arms": result.workload.arms},
        "val_acc_after_epochs": 1 + result.workload.timed,
        "operations": result.work,
        "matmul_share": result.share,
        "rows": [{"name": row.name, "ratio": row.ratio, **vars(row.timing)} for row in result.rows],
        "failures": dict(result.failures),
    }
