"""The network of a task as a torch module, for the three peers that are made of torch."""

from __future__ import annotations

from itertools import pairwise

from peer import CLASSES, Task
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "selu": nn.SELU}
DROPOUT = 0.2
CLIPVALUE = 1.0


def network(task: Task, features: int) -> nn.Sequential:
    """Dense layers, each followed by its activation and by what the arm adds, which also goes before the first."""
    layers = extras(task, features)
    widths = (features, *task.hidden)
    for fan_in, fan_out in pairwise(widths):
        dense = linear(fan_in, fan_out, task.initializer)
        layers += [dense, ACTIVATIONS[task.activation](), *extras(task, fan_out)]
    return nn.Sequential(*layers, linear(widths[-1], CLASSES, "glorot"))


def extras(task: Task, units: int) -> list[nn.Module]:
    """What an arm adds after a layer; Keras's ε and momentum of batch norm, as in the lecture."""
    if task.arm == "batch-norm":
        return [nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)]
    return [nn.Dropout(DROPOUT)] if task.arm == "dropout" else []


def linear(fan_in: int, fan_out: int, initializer: str) -> nn.Linear:
    """A dense layer, its bias zero as everywhere here."""
    layer = nn.Linear(fan_in, fan_out)
    nn.init.zeros_(layer.bias)
    if initializer == "glorot":
        nn.init.xavier_uniform_(layer.weight)
    else:
        nn.init.normal_(layer.weight, std=({"he": 2.0, "lecun": 1.0}[initializer] / fan_in) ** 0.5)
    return layer
