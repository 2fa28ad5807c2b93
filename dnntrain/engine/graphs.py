"""Training steps as CUDA graphs, so that a GPU does not wait for the host between its kernels.

A step of a small network is some hundred kernels of a few microseconds each, and starting them one by one takes the
host longer than running them. A graph holds them all, and one call runs it. What changes from step to step is read
through a row number on the device, from the inputs of a whole epoch.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import torch

from dnntrain.engine.gradients import BatchResult
from dnntrain.engine.population import Population
from dnntrain.engine.step_inputs import StepGroup, StepInputs
from dnntrain.engine.steps import StepResult, train_step
from dnntrain.nn import random
from dnntrain.nn.layer import Sequential
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.utils.torch_start import complete_torch
from dnntrain.utils.trees import map_tensors, tensors

Capture = Callable[[Callable[[], StepResult]], tuple[Callable[[], None], StepResult]]
"""Captures a function without running it; returns what runs it, and the tensors that it then writes."""

WARM_UP = 2
"""Steps of each kind that run one kernel after the other before it is captured: libraries set themselves up in them."""


CAPTURED, COMPILED = "CUDA graphs", "compiled"
"""How steps can run, as in records."""


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
    """Captures a step as a graph; without it, steps run one kernel after the other."""
    compiles: bool = False
    """Whether `torch.compile` fuses the kernels of a step, which takes it some ten seconds. Probed steps stay as they
    are: there are few of them."""
    faults: dict[str, str] = field(default_factory=dict)
    """Why steps could not be captured, and not be compiled; then they run without."""
    worked: set[str] = field(default_factory=set)
    """What has worked for some steps: CAPTURED, COMPILED."""

    def __post_init__(self) -> None:
        self._row = torch.zeros(1, dtype=torch.int64, device=self.p.inputs.device)
        self._sources: dict[tuple[int, ...], StepGroup] = {}  # by sizes, the group of the present epoch …
        self._loaded: dict[tuple[int, ...], StepGroup] = {}  # … and its copy at the addresses that graphs know
        self._captured: dict[StepKind, CapturedStep] = {}
        self._attributes: dict[StepKind, list[Attributes]] = defaultdict(list)  # after each step of the warm-up
        if self.compiles:
            self._compiled = compiled_step()

    @classmethod
    def of(cls, p: Population, compiles: bool = False) -> Self:
        """The runner for the population's device."""
        return cls(p, CudaCapture() if p.inputs.device.type == "cuda" else None, compiles)

    def with_fewer(self, p: Population) -> StepRunner:
        """The runner of the same population after some members have left it, so that its tensors are others.

        It captures steps anew, but compiles none: where members stop one by one, that would take longer than it saves.
        """
        capture = CudaCapture() if isinstance(self.capture, CudaCapture) else self.capture
        return replace(self, p=p, capture=capture, compiles=False)

    @property
    def mode(self) -> str:
        """How steps have run, as in records; empty where they were neither to be captured nor compiled."""
        if not (self.capture or self.compiles or self.worked):
            return ""
        worked, failed = [], []
        for name in (CAPTURED, COMPILED):
            why = self.faults.get(name)
            if name in self.worked:
                ended = name == COMPILED and not self.compiles
                worked.append(f"{name} in part: {why}" if why else f"{name} until some runs ended" if ended else name)
            elif why:
                failed.append(f"not {name}: {why}")
        return ", ".join([*(worked or ["eager"]), *(failed if worked or failed else ["too few steps"])])

    def run(self, group: StepGroup, n: int, is_probed: bool) -> StepResult:
        """Train the n-th step of a group; see `train_step`. The next step leaves the result alone."""
        if not (self.capture or self.compiles) or group.first_number + n == 1:
            return train_step(self.p, group.at(n), is_probed)
        kind = StepKind(group.sizes, group.averages[n], is_probed)
        self._load(group)
        self._row.fill_(n)
        is_warm = len(self._attributes[kind]) >= WARM_UP
        if is_warm and self._is_captured(kind):
            self._captured[kind].replay()
            return own_result(self._captured[kind].result, group, n)
        result = self._compiled_result(kind) or train_step(self.p, group.at(n), is_probed)
        if not is_warm:
            self._attributes[kind].append(plain_attributes(self.p.network.layers))
        return result

    def _is_compiled(self, kind: StepKind) -> bool:
        return self.compiles and not kind.is_probed and COMPILED not in self.faults

    def _compiled_result(self, kind: StepKind) -> StepResult | None:
        """The result of the loaded step, compiled; None if it is not compiled."""
        if not self._is_compiled(kind):
            return None
        try:
            result = self._compiled(self.p, self._loaded[kind.sizes].at_row(self._row, kind.averages), False)
        except (MemoryError, torch.cuda.OutOfMemoryError):
            raise  # the step may have changed some of the weights
        except Exception as error:
            self.faults[COMPILED] = first_line(error)
            return None
        self.worked.add(COMPILED)
        return result

    def _frozen(self, kind: StepKind) -> str:
        """What changes from step to step, and would not in a graph; empty if nothing does."""
        # asked before a capture is tried: torch seeds its generator with a number, which the host must know
        if any(isinstance(layer, ModuleLayer) and layer.noise.seeded for layer in self.p.network.layers):
            return "the module draws from torch's global generator"
        first, *others = self._attributes[kind]
        changed = [name for other in others for name in first if other.get(name) != first[name]]
        return f"the module changes its {changed[0]} from step to step" if changed else ""

    def _load(self, group: StepGroup) -> None:
        """Copy a group's inputs to the addresses that the graphs know."""
        sizes = group.sizes
        if self._sources.get(sizes) is group:
            return
        known = self._loaded[sizes].inputs if sizes in self._loaded else map_tensors(torch.clone, group.inputs)
        for ours, new in zip(tensors(known), tensors(group.inputs), strict=True):
            ours.copy_(new)
        self._sources[sizes], self._loaded[sizes] = group, replace(group, inputs=known)

    def _is_captured(self, kind: StepKind) -> bool:
        """Whether there is a graph for this kind of step, which is loaded; captures it the first time."""
        if self.capture is None or CAPTURED in self.faults or kind in self._captured:
            return kind in self._captured
        if why := self._frozen(kind):
            self.faults[CAPTURED] = why
            return False
        step = self._compiled if self._is_compiled(kind) else train_step
        group = self._loaded[kind.sizes]
        try:
            replay, result = self.capture(lambda: step(self.p, group.at_row(self._row, kind.averages), kind.is_probed))
        except Exception as error:  # what is wrong with the step itself shows again when it runs eagerly
            self.faults[CAPTURED] = first_line(error.__context__ or error)
            return False
        self.worked.add(CAPTURED)
        self._captured[kind] = CapturedStep(replay, result, random.shared_counters(self.p.inputs.device))
        return True


