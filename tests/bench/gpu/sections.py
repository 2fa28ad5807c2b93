"""The sections of the benchmark. Each measures what matters most first, and adds to the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from dnntrain.data import Dataset
from tests.bench.gpu import agreement, engine
from tests.bench.gpu.cases import (
    CNN,
    CNN_BATCH,
    CNN_SETTINGS,
    DEEP,
    DENSE,
    RESNET,
    RESNET_BATCH,
    RESNETS,
    SMALL,
    DenseCase,
    Extent,
)
from tests.bench.gpu.jax_runner import time_jax
from tests.bench.gpu.modules import Dense, ResNet9, SmallCNN
from tests.bench.gpu.plain import Images, run_by_run, time_plain, vmapped
from tests.bench.gpu.profiling import profile
from tests.bench.gpu.results import Clock, Results
from tests.bench.gpu.targets import ALONE, missed
from tests.bench.gpu.timing import free

CLASSES = 10
VMAP = "torch.func.vmap"


@dataclass
class Bench:
    """What all sections share."""

    results: Results
    clock: Clock
    dataset: Dataset
    images: Images
    device: torch.device
    extent: Extent

    def agreement(self) -> None:
        """Compare figures with the CPU's, and those of the ways to train with each other."""
        for name, settings in agreement.CASES.items():

            def compare(name: str = name, settings: dict[str, Any] = settings) -> None:
                for row in agreement.compare(settings, self.dataset, self.device, self.extent):
                    self.results.add("agreement", name, row.pop("pair"), agreement.MEMBERS, **row)

            self.clock.measure(f"agreement: {name}", compare)

    def setup(self) -> None:
        """Time the set-up of the largest population."""
        members = self.extent.members[-1]
        seconds = engine.time_setup(SMALL.settings, members, self.dataset, self.device, self.extent)
        self.results.add("setup", SMALL.name, "engine", members, seconds=seconds)

    def dense(self) -> None:
        """Whole epochs and steps of the dense networks."""
        for case, members in self.dense_cases():
            for how in engine.ways(self.device):
                self.engine(case.name, case.settings, how, members)

    def dense_cases(self) -> Iterator[tuple[DenseCase, int]]:
        """The small network in all sizes, the deep one at P = 64 for its target, then the others by size."""
        sizes = self.extent.members
        first = [(SMALL, members) for members in sizes] + [(DEEP, members) for members in sizes if members in (1, 64)]
        yield from first
        yield from ((case, members) for members in sizes for case in DENSE if (case, members) not in first)

    def engine(self, case: str, settings: dict[str, Any], how: str, members: int, label: str | None = None) -> None:
        """Whole epochs of the engine, and its steps alone."""
        label, arguments = label or how, (settings, members, how, self.dataset, self.device, self.extent)

        def epochs() -> None:
            self.results.add("epoch", case, label, members, **engine.time_epochs(*arguments))

        def steps() -> None:
            self.results.add("step", case, label, members, step=engine.time_steps(*arguments))

        self.clock.measure(f"{case}: epochs, {label}, P = {members}", epochs, ("epochs", case, label))
        self.clock.measure(f"{case}: steps, {label}, P = {members}", steps, ("steps", case, label))

    def plain_dense(self) -> None:
        """The dense networks in plain PyTorch, one alone: P of them take P times as long."""
        for case in DENSE:
            model = partial(Dense, 28 * 28, case.widths, CLASSES, case.batch_norm, case.dropout)
            self.alone(case.name, model, case.batch_size, case.clipnorm)

    def alone(self, case: str, model: Callable[[], nn.Module], batch_size: int, clipnorm: float | None = None) -> None:
        """One network in plain PyTorch, eager and as a graph."""
        order = self.images.order(batch_size)
        self.plain(case, ALONE, 1, lambda index: run_by_run(model(), self.images, index, clipnorm), order)

    def plain(
        self, case: str, how: str, members: int, make: Callable[[torch.Tensor], Callable[[], None]], order: torch.Tensor
    ) -> None:
        """A step of plain PyTorch, eager and, on a GPU, as a graph."""
        for graph in (False, True) if self.device.type == "cuda" else (False,):
            name = f"{how}, {'graph' if graph else 'eager'}"

            def measure(graph: bool = graph, name: str = name) -> None:
                seconds = time_plain(make, order, graph, self.extent.steps, self.extent.repeats)
                free(self.device)
                self.results.add("step", case, name, members, step=seconds)

            self.clock.measure(f"{case}: {name}, P = {members}", measure, (case, name))

    def small_cnn(self) -> None:
        """The small CNN: the engine, one by one, and vmap."""
        self.alone(CNN, partial(SmallCNN, CLASSES), CNN_BATCH)
        for members in self.extent.cnn_members:
            for how in engine.ways(self.device):
                self.engine(CNN, CNN_SETTINGS, how, members)
            order, models = self.images.order(CNN_BATCH, members), [SmallCNN(CLASSES) for _ in range(members)]
            self.plain(CNN, VMAP, members, partial(vmapped, models, self.images), order)

    def resnet(self) -> None:
        """The ResNet-9: the engine's nearest network, a user's module in the engine, and the module alone."""
        self.alone(RESNET, partial(ResNet9, CLASSES), RESNET_BATCH)
        short = replace(self, extent=replace(self.extent, epochs=2, steps=20))
        for members in self.extent.resnet_members:
            for name, settings in RESNETS.items():
                for how in engine.ways(self.device):
                    short.engine(RESNET, settings, how, members, f"{name}, {how}")

    def jax(self) -> None:
        """JAX, as far as it is installed and the time lasts."""
        backend = "gpu" if self.device.type == "cuda" else "cpu"
        time_jax(self.results, self.extent, jax_order(self.extent), backend, self.clock.left())

    def compiled(self) -> None:
        """Steps and epochs that `torch.compile` has fused, in the sizes of the targets: each compiles for long."""
        for members in self.extent.jax_members if self.device.type == "cuda" else ():
            self.engine(SMALL.name, SMALL.settings, engine.COMPILED, members)

    def profiles(self) -> None:
        """Profile what missed its target."""
        for case, members in missed(self.results):
            settings = CNN_SETTINGS if case == CNN else next(dense.settings for dense in DENSE if dense.name == case)

            def measure(case: str = case, members: int = members, settings: dict[str, Any] = settings) -> None:
                how = next(iter(engine.ways(self.device)))
                text = profile(settings, members, how, self.dataset, self.device, self.extent)
                self.results.profiles[f"{case}, {how}, P = {members}"] = text

            self.clock.measure(f"profile: {case}, P = {members}", measure)


def jax_order(extent: Extent) -> Sequence[tuple[DenseCase | None, int]]:
    """What JAX is to train, the targets' cases first; None stands for the small CNN."""
    small = [(SMALL, members) for members in extent.jax_members]
    convolutional = [(None, members) for members in extent.jax_cnn_members]
    return [*small, *convolutional, *((case, members) for case in DENSE[1:] for members in extent.jax_members)]
