"""Measures how gradients pass through a network while it trains: figures of each layer at some steps of an epoch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np

from dnntrain.nn.gradients import FactoredGradient, densify
from dnntrain.nn.maps import pixel_rows
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.clipping import Clipping, global_norm, norms
from dnntrain.utils.lazy import torch

PROBES = 8
"""Steps of an epoch at which gradients and updates are measured: enough for a mean, at a few percent of the cost."""

NEAR_ASYMPTOTE = 0.05
"""Share of an activation's range within which it counts as saturated: a sigmoid's slope there is below 0.05, a fifth
of its largest (Glorot & Bengio 2010 look at the same region)."""

WEIGHT_FIGURES = ("grad_norm", "grad_max", "update_ratio", "sensitivity", "weight_norm")
"""The figures of each weight, from the lowest layer to the highest."""
OUTPUT_FIGURES = ("act_mean", "act_std", "dead", "saturated")
"""The figures of each activation's output."""
ACTIVATION_FIGURES = (*OUTPUT_FIGURES, "slope")
"""The figures of each activation, from the lowest layer to the highest."""
FIGURES = (*WEIGHT_FIGURES, *ACTIVATION_FIGURES)

Figures = dict[str, list[float]]
"""One run's figures of one step: a number for each weight, and for `slope` one for each activation."""


