"""The figures of health in networks that learn and in networks that do not: what its thresholds must tell apart.

    python -m tests.bench.health [NAME …]

Trains small convolutional, residual, recurrent and other networks for some seconds each on fashion-mini, and prints
what each one's figures are after the last epoch: the accuracy on validation examples, the smallest gradient norm of a
weight over the largest, the same with norms divided by the root of the number of weights, the largest norm, the largest
shares of dead units and saturated activations, and the diagnosis. NAME picks networks by the beginnings of their names.
"""

from __future__ import annotations

import sys
from math import prod
from typing import Any

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import load_dataset
from dnntrain.engine.health import diagnose
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import layer_specs
from dnntrain.nn.layer_spec import walk

COMMON = {"data": "fashion-mini", "train_size": 2000, "epochs": 3, "optimizer": "adam", "lr": 0.003, "batch_size": 32}
OWN = "module:tests/bench/health_modules.py:"
DEEP = "cnn:channels=4/8,blocks=6,pool=none,stride=2"
SGD = "sgd:momentum=0.9"
WIDTH = 30
"""Of the column of names."""

HEALTHY: dict[str, dict[str, Any]] = {
    "cnn": {"net": "cnn:channels=8/16", "hidden": "32"},
    "cnn narrow": {"net": "cnn:channels=3/4", "hidden": "16"},
    "cnn elu": {"net": "cnn:channels=8/16", "hidden": "32", "act": "elu"},
    "cnn tanh, rate 0.001": {"net": "cnn:channels=8/16", "hidden": "32", "act": "tanh", "lr": 0.001},
    "cnn tanh, bn": {"net": "cnn:channels=8/16", "hidden": "32", "act": "tanh", "bn": True},
    "cnn sigmoid, bn": {"net": "cnn:channels=8/16", "hidden": "32", "act": "sigmoid", "bn": True},
    "cnn kernel 5, sgd": {"net": "cnn:channels=8/16,kernel=5", "hidden": "32", "optimizer": SGD, "lr": 0.02},
    "cnn bn, dropout": {"net": "cnn:channels=8/16/32", "hidden": "32", "bn": True, "dropout": 0.2},
    "cnn no dense layer": {"net": "cnn:channels=8/16/32", "hidden": "none"},
    "cnn 12 layers": {"net": DEEP, "hidden": "none", "lr": 0.001},
    "cnn 12 layers, bn": {"net": DEEP, "hidden": "none", "bn": True},
    "cnn wide after narrow": {"net": "cnn:channels=2/64", "hidden": "64", "lr": 0.001},
    "resnet": {"net": "resnet:blocks=1/1,width=8", "lr": 0.01},
    "resnet bn": {"net": "resnet:blocks=2/2/2,width=4", "bn": True},
    "resnet bn, sgd": {"net": "resnet:blocks=1/1/1,width=4", "bn": True, "optimizer": SGD, "lr": 0.05},
    "resnet preact": {"net": "resnet:blocks=2/2,width=4,preact=true", "bn": True, "lr": 0.01},
    "resnet projection": {"net": "resnet:blocks=1/1/1,width=4,shortcut=projection", "bn": True},
    "resnet zero_init": {"net": "resnet:blocks=2/2,width=4,zero_init=true", "bn": True},
    "resnet zero_init, no bn": {"net": "resnet:blocks=2/2,width=4,zero_init=true"},
    "resnet zero_init preact": {"net": "resnet:blocks=2/2,width=4,zero_init=true,preact=true", "bn": True},
    "resnet 20": {"net": "resnet:blocks=3/3/3,width=4", "bn": True},
    "mlp residual": {"hidden": "20x30", "residual": True, "lr": 0.001},
    "lstm": {"net": OWN + "Recurrent", "lr": 0.01},
    "lstm from 0": {"net": OWN + "Recurrent:scale=0"},
    "lstm 2 layers": {"net": OWN + "Recurrent:depth=2", "lr": 0.01},
    "gru": {"net": OWN + "Recurrent:kind=GRU", "lr": 0.01},
    "rnn": {"net": OWN + "Recurrent:kind=RNN", "lr": 0.003},
    "attention": {"net": OWN + "Attention"},
    "attention 3 layers": {"net": OWN + "Attention:depth=3"},
    "separable": {"net": OWN + "Separable"},
    "separable 4": {"net": OWN + "Separable:depth=4"},
    "functional": {"net": OWN + "Functional"},
    "small network": {"net": "module:tests/support/small_network.py:SmallNetwork:width=16", "lr": 0.01},
}
STRAINED: dict[str, dict[str, Any]] = {
    "cnn tanh": {"net": "cnn:channels=8/16", "hidden": "32", "act": "tanh"},
    "cnn sigmoid": {"net": "cnn:channels=8/16", "hidden": "32", "act": "sigmoid"},
    "cnn adam 0.03": {"net": "cnn:channels=8/16", "hidden": "32", "lr": 0.03},
    "cnn sgd 0.2": {"net": "cnn:channels=8/16", "hidden": "32", "optimizer": SGD, "lr": 0.2},
    "cnn large weights": {"net": "cnn:channels=8/16/32", "hidden": "32", "init": "normal:std=1"},
    "cnn tanh large weights": {"net": "cnn:channels=8/16", "hidden": "32", "act": "tanh", "init": "normal:std=1"},
}
"""Networks that learn, but lose much by their rate, their first weights, or units that do not work."""
SICK: dict[str, dict[str, Any]] = {
    "cnn 12 sigmoid": {"net": DEEP, "hidden": "none", "act": "sigmoid"},
    "cnn 5 sigmoid": {"net": "cnn:channels=4/4/4/4", "hidden": "16", "act": "sigmoid"},
    "cnn 12 small weights": {"net": DEEP, "hidden": "none", "init": "normal:std=0.02"},
    "cnn 12 large weights": {"net": DEEP, "hidden": "none", "init": "normal:std=1"},
    "cnn sgd 1": {"net": "cnn:channels=8/16", "hidden": "32", "optimizer": SGD, "lr": 1},
    "cnn adam 0.1": {"net": "cnn:channels=8/16", "hidden": "32", "lr": 0.1},
    "resnet large weights": {"net": "resnet:blocks=2/2,width=4", "init": "normal:std=1"},
    "resnet sgd 1": {"net": "resnet:blocks=2/2,width=4", "optimizer": SGD, "lr": 1},
    "mlp 20, no residual": {"hidden": "20x30", "act": "sigmoid"},
    "lstm weights x 20": {"net": OWN + "Recurrent:scale=20"},
    "rnn weights x 10": {"net": OWN + "Recurrent:kind=RNN,scale=10"},
    "rnn weights / 20": {"net": OWN + "Recurrent:kind=RNN,scale=0.05,depth=4", "lr": 0.0001},
    "rnn adam 0.3": {"net": OWN + "Recurrent:kind=RNN", "lr": 0.3},
    "attention adam 0.3": {"net": OWN + "Attention", "lr": 0.3},
    "separable sigmoid": {"net": OWN + "Separable:act=Sigmoid,depth=3,norm=False"},
    "separable, no norm": {"net": OWN + "Separable:norm=False"},
    "separable 4, no norm": {"net": OWN + "Separable:norm=False,depth=4"},
    "functional sigmoid": {"net": OWN + "Functional:act=sigmoid,depth=5"},
}


