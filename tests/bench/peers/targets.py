"""What the benchmark holds dnntrain to on two cores, and whether a run of it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SLOW = 250e9
"""float32 operations a second of all cores in matmuls; a processor below it has the longer times."""
LOOPS = ("PyTorch, tensors, a process a core",)
BY_STEPS = ("Keras (JAX), a process a core, by 32 steps",)
JAX = ("Keras (JAX), a process a core", *BY_STEPS)


@dataclass(frozen=True)
class Ratio:
    """How many times as long the fastest of some peers takes for a workload."""

    workload: str
    peers: tuple[str, ...]
    at_least: float

    @property
    def title(self) -> str:
        """The row's name in the table."""
        return f"{self.workload}: {self.peers[0]}{' (or by 32 steps)' if len(self.peers) > 1 else ''}"

    def judge(self, measured: Measured) -> Judgment:
        """The ratio in this run; without a verdict where only parts of the work were done."""
        ratios = measured.ratios.get(self.workload, {})
        found = min((ratios[peer] for peer in self.peers if peer in ratios), default=None)
        holds = None if found is None or measured.in_parts else found >= self.at_least
        return Judgment(self.title, found, f"≥ {self.at_least:.1f} ×", holds)


@dataclass(frozen=True)
class Seconds:
    """How long a command takes, from its start to its end."""

    command: str
    title: str
    at_most: float
    at_most_slow: float
    """On a processor of the slower kind."""

    def judge(self, measured: Measured) -> Judgment:
        """The seconds in this run."""
        limit = self.at_most_slow if measured.rate < SLOW else self.at_most
        found = measured.seconds.get(self.command)
        return Judgment(self.title, found, f"≤ {limit:.1f} s", None if found is None else found <= limit)


TARGETS: tuple[Ratio | Seconds, ...] = (
    Ratio("lecture", BY_STEPS, 2.0),
    Ratio("300-100", BY_STEPS, 1.2),
    Ratio("20x100 on CIFAR-10", BY_STEPS, 1.2),
    Ratio("100 layers SELU", BY_STEPS, 1.2),
    Ratio("small CNN", LOOPS, 1.1),
    Ratio("small CNN", JAX, 1.3),
    Ratio("own module", LOOPS, 1.0),
    Seconds("train", "train on the embedded data, ten epochs", 3.0, 5.0),
    Seconds("study of nothing", "a study of nothing: 2 arms, 2 seeds, 100 images", 2.2, 3.5),
    Seconds("help", "dnntrain --help", 0.4, 0.4),
    Seconds("report", "report of the study of nothing", 0.9, 0.9),
)


@dataclass(frozen=True)
class Measured:
    """What a run of the benchmark found."""

    ratios: Mapping[str, Mapping[str, float]]
    """By workload and peer."""
    seconds: Mapping[str, float]
    """By command."""
    rate: float
    """float32 operations a second of all cores."""
    in_parts: bool = False
    """Whether only parts of the workloads were done, whose ratios say little about the whole."""


@dataclass(frozen=True)
class Judgment:
    """A target, and what was found."""

    title: str
    found: float | None
    """None if it was not measured."""
    target: str
    holds: bool | None


def judge_all(measured: Measured) -> list[Judgment]:
    """All targets, in the table's order."""
    return [target.judge(measured) for target in TARGETS]


def targets_table(judgments: Sequence[Judgment], in_parts: bool) -> str:
    """One line for each target, at most 80 columns wide."""
    lines = [f"{'targets':52}{'found':>9}{'target':>9}"]
    for judgment in judgments:
        found = "–" if judgment.found is None else f"{judgment.found:.2f} {judgment.target[-1]}"
        verdict = {True: "holds", False: "misses", None: ""}[judgment.holds]
        lines.append(f"{shortened(judgment.title):52}{found:>9}{judgment.target:>9}   {verdict}".rstrip())
    return "\n".join([*lines, *(["Ratios on parts of the work are not judged."] if in_parts else [])])


def shortened(title: str) -> str:
    """A title that leaves room for the figures."""
    return title.replace("a process a core", "per core").replace(" on CIFAR-10", "").replace(" SELU", "")


def plain(judgments: Iterable[Judgment]) -> list[dict[str, object]]:
    """For JSON."""
    return [
        {
            "target": judgment.title,
            "found": None if judgment.found is None else round(judgment.found, 2),
            "wanted": judgment.target,
            "holds": judgment.holds,
        }
        for judgment in judgments
    ]
