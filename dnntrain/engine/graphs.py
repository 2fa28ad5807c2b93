"""Training steps as CUDA graphs, so that a GPU does not wait for the host between its kernels.

A step of a small network is some hundred kernels of a few microseconds each, and starting them one by one takes the
host longer than running them. A graph holds them all, and one call runs it. What changes from step to step is read
through a row number on the device, from the inputs of a whole epoch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch

from dnntrain.engine.population import Population
from dnntrain.engine.step_inputs import StepGroup
from dnntrain.engine.steps import StepResult, train_step
from dnntrain.nn import random
from dnntrain.nn.layer import Sequential
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.utils.trees import map_tensors, tensors

Capture = Callable[[Callable[[], StepResult]], tuple[Callable[[], None], StepResult]]
"""Captures a function without running it; returns what runs it, and the tensors that it then writes."""

WARM_UP = 2
"""Steps of each kind that run one kernel after the other before it is captured: libraries set themselves up in them."""


class StepKind(NamedTuple):
    """Steps that run the same kernels."""

    sizes: tuple[int, ...]
    """Real rows of each mini-batch."""
    averages: bool
    """Whether an average moves after the step."""
    is_probed: bool


class CapturedStep(NamedTuple):
    """A step as a graph."""

    replay: Callable[[], None]
    result: StepResult
    """Where each replay writes its result."""
    counters: torch.Tensor | None
    """Memory that the graph reads, and that nothing else keeps when larger layers come."""


@dataclass
class StepRunner:
    """Runs the training steps of one population, as long as its members stay the same."""

    p: Population
    capture: Capture | None = None
    """Without it, steps run one kernel after the other."""
    fault: str = ""
    """Why a step could not be captured; then all steps run one kernel after the other."""

    def __post_init__(self) -> None:
        self._row = torch.zeros(1, dtype=torch.int64, device=self.p.inputs.device)
        self._sources: dict[tuple[int, ...], StepGroup] = {}  # by sizes, the group of the present epoch …
        self._loaded: dict[tuple[int, ...], StepGroup] = {}  # … and its copy at the addresses that graphs know
        self._captured: dict[StepKind, CapturedStep] = {}
        self._attributes: dict[StepKind, list[Attributes]] = defaultdict(list)  # after each step of the warm-up

    @classmethod
    def of(cls, p: Population) -> Self:
        """The runner for the population's device."""
        return cls(p, CudaCapture() if p.inputs.device.type == "cuda" else None)

    @property
    def mode(self) -> str:
        """How steps run, as in records; empty where they are not to be captured."""
        if self.fault:
            return f"eager ({self.fault})"
        return "CUDA graphs" if self.capture else ""

    def run(self, group: StepGroup, n: int, is_probed: bool) -> StepResult:
        """Train the n-th step of a group; see `train_step`. The next step leaves the result alone."""
        kind = StepKind(group.sizes, group.averages[n], is_probed)
        inputs = group.at(n)
        if self.capture is None or self.fault or inputs.is_first:
            return train_step(self.p, inputs, is_probed)
        if len(self._attributes[kind]) < WARM_UP:
            result = train_step(self.p, inputs, is_probed)
            self._attributes[kind].append(plain_attributes(self.p.network.layers))
            return result
        self._load(group)
        self._row.fill_(n)
        if kind not in self._captured and not self._capture(self.capture, kind, n):
            return train_step(self.p, inputs, is_probed)
        self._captured[kind].replay()
        return map_tensors(torch.clone, self._captured[kind].result)

    def _load(self, group: StepGroup) -> None:
        """Copy a group's inputs to the addresses that the graphs know."""
        sizes = group.sizes
        if self._sources.get(sizes) is group:
            return
        known = self._loaded[sizes].inputs if sizes in self._loaded else map_tensors(torch.clone, group.inputs)
        for ours, new in zip(tensors(known), tensors(group.inputs), strict=True):
            ours.copy_(new)
        self._sources[sizes], self._loaded[sizes] = group, replace(group, inputs=known)

    def _capture(self, capture: Capture, kind: StepKind, n: int) -> bool:
        """Capture a kind of step, of which the loaded group's n-th is one; returns whether that worked."""
        first, *others = self._attributes[kind]
        changed = [name for other in others for name in first if other.get(name) != first[name]]
        if changed:
            self.fault = f"the module changes its {changed[0]} from step to step"
            return False
        group = self._loaded[kind.sizes]
        try:
            replay, result = capture(lambda: train_step(self.p, group.at(n, self._row), kind.is_probed))
        except Exception as error:  # what is wrong with the step itself shows again when it runs eagerly
            cause = error.__context__ or error
            self.fault = str(cause).strip().split("\n")[0] or type(cause).__name__
            return False
        self._captured[kind] = CapturedStep(replay, result, random.shared_counters(self.p.inputs.device))
        return True


class CudaCapture:
    """Captures steps of one population as CUDA graphs, which share their memory, since they run one at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], StepResult]) -> tuple[Callable[[], None], StepResult]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = function()
        return graph.replay, result


Attributes = dict[str, object]
"""Attributes of modules that are numbers or text, by their full names."""


def plain_attributes(layers: Sequential) -> Attributes:
    """Those of users' modules, which a graph could not change: a module that counts its steps, for example."""
    return {
        f"{name}.{key}".lstrip("."): value
        for layer in layers
        if isinstance(layer, ModuleLayer)
        for name, part in layer.module.named_modules()
        for key, value in vars(part).items()
        if isinstance(value, bool | int | float | str)
    }