def main() -> None:
    """Train the networks, and print a row for each."""
    torch.set_num_threads(1)
    print(f"{'':{WIDTH}} {'acc %':>6} {'ratio':>8} {'by RMS':>8} {'largest':>8} {'dead':>5} {'satur.':>6}  diagnosis")
    for kind, networks in (("healthy", HEALTHY), ("strained", STRAINED), ("sick", SICK)):
        print(f"\n{kind}")
        for name, settings in networks.items():
            if len(sys.argv) == 1 or name.startswith(tuple(sys.argv[1:])):
                print_row(name, RunSpec.parse(COMMON | settings))


def print_row(name: str, spec: RunSpec) -> None:
    """Train one network, and print its figures."""
    dataset = load_dataset(spec.data)
    [run] = train_population([spec], dataset)
    layers = walk(layer_specs(spec, dataset.outline))
    sizes = [prod(layer.parameters[key]) for layer in layers for key in layer.weights]
    row = run.history[-1]
    norm, dead, saturated = (np.array(row[figure]) for figure in ("grad_norm", "dead", "saturated"))
    shares = [f"{seen.max():.2f}" if seen.size else "-" for seen in (dead, saturated)]
    print(
        f"{name:{WIDTH}} {100 * row['val_acc']:6.1f} {span(norm):8.1g} {span(norm / np.sqrt(sizes)):8.1g} "
        f"{norm.max():8.2g} {shares[0]:>5} {shares[1]:>6}  {diagnose(run.history, run.status, run.layers, run.probes)}",
        flush=True,
    )


def span(figures: np.ndarray) -> float:
    """The smallest over the largest."""
    return float(figures.min() / max(figures.max(), 1e-300))


if __name__ == "__main__":
    main()
