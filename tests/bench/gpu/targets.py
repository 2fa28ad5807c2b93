"""The targets, and whether the measurements meet them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tests.bench.gpu.cases import CNN, DEEP, SMALL
from tests.bench.gpu.engine import COMPILED, EAGER, GRAPH
from tests.bench.gpu.jax_runner import JAX
from tests.bench.gpu.results import Results

ALONE = "PyTorch, one by one"
RUN_BY_RUN = f"{ALONE}, eager"


@dataclass(frozen=True)
class Target:
    """A bound on a ratio, or on seconds."""

    name: str
    case: str
    members: int
    """Of the population that is too slow where the target is missed."""
    at_most: bool
    bound: float
    measured: float | None
    """None if something that it needs was not measured."""
    missing: str = ""
    """What was not measured."""

    @property
    def verdict(self) -> str:
        """Whether it is met."""
        if self.measured is None:
            return f"not measured ({self.missing})"
        return "met" if (self.measured <= self.bound if self.at_most else self.measured >= self.bound) else "MISSED"


Part = tuple[str, float | None]
"""What is measured, and its seconds."""


def judge(results: Results) -> list[Target]:
    """All targets. A step of the engine is one alone where that was timed, and else the training part of an epoch."""
    how = GRAPH if GRAPH in results.hows("epoch", SMALL.name) else EAGER
    return [
        *whole_epochs(results, how, {64: 1.6}),
        *against_jax(results, SMALL.name, how, {1: 3.5, 64: 3.0, 1024: 2.0}),
        *against_jax(results, SMALL.name, COMPILED, {1: 2.2, 64: 2.2, 1024: 1.8}),
        *run_by_run(results, SMALL.name, how, {64: 100, 256: 250}),
        *against_jax(results, CNN, how, {32: 1.2, 128: 1.2}),
        *run_by_run(results, CNN, how, {32: 8, 128: 8}),
        *graph_gain(results, {64: 4.0}),
        *setup(results, {1024: 0.3}),
    ]


def missed(results: Results) -> list[tuple[str, int]]:
    """The cases and numbers of members that miss a target."""
    return list(dict.fromkeys((t.case, t.members) for t in judge(results) if t.verdict == "MISSED"))


def record(results: Results, targets: list[Target]) -> None:
    """Put the targets among the results."""
    results.targets = [asdict(target) | {"verdict": target.verdict} for target in targets]
    results.write()


def ratio(name: str, case: str, members: int, at_most: bool, bound: float, above: Part, below: Part) -> Target:
    """A target for the ratio of two times."""
    if above[1] is None or below[1] is None:
        missing = " and ".join(f"no {part}" for part, value in (above, below) if value is None)
        return Target(name, case, members, at_most, bound, None, missing)
    return Target(name, case, members, at_most, bound, above[1] / below[1])


def step_of(results: Results, case: str, how: str, members: int) -> float | None:
    """Seconds of a step of the engine."""
    alone = results.get("step", case, how, members, "step")
    return alone if alone is not None else results.get("epoch", case, how, members, "step")


def whole_epochs(results: Results, how: str, bounds: dict[int, float]) -> list[Target]:
    """Epochs of P members against those of one."""
    case, one = SMALL.name, results.get("epoch", SMALL.name, how, 1, "epoch")
    return [
        ratio(
            f"{case}: whole epochs ({how}), P = {members} / P = 1",
            *(case, members, True, bound),
            (f"P = {members}", results.get("epoch", case, how, members, "epoch")),
            ("P = 1", one),
        )
        for members, bound in bounds.items()
    ]


def against_jax(results: Results, case: str, how: str, bounds: dict[int, float]) -> list[Target]:
    """Steps against those of JAX."""
    return [
        ratio(
            f"{case}: step ({how}), P = {members:,}, engine / JAX",
            *(case, members, True, bound),
            (f"{how} step", step_of(results, case, how, members)),
            ("JAX", results.get("step", case, JAX, members, "step")),
        )
        for members, bound in bounds.items()
    ]


def run_by_run(results: Results, case: str, how: str, bounds: dict[int, float]) -> list[Target]:
    """Steps of P networks one after the other in eager PyTorch, against those of the engine."""
    alone = results.get("step", case, RUN_BY_RUN, 1, "step")
    return [
        ratio(
            f"{case}: step, P = {members}, PyTorch run by run / engine ({how})",
            *(case, members, False, bound),
            ("PyTorch", alone and members * alone),
            (f"{how} step", step_of(results, case, how, members)),
        )
        for members, bound in bounds.items()
    ]


def graph_gain(results: Results, bounds: dict[int, float]) -> list[Target]:
    """The training part of the deep network's epochs, eager against graphs."""
    case = DEEP.name
    return [
        ratio(
            f"{case}: training, P = {members}, eager / graph",
            *(case, members, False, bound),
            *((how, results.get("epoch", case, how, members, "train")) for how in (EAGER, GRAPH)),
        )
        for members, bound in bounds.items()
    ]


def setup(results: Results, bounds: dict[int, float]) -> list[Target]:
    """The set-up of many members."""
    return [
        Target(
            f"{SMALL.name}: set-up of {members:,} members, seconds",
            *(SMALL.name, members, True, bound),
            results.get("setup", SMALL.name, "engine", members, "seconds"),
            f"no P = {members:,}",
        )
        for members, bound in bounds.items()
    ]
