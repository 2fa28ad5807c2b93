"""The network of a task as a torch module, for the three peers that are made of torch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import isqrt

import torch
from own_module import SmallCNN
from peer import KERNEL, Task
from torch import nn
from torch_resnet import resnet

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "selu": nn.SELU}


def network(task: Task, features: int) -> nn.Sequential:
    """The task's network for images as rows of pixels."""
    if task.kind == "resnet":
        model = nn.Sequential(nn.Unflatten(1, task.shape), resnet(task.shape[0], task.blocks, task.width, task.classes))
    elif task.kind == "own module":
        model = nn.Sequential(nn.Unflatten(1, task.shape), SmallCNN(task.classes, task.shape[0]))
    else:
        model = layered(task, features)
    # channels last is the faster layout on a CPU: a training step of the small CNN takes two thirds of the time
    return model.to(memory_format=torch.channels_last)


def layered(task: Task, features: int) -> nn.Sequential:
    """Convolutions, if any, then dense layers, each followed by its activation and by what the arm adds.

    Where the dense layers are the lowest, what the arm adds stands below them, too.
    """
    layers = convolutions(task, isqrt(features)) if task.channels else extras(task, features)
    fan_in = task.channels[-1] * (isqrt(features) >> len(task.channels)) ** 2 if task.channels else features
    widths = (fan_in, *task.hidden)
    for fan_in, fan_out in pairwise(widths):
        dense = initialized(nn.Linear(fan_in, fan_out), task.initializer)
        layers += [dense, ACTIVATIONS[task.activation](), *extras(task, fan_out)]
    return nn.Sequential(*layers, initialized(nn.Linear(widths[-1], task.classes), "glorot"))


def convolutions(task: Task, size: int) -> list[nn.Module]:
    """Blocks of convolution, activation and pooling, on square images of one channel."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, size, size))]
    for fan_in, fan_out in pairwise((1, *task.channels)):
        convolution = initialized(nn.Conv2d(fan_in, fan_out, KERNEL, padding=KERNEL // 2), task.initializer)
        layers += [convolution, ACTIVATIONS[task.activation](), nn.MaxPool2d(2)]
    return [*layers, nn.Flatten()]


def extras(task: Task, units: int) -> list[nn.Module]:
    """What an arm adds after a dense layer; Keras's ε and momentum of batch norm, as in the lecture."""
    if task.batch_norm:
        return [nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)]
    return [nn.Dropout(task.dropout)] if task.dropout else []


def initialized(layer: nn.Linear | nn.Conv2d, initializer: str) -> nn.Linear | nn.Conv2d:
    """The layer with its first weights drawn, its bias zero as everywhere here."""
    nn.init.zeros_(layer.bias)
    if initializer == "glorot":
        nn.init.xavier_uniform_(layer.weight)
    else:
        fan_in = layer.weight[0].numel()
        nn.init.normal_(layer.weight, std=({"he": 2.0, "lecun": 1.0}[initializer] / fan_in) ** 0.5)
    return layer


def optimizer_of(task: Task, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The task's optimizer, in torch's fastest form."""
    if task.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=task.lr, fused=True)
    return torch.optim.SGD(parameters, lr=task.lr)
