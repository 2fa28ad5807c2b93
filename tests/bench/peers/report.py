"""What was measured: as tables for a terminal, as a figure, and as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.peers.contenders import Timing
from tests.bench.peers.peer import CLASSES
from tests.bench.peers.workload import Exported, Workload

OURS = "dnntrain"
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
    def work(self) -> float | None:
        """Floating-point operations in dnntrain's matrix products, the test at the end left out."""
        operations = self.workload.operations(self.exported)
        return None if operations is None else operations * sum(self.rows[0].timing.epochs.values())

    @property
    def share(self) -> float | None:
        """dnntrain's share of what the cores could do."""
        return None if self.work is None else self.work / self.rows[0].timing.seconds / self.matmul_rate


def table(result: Result) -> str:
    """The workload's table, at most 80 columns wide."""
    lines = [heading(result), f"{'':44}{'seconds':>9}{'ratio':>9}{'val acc':>9}{'memory':>9}"]
    for row in result.rows:
        scaled = "≈" if row.timing.brief else "~" if row.timing.epoch_seconds else " "
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
    title = f"{workload.name}: {work} of {network_name(result)}, batch {spec.batch_size},"
    return f"{title}\n{result.exported.images:,} training images of {spec.data}"


def network_name(result: Result) -> str:
    """The layers by their widths, or what the workload calls the network."""
    workload = result.workload
    if workload.network:
        return workload.network
    hidden = str(workload.settings["hidden"]).replace(",", "-")
    return "-".join([str(result.exported.features), *map("conv{}".format, workload.channels), hidden, str(CLASSES)])


def remarks(result: Result) -> list[str]:
    """What is scaled, when the accuracy is taken, and how busy the cores are."""
    workload, trained = result.workload, result.rows[0].timing.trained
    arms = f" of {', '.join(workload.arms)}" if workload.preset else ""
    timed = f"{workload.timed} epoch{'s'[: workload.timed != 1]}{arms} after a warm-up, one seed a process"
    lines = [f"~ timed on {timed}, and scaled;"]
    if any(row.timing.brief for row in result.rows):
        first = f" of {next(iter(workload.arms))}" if workload.preset else ""
        lines.append(f"≈ timed on 1 epoch{first} after a warm-up, which stands for all; val acc: after 2 epochs;")
    lines.append(f"  val acc: after {min(1 + workload.timed, workload.epochs)} epochs")
    if result.share is not None:
        cores = "a core" if workload.alone else "the cores"
        lines[-1] += f"; dnntrain reaches {result.share:.0%} of the matmul rate of {cores}"
    return [*lines, *([f"  dnntrain trains, validates and tests for {number(trained)} s"] if trained else [])]


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


def own_table(own: Mapping[str, Any]) -> str:
    """What dnntrain's bookkeeping adds, and how well populations fill the cores."""
    figures = {
        "health adds": f"{own['health_overhead']:.1%}",
        "health, history, progress and records add": f"{own['overhead']:.1%}",
        f"share of matmul rate, {own['members']} members a core": f"{own['matmul_share']:.0%}",
        f"an epoch of one of those {own['members']}": f"{own['epoch_seconds']:.3f} s",
    }
    return "\n".join(["dnntrain by itself", *(f"{name:56}{value:>10}" for name, value in figures.items())])


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


def kept(result: Result) -> dict[str, Any]:
    """The workload's results in short, for the file of a machine."""
    return {
        "workload": result.workload.name,
        "work": " ".join(heading(result).split()).partition(": ")[2],
        "matmul_share": rounded(result.share),
        "contenders": [
            {
                "name": row.name,
                "seconds": round(row.timing.seconds, 1),
                "ratio": round(row.ratio, 2),
                "val_acc": round(row.timing.val_acc, 3),
                "memory_gb": rounded(row.timing.peak_memory and row.timing.peak_memory / 1e9),
                "timed_in_brief": row.timing.brief,
            }
            for row in result.rows
        ],
        "failures": dict(result.failures),
    }


def rounded(value: float | None) -> float | None:
    """Two decimals."""
    return None if value is None else round(value, 2)
