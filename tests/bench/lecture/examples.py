"""Numbers for the lecture's equations, computed by the classes that train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import sqrt

import numpy as np
import torch

from dnntrain.nn.layer import ForwardContext
from dnntrain.reporting.schedule_curve import EPOCH_STEPS, example_rates, time_name
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import iterations
from dnntrain.techniques.clipping import ClipNorm, Clipping, ClipValue
from dnntrain.techniques.dropout import Dropout
from dnntrain.techniques.initializers import Initializer
from dnntrain.techniques.normalization import BatchNorm
from dnntrain.techniques.normalization.batch_norm import BatchNormLayer
from dnntrain.techniques.schedules.base import Schedule
from dnntrain.techniques.schedules.steps import Performance
from tests.bench.lecture.sections import Example

ROWS = 5
"""The rows of a schedule after its start, at multiples of its own length."""

Table = tuple[str, list[str], list[list[str]]]
"""A sentence that introduces it, its headings, and its rows."""


def table_of(example: Example) -> Table:
    """The numbers of an example."""
    return schedule(example.of) if example.kind == "schedule" else TABLES[example.kind]()


def rounded(values: Iterable[float]) -> list[str]:
    """Numbers with four digits."""
    return [f"{value:.4g}".replace("-", "−") for value in values]


def schedule(text: str) -> Table:
    """The factor on the learning rate, and its ratios: equations 2 and 4."""
    parsed = Schedule.parse(text)
    times = iterations(parsed.time_scale, EPOCH_STEPS) * np.arange(ROWS + 1)
    rates = example_rates(parsed, times, float(times[-1]))
    names = [time_name(k, ROWS, parsed.time_scale) for k in range(ROWS + 1)]
    ratios = ["", *rounded(b / a for a, b in pairwise(rates))]
    rows = [list(row) for row in zip(names, rounded(rates), ratios, strict=True)]
    when = " where the validation loss never improves after the first epoch" if isinstance(parsed, Performance) else ""
    return f"The factor on the rate with `{text}`{when}:", ["t", "η(t) / η₀", "ratio to the row above"], rows


def activations() -> Table:
    """Values and slopes of the lecture's activations: equations 11 to 14."""
    points = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    rows = []
    for text in ("relu", "leaky_relu:alpha=0.3", "elu", "selu", "tanh", "sigmoid"):
        z = points.reshape(1, 1, -1).clone().requires_grad_()
        value = Activation.parse(text)(z)
        [slope] = torch.autograd.grad(value.sum(), z)
        pairs = zip(rounded(value.flatten().tolist()), rounded(slope.flatten().tolist()), strict=True)
        rows.append([f"`{text}`", *(f"{f}, {df}" for f, df in pairs)])
    return "Value and slope at four net inputs:", ["", *(f"z = {z}" for z in rounded(points.tolist()))], rows


def initialization() -> Table:
    """The deviation of first weights between layers of 100 units, drawn and by the formula."""
    rows = []
    for text, variance in (("glorot", 2 / 200), ("he", 2 / 100), ("lecun", 1 / 100), ("normal:std=1", 1.0)):
        weights = Initializer.parse(text).kernel(np.random.default_rng(0), 100, 100)
        rows.append([f"`{text}`", *rounded([sqrt(variance)]), f"{weights.std():.3f}"])
    return "Standard deviation of the weights between layers of 100 units:", ["", "formula", "as drawn"], rows


def batch_norm() -> Table:
    """The deviation that tests use after mini-batches of deviations 1, 3, 1, 2: equation 20 and ours."""
    bn = BatchNorm()
    learned = {"bn_scale": torch.ones(1, 1, 1), "bn_shift": torch.zeros(1, 1, 1)}
    running = {"bn_mean": torch.zeros(1, 1, 1), "bn_variance": torch.ones(1, 1, 1)}
    layer, by_equation, rows = BatchNormLayer("bn", bn, learned, running), 0.0, []
    for number, deviation in enumerate((1.0, 3.0, 1.0, 2.0)):
        batch = torch.tensor([-deviation, deviation]).reshape(1, 2, 1)
        layer.forward(batch, ForwardContext(training=True, first=number == 0))
        by_equation += (deviation - by_equation) * (bn.alpha if number else 1.0)
        ours = float(running["bn_variance"].sqrt())
        rows.append([str(number + 1), *rounded([deviation, ours, by_equation])])
    text = "The σ that tests divide by, with α = 0.1; the first mini-batch sets it (equation 19):"
    return text, ["mini-batch", "its σ", "dnntrain: root of the average σ²", "equation 20: average σ"], rows


def clipping() -> Table:
    """The lecture's gradient, clipped in both ways."""
    raw = torch.tensor([0.9, 100.0])
    rows = []
    techniques: list[Clipping] = [ClipValue(threshold=1.0), ClipNorm(threshold=1.0)]
    for technique in techniques:
        clipped = raw.reshape(1, 2).clone()
        technique.clip([clipped])
        cosine = torch.nn.functional.cosine_similarity(clipped[0], raw, dim=0)
        vector = ", ".join(f"{component:.7g}" for component in clipped[0].tolist())
        rows.append([f"`{technique.name}: 1`", f"[{vector}]", *rounded([float(cosine)])])
    return "The gradient [0.9, 100], clipped:", ["", "becomes", "cosine of the angle between them"], rows


def dropout() -> Table:
    """What becomes of a unit that is kept."""
    rows = []
    for rate in (0.1, 0.2, 0.5):
        kept, _ = Dropout(rate=rate).drop(torch.ones(1, 1, 1), torch.ones(1, 1, 1))
        rows.append([*rounded([rate, float(kept), 1 - rate])])
    text = "By what training multiplies a unit that is kept, and by what the first way multiplies weights afterwards:"
    return text, ["rate", "dnntrain, while training", "first way, after training"], rows


TABLES: dict[str, Callable[[], Table]] = {
    "activations": activations,
    "initialization": initialization,
    "batch-norm": batch_norm,
    "clipping": clipping,
    "dropout": dropout,
}