def own_result(result: StepResult, group: StepGroup, n: int) -> StepResult:
    """Copies of what a graph has made of the n-th step of a group. The targets are the group's, and need none."""
    batches = tuple(
        BatchResult(batch.outputs.clone(), y[n], batch.losses.clone(), batch.real)
        for batch, y in zip(result.batches, group.targets, strict=True)
    )
    return map_tensors(torch.clone, result._replace(batches=()))._replace(batches=batches)


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def compiled_step() -> Callable[[Population, StepInputs, bool], StepResult]:
    """`train_step`, compiled at its first call for each kind of step."""
    complete_torch()
    torch.compiler.reset()  # what was compiled for another population is of no use, and counts toward a limit
    # layers without a backward pass of their own take torch's; older versions of torch do not know the setting
    if hasattr(torch._dynamo.config, "trace_autograd_ops"):
        torch._dynamo.config.trace_autograd_ops = True
    return torch.compile(train_step, fullgraph=True, dynamic=False)


MakeRunner = Callable[[Population], StepRunner]
"""Makes what runs the steps of a population."""


class CudaCapture:
    """Captures steps of one population as CUDA graphs, which share their memory, since they run one at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], StepResult]) -> tuple[Callable[[], None], StepResult]:
        graph = torch.cuda.CUDAGraph()
        # the first context brings the stream back, which torch does not where the end of a capture fails
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"),
            waits_refused(),
        ):
            result = function()
        return graph.replay, result


@contextmanager
def waits_refused() -> Iterator[None]:
    """Raise an error where the host would wait for the device, before it asks CUDA to.

    CUDA would break the capture off, and torch then leaves its allocator and its generator as if one were under way.
    """
    before = torch.cuda.get_sync_debug_mode()
    set_sync_debug_mode("error")
    try:
        yield
    finally:
        set_sync_debug_mode(before)


def set_sync_debug_mode(mode: int | str) -> None:
    """As torch's function, which warns that it is a prototype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.cuda.set_sync_debug_mode(mode)


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
