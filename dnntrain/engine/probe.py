"""How gradients pass through a network while it trains: figures of each layer at some steps of an epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np

from dnntrain.engine.step_probe import StepFigures
from dnntrain.nn.maps import pixel_rows
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.clipping import Clipping
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
    """What is measured of the layers of P members in one epoch. Until it is read, nothing waits for the device.

    Its `activation` is the `Observer` of validation.
    """

    members: int
    device: torch.device
    n_steps: int = 0
    """Steps of the epoch."""
    is_first: bool = False
    """Whether the run starts with this epoch. Then the powers of two are probed as well, since runs that diverge do so
    early; they do not count in the epoch's means."""
    steps: dict[int, StepFigures] = field(default_factory=dict)
    """By step of the epoch (from 0), what was measured there."""
    losses: list[torch.Tensor] = field(default_factory=list)
    """The sum of the losses at each step of the epoch so far, (P,)."""
    activations: dict[str, list[list[torch.Tensor]]] = field(default_factory=dict)
    """By the activation's name: the figures of OUTPUT_FIGURES, each (P,), of every call of `activation`."""

    def __post_init__(self) -> None:
        self._counted = probed_steps(self.n_steps)
        self._probed = self._counted | (early_steps(self.n_steps) if self.is_first else set())

    # ---- training

    def is_probed(self, step: int) -> bool:
        """Whether a step of the epoch (from 0) is measured."""
        return step in self._probed

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
        counted = [figures.weights for figures in self._counted_steps()]
        means: dict[str, torch.Tensor] = {}
        if counted:  # summed one by one: how a reduction over steps rounds could depend on the number of members
            means = {name: reduce(torch.add, (f[name] for f in counted)) / len(counted) for name in counted[0]}
            # fmax passes over nan
            means["grad_max"] = reduce(torch.fmax, (figures["grad_norm"] for figures in counted))
        seen, names = [*self.observed.values()], [*self.observed]
        if seen:
            means |= zip(OUTPUT_FIGURES, torch.stack(seen, 1), strict=True)
            slopes = [self._slopes(figures, names) for figures in self._counted_steps()]
            means["slope"] = reduce(torch.add, slopes) / len(slopes) if slopes else torch.full_like(seen[0], math.nan)
        empty = np.zeros((0, self.members))
        return {name: empty for name in FIGURES} | {name: mean.cpu().numpy() for name, mean in means.items()}

    @cached_property
    def by_step(self) -> dict[str, np.ndarray]:
        """The figures at each probed step: (steps, weights, P), and `slope` (steps, activations, P)."""
        steps, names = sorted(self.steps), [*self.observed]
        weights = [self.steps[step].weights for step in steps]
        figures = {name: torch.stack([each[name] for each in weights]) for name in weights[0]}
        figures["slope"] = torch.stack([self._slopes(self.steps[step], names) for step in steps])
        return {name: values.cpu().numpy() for name, values in figures.items()}

    @cached_property
    def step_losses(self) -> np.ndarray:
        """The sum of the losses at each step of the epoch, (steps, P)."""
        losses: np.ndarray = torch.stack(self.losses).cpu().numpy()
        return losses

    def _counted_steps(self) -> list[StepFigures]:
        return [figures for step, figures in self.steps.items() if step in self._counted]

    def _slopes(self, figures: StepFigures, names: Sequence[str]) -> torch.Tensor:
        """The slope of each of these activations at a step, (activations, P); nan where a layer does not show it."""
        unknown = torch.full((self.members,), math.nan, device=self.device)
        found = [figures.slopes.get(name, unknown) for name in names]
        return torch.stack(found) if found else unknown.new_zeros(0, self.members)

    @cached_property
    def magnitudes(self) -> dict[str, np.ndarray]:
        """By kind of clipping, the magnitude of the gradient at each step that counts, (steps, P)."""
        kinds, counted = [kind.name for kind in techniques_in(Clipping)], self._counted_steps()
        if not counted:
            return {}
        return dict(zip(kinds, torch.stack([each.magnitudes for each in counted], 1).cpu().numpy(), strict=True))

    def clip_cosine(self) -> np.ndarray | None:
        """The mean cosine (P,) between the gradients before and after clipping, over the steps where there is one.

        None without clipping.
        """
        cosines = [figures.clip_cosine for figures in self._counted_steps() if figures.clip_cosine is not None]
        if not cosines:
            return None
        known = reduce(torch.add, (cosine.isfinite().float() for cosine in cosines))
        mean: np.ndarray = (reduce(torch.add, map(finite_or_zero, cosines)) / known).double().cpu().numpy()
        return mean


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