@dataclass
class RunProbes:
    """What was measured at single steps of one run. Plain numbers, since a checkpoint holds it as JSON."""

    start: Figures = field(default_factory=dict)
    """At the first mini-batch, before the first step; empty if an old checkpoint did not keep it."""
    last: list[dict[str, Any]] = field(default_factory=list)
    """At the last `PROBES` probed steps whose gradients were finite, each with its `epoch` and `step` (from 1)."""
    magnitudes: dict[str, list[float]] = field(default_factory=dict)
    """By kind of clipping, what it compares with its threshold, at the probed steps of all epochs."""
    finite_steps: int = 0
    """Steps until the loss of a mini-batch was no longer finite."""

    def content(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    def add_epoch(self, probe: Probe, m: int, epoch: int, steps: int) -> None:
        """Add what was measured in one epoch.

        Args:
            probe: The epoch's probe.
            m: This run's place in the population.
            epoch: The epoch, from 1.
            steps: Steps that were taken before the epoch.
        """
        for name, values in probe.magnitudes.items():
            self.magnitudes.setdefault(name, []).extend(values[:, m].tolist())
        for n, step in enumerate(sorted(probe.steps)):
            own = {name: values[n, :, m].tolist() for name, values in probe.by_step.items()}
            if steps + step == 0:
                self.start = own
            if np.isfinite(own["grad_norm"]).all():
                self.last.append({"epoch": epoch, "step": steps + step + 1} | own)
        self.last = self.last[-PROBES:]
        is_finite = np.isfinite(probe.step_losses[:, m])
        self.finite_steps += len(is_finite) if is_finite.all() else int(is_finite.argmin())

    def followed_by(self, later: RunProbes) -> RunProbes:
        """These and those of the training that followed."""
        moved = [figures | {"step": figures["step"] + self.finite_steps} for figures in later.last]
        names = self.magnitudes | later.magnitudes
        return RunProbes(
            self.start or later.start,
            [*self.last, *moved][-PROBES:],
            {name: [*self.magnitudes.get(name, ()), *later.magnitudes.get(name, ())] for name in names},
            self.finite_steps + later.finite_steps,
        )


@dataclass
class Probe:
    """Measures the layers of P members at some steps of one epoch. Until it is read, nothing waits for the device.

    It is the `BackwardObserver` of the probed steps, and its `activation` the `Observer` of validation.
    """

    members: int
    device: torch.device
    n_steps: int = 0
    """Steps of the epoch."""
    is_first: bool = False
    """Whether the run starts with this epoch. Then the powers of two are probed as well, since runs that diverge do so
    early; they do not count in the epoch's means."""
    steps: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    """By step of the epoch (from 0), the figures of the weights, each (weights, P)."""
    slopes: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    """By step, the root mean square (P,) of each activation's derivative, by the activation's name."""
    activations: dict[str, list[list[torch.Tensor]]] = field(default_factory=dict)
    """By the activation's name: the figures of OUTPUT_FIGURES, each (P,), of every call of `activation`."""

    def __post_init__(self) -> None:
        self._counted = probed_steps(self.n_steps)
        self._probed = self._counted | (early_steps(self.n_steps) if self.is_first else set())
        self._losses = torch.zeros(self.n_steps, self.members, device=self.device)
        self._magnitudes: list[torch.Tensor] = []  # (kinds of clipping, P)
        self._cosines: list[torch.Tensor] = []

    # ---- a step, in the order of training

    def begin(self, step: int) -> bool:
        """Begin a step of the epoch (from 0), and say whether it is probed."""
        self._step = step
        self._row_norms: dict[str, torch.Tensor] = {}
        self._squares: dict[str, list[torch.Tensor]] = defaultdict(list)
        return step in self._probed

    def add_losses(self, losses: torch.Tensor) -> None:
        """Note the losses (P, real rows) of a mini-batch. Every step has them."""
        self._losses[self._step] += losses.sum(dim=1)

    def slope(self, name: str, slope: torch.Tensor, inputs_per_unit: int) -> None:
        self._squares[name].append(slope.flatten(1).square().mean(dim=1) * inputs_per_unit)

    def net_input_gradient(self, weight: str, grad: torch.Tensor) -> None:
        # of the mean loss, so the sum over the rows of all of the step's mini-batches is a mean over examples
        rows = grad.flatten(2)
        # scaled, since the squares of what some 30 sigmoid layers leave of a gradient are 0 in float32
        largest = rows.abs().amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
        row_norms = torch.linalg.vector_norm(rows / largest, dim=2).sum(dim=1) * largest.flatten()
        self._row_norms[weight] = self._row_norms[weight] + row_norms if weight in self._row_norms else row_norms

    def gradients(
        self,
        kernels: dict[str, torch.Tensor],
        grads: Mapping[str, torch.Tensor | FactoredGradient],
        keep: bool = False,
    ) -> None:
        """Note the weights (P, in, out) before the step, and all gradients before clipping.

        Args:
            kernels: The weights by name.
            grads: The gradients of all parameters.
            keep: Whether they will be clipped, and `clipped` is called then.
        """
        dense = {name: densify(gradient) for name, gradient in grads.items()}
        self._raw = [gradient.clone() for gradient in dense.values()] if keep else []
        self._before = {name: kernel.clone() for name, kernel in kernels.items()}
        self._norms = {name: norms(kernel) for name, kernel in self._before.items()}
        unknown = torch.full((self.members,), math.nan, device=self.device)
        figures = {
            "grad_norm": [norms(dense[name]) for name in kernels],
            "sensitivity": [self._row_norms.get(name, unknown) for name in kernels],
            "weight_norm": [self._norms[name] / math.sqrt(kernel.shape[2]) for name, kernel in kernels.items()],
        }
        self.steps[self._step] = {name: torch.stack(values) for name, values in figures.items()}
        self.slopes[self._step] = {
            name: reduce(torch.add, squares).div(len(squares)).sqrt() for name, squares in self._squares.items()
        }
        if self._step in self._counted:
            everything = [gradient.contiguous() for gradient in dense.values()]
            self._magnitudes.append(torch.stack([kind.magnitude(everything) for kind in techniques_in(Clipping)]))

    def clipped(self, grads: Sequence[torch.Tensor]) -> None:
        """Note the cosine of the angle between the gradients before and after clipping."""
        if self._step in self._counted:
            dot = sum(((a * b).flatten(1).sum(dim=1) for a, b in zip(self._raw, grads, strict=True)), torch.zeros(()))
            self._cosines.append(dot / (global_norm(self._raw) * global_norm(grads)))

    def updates(self, kernels: dict[str, torch.Tensor]) -> None:
        """Note how much the step changed the weights, relative to their norm."""
        ratios = [norms(k - self._before[name]) / self._norms[name].clamp(min=1e-12) for name, k in kernels.items()]
        self.steps[self._step]["update_ratio"] = torch.stack(ratios)

    # ---- validation

    def activation(self, name: str, h: torch.Tensor, asymptotes: tuple[float, ...]) -> None:
        """Note the output h of an activation, as an `Observer` does."""
        # one that is bounded on one side only is 0 on the other
        margin = NEAR_ASYMPTOTE * (max(asymptotes) - min(*asymptotes, 0.0)) if asymptotes else 0.0
        flat = pixel_rows(h).flatten(1)
        near = [((flat - a).abs() < margin).float().mean(dim=1) for a in asymptotes]
        mean = flat.mean(dim=1)
        deviation = (flat - mean.unsqueeze(1)).square_().mean(dim=1).sqrt()
        saturated = torch.stack(near).sum(0) if near else torch.zeros_like(mean)
        self.activations.setdefault(name, []).append([mean, deviation, dead_share(h), saturated])

    # ---- what was measured

    @property
    def observed(self) -> dict[str, torch.Tensor]:
        """By the activation's name, its figures (4, P); without those that only some of the members called."""
        figures = {name: torch.cat(list(map(torch.stack, calls)), 1) for name, calls in self.activations.items()}
        return {name: seen for name, seen in figures.items() if seen.shape[1] == self.members}

    def figures(self) -> dict[str, np.ndarray]:
        """Every figure of FIGURES over the epoch: (weights, P) or (activations, P)."""
        counted = [figures for step, figures in self.steps.items() if step in self._counted]
        means: dict[str, torch.Tensor] = {}
        if counted:  # summed one by one: how a reduction over steps rounds could depend on the number of members
            means = {name: reduce(torch.add, (f[name] for f in counted)) / len(counted) for name in counted[0]}
            # fmax passes over nan
            means["grad_max"] = reduce(torch.fmax, (figures["grad_norm"] for figures in counted))
        seen, names = [*self.observed.values()], [*self.observed]
        if seen:
            means |= zip(OUTPUT_FIGURES, torch.stack(seen, 1), strict=True)
            slopes = [self._slopes(step, names) for step in self.steps if step in self._counted]
            means["slope"] = reduce(torch.add, slopes) / len(slopes) if slopes else torch.full_like(seen[0], math.nan)
        empty = np.zeros((0, self.members))
        return {name: empty for name in FIGURES} | {name: mean.cpu().numpy() for name, mean in means.items()}

    @cached_property
    def by_step(self) -> dict[str, np.ndarray]:
        """The figures at each probed step: (steps, weights, P), and `slope` (steps, activations, P)."""
        steps, names = sorted(self.steps), [*self.observed]
        figures = {name: torch.stack([self.steps[step][name] for step in steps]) for name in self.steps[steps[0]]}
        figures["slope"] = torch.stack([self._slopes(step, names) for step in steps])
        return {name: values.cpu().numpy() for name, values in figures.items()}

    @cached_property
    def step_losses(self) -> np.ndarray:
        """The sum of the losses at each step of the epoch, (steps, P)."""
        losses: np.ndarray = self._losses.cpu().numpy()
        return losses

    def _slopes(self, step: int, names: Sequence[str]) -> torch.Tensor:
        """The slope of each of these activations at a step, (activations, P); nan where a layer does not show it."""
        unknown = torch.full((self.members,), math.nan, device=self.device)
        found = [self.slopes[step].get(name, unknown) for name in names]
        return torch.stack(found) if found else unknown.new_zeros(0, self.members)

    @cached_property
    def magnitudes(self) -> dict[str, np.ndarray]:
        """By kind of clipping, the magnitude of the gradient at each step that counts, (steps, P)."""
        kinds = [kind.name for kind in techniques_in(Clipping)]
        if not self._magnitudes:
            return {}
        return dict(zip(kinds, torch.stack(self._magnitudes, 1).cpu().numpy(), strict=True))

    def clip_cosine(self) -> np.ndarray:
        """The mean cosine (P,) between the gradients before and after clipping, over the steps where there is one."""
        known = reduce(torch.add, (cosine.isfinite().float() for cosine in self._cosines))
        return (reduce(torch.add, map(finite_or_zero, self._cosines)) / known).double().cpu().numpy()


def finite_or_zero(values: torch.Tensor) -> torch.Tensor:
    """The values, with 0 for those that are not finite."""
    return torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def dead_share(h: torch.Tensor) -> torch.Tensor:
    """The share (P,) of the units that are 0 in all rows of an activation's output h (P, rows, …).

    A unit is a channel of maps (rows, channels, height, width). Sequences are (rows, length, units), or behind a
    convolution (rows, channels, length): the larger share is taken, since no place is 0 in all units.
    """
    unit_axes = (2, 3) if h.dim() == 4 else (2,)
    shares = []
    for axis in unit_axes:
        others = [k for k in range(1, h.dim()) if k != axis]
        # on maps, the extremes take a fifth of the time of `(h != 0).any`
        dead = (h.amax(dim=others) == 0) & (h.amin(dim=others) == 0)
        shares.append(dead.float().mean(dim=1))
    return torch.stack(shares).amax(dim=0)


def probed_steps(steps: int) -> set[int]:
    """The steps of an epoch at which gradients are measured, spread evenly."""
    return {int(step) for step in np.linspace(0, steps - 1, min(PROBES, steps)).round()}


def early_steps(steps: int) -> set[int]:
    """The powers of two among the steps of the first epoch: what diverges does so early."""
    return {2**k for k in range(steps.bit_length()) if 2**k < steps}
