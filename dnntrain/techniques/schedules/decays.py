"""Schedules that fall smoothly, over the run or for as long as it takes."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dnntrain.techniques.base import Length, iterations
from dnntrain.techniques.schedules.base import Schedule, ScheduleContext
from dnntrain.utils.fields import hyperparameter


class Power(Schedule):
    """Power scheduling, the lecture's eq. 1.

    From iteration ks to (k + 1)s the rate falls to (1 - 1/(k + 2))^c of what it was, the lecture's eq. 2.
    """

    name = "power"
    summary = "Drops quickly at first, then more and more slowly: to 1/2 after s steps, 1/3 after 2 s, …"
    paper = "Géron, Hands-On Machine Learning, ch. 11; Bottou 2012, Stochastic Gradient Descent Tricks"
    formula = "η(t) = η₀ / (1 + t/s)^c, so that η((k + 1) s) / η(k s) = (1 - 1/(k + 2))^c, which approaches 1"
    advice = "Robust; use an s of a few epochs. Keras's `decay` is 1/s with c = 1."
    s: Length = hyperparameter("10000", "time until the rate has halved (for c = 1)", unit="iterations, or 20ep")
    c: float = hyperparameter(1.0, "exponent", gt=0)

    @property
    def time_scale(self) -> str:
        return self.s

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return (1.0 + t / iterations(self.s, context.steps_per_epoch)) ** -self.c


class InverseSquareRoot(Schedule):
    """Inverse square root, as for the first transformers."""

    name = "inverse_sqrt"
    summary = "Falls with the square root of the time, slower and slower, and needs no end."
    paper = "Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762, section 5.3"
    formula = "η(t) = η₀ / √(1 + t/s), which after a warm-up of length s is η₀ √s / √(iterations so far)"
    advice = "Give the length of the warm-up as s: warmup 4000, inverse_sqrt:s=4000. The same as power with c = 0.5."
    s: Length = hyperparameter("1ep", "time scale s, the length of the warm-up", unit="iterations, or 20ep")

    @property
    def time_scale(self) -> str:
        return self.s

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return 1 / np.sqrt(1.0 + t / iterations(self.s, context.steps_per_epoch))


class Exponential(Schedule):
    """Exponential scheduling, the lecture's eq. 3.

    Every s iterations the rate falls to `base` of what it was, the ratio 0.1 of the lecture's eq. 4. The fraction that
    is printed there, 0.1^((k + 1)/s) / 0.1^(k/s), is the ratio of two successive iterations: 0.955 for s = 50.
    """

    name = "exponential"
    summary = "Falls by the same factor every s steps."
    paper = "Senior et al. 2013, An Empirical Study of Learning Rates in Deep Neural Networks for Speech Recognition"
    formula = "η(t) = η₀ · base^(t/s), so that η((k + 1) s) / η(k s) = base for every k"
    advice = "Choose s close to the length of the run; if it is much shorter, the rate vanishes too early."
    s: Length = hyperparameter("20ep", "time in which the rate falls by `base`", unit="iterations, or 20ep")
    base: float = hyperparameter(0.1, "factor after s", gt=0, lt=1)

    @property
    def time_scale(self) -> str:
        return self.s

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return self.base ** (t / iterations(self.s, context.steps_per_epoch))


class Linear(Schedule):
    """Linear decay over the whole run."""

    name = "linear"
    summary = "Falls in a straight line from the full rate to `final` at the end of the run."
    paper = "Defazio et al. 2023, Optimal Linear Decay Learning Rate Schedules, arXiv:2310.07831"
    formula = "η(t) = η₀ (1 - (1 - final) t/T)"
    advice = "As good as cosine or better in most comparisons; the rate at the end is what matters."
    final: float = hyperparameter(0.0, "fraction of the rate that is left at the end", ge=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return 1 - (1 - self.final) * np.minimum(t / context.total_steps, 1)


class Polynomial(Schedule):
    """Polynomial decay over the whole run."""

    name = "polynomial"
    summary = "Falls as a power of the time that is left, to `final` at the end of the run."
    paper = "Chen et al. 2017, DeepLab, arXiv:1606.00915, section 4.1 (poly); torch, PolynomialLR"
    formula = "η(t) = η₀ (final + (1 - final) (1 - t/T)^power)"
    advice = "Power 0.9 is usual for segmentation, 2 spends more of the run at small rates. Power 1 is linear."
    power: float = hyperparameter(2.0, "exponent", gt=0)
    final: float = hyperparameter(0.0, "fraction of the rate that is left at the end", ge=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        left = 1 - np.minimum(t / context.total_steps, 1)
        return self.final + (1 - self.final) * left**self.power


class Cosine(Schedule):
    """Cosine annealing over the whole run."""

    name = "cosine"
    summary = "Follows half a cosine wave from the full rate down to `final` at the end of the run."
    paper = "Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983"
    formula = "η(t) = η₀ (final + (1 - final)(1 + cos(π t/T)) / 2)"
    advice = "A strong default when the length of the run is known."
    final: float = hyperparameter(0.0, "fraction of the rate that is left at the end", ge=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * np.minimum(t / context.total_steps, 1))) / 2


class WarmupStableDecay(Schedule):
    """A constant rate that decays in the last part of the run."""

    name = "wsd"
    summary = "Warm-up, stable, decay: the full rate for most of the run, then down to `final` in the last part."
    paper = "Hu et al. 2024, MiniCPM, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392 (1 - √)"
    formula = (
        "η(t) = η₀ until the last share of the run; then u rises from 0 to 1, and η = η₀ (1 - (1 - final) u), or √u"
    )
    advice = (
        "With --warmup for the first phase. One long constant run can be decayed at several lengths; matches cosine."
    )
    last: float = hyperparameter(0.2, "share of the run after the warm-up in which the rate decays", gt=0, le=1)
    shape: Literal["linear", "sqrt"] = hyperparameter("linear", "how it decays: linear, or sqrt (1 - √u)")
    final: float = hyperparameter(0.0, "fraction of the rate that is left at the end", ge=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        u = np.clip((t / context.total_steps - (1 - self.last)) / self.last, 0, 1)
        return 1 - (1 - self.final) * (np.sqrt(u) if self.shape == "sqrt" else u)
