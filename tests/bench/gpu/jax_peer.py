"""JAX: `vmap` over members and `lax.scan` over steps, in a process of its own, which gives the GPU's memory back.

    python -m tests.bench.gpu.jax_peer gpu < cases.json

Reads a list of cases and prints a line of JSON for each: the seconds of a step of all members, after compiling.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dnntrain.data import load_dataset

LR = 0.01
CLASSES = 10
Parameters = list[dict[str, jax.Array]]


def dense_parameters(widths: tuple[int, ...], norm: bool, key: jax.Array) -> Parameters:
    """Kernels and biases of one member; scales and shifts instead of biases under batch norm, but for the output."""
    layers: Parameters = []
    for i, (fan_in, fan_out) in enumerate(pairwise((784, *widths, CLASSES))):
        kernel = jax.random.normal(jax.random.fold_in(key, i), (fan_in, fan_out)) * (2 / fan_in) ** 0.5
        layer = {"kernel": kernel, "bias": jnp.zeros(fan_out)}
        layers.append(layer | ({"scale": jnp.ones(fan_out)} if norm and i < len(widths) else {}))
    return layers


def dense(layers: Parameters, x: jax.Array, key: jax.Array, dropout: float) -> tuple[jax.Array, list[jax.Array]]:
    """The outputs, and the means and variances of each batch norm."""
    x, figures = x.reshape(len(x), -1), []
    for i, layer in enumerate(layers):
        x = x @ layer["kernel"]
        if "scale" in layer:
            mean, variance = x.mean(0), x.var(0)
            figures.append(jnp.stack([mean, variance]))
            x = (x - mean) * jax.lax.rsqrt(variance + 1e-5) * layer["scale"]
        x = x + layer["bias"]
        if i == len(layers) - 1:
            break
        x = jax.nn.relu(x)
        if dropout:
            x = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout, x.shape), x / (1 - dropout), 0)
    return x, figures


def cnn_parameters(key: jax.Array) -> Parameters:
    """Kernels and biases of the small CNN of one member."""
    shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (7 * 7 * 64, 128), (128, CLASSES)]
    draws = [jax.random.normal(jax.random.fold_in(key, i), shape) for i, shape in enumerate(shapes)]
    return [
        {"kernel": draw * (2 / np.prod(shape[:-1])) ** 0.5, "bias": jnp.zeros(shape[-1])}
        for draw, shape in zip(draws, shapes, strict=True)
    ]


def cnn(layers: Parameters, x: jax.Array) -> jax.Array:
    """The outputs of the small CNN."""
    x = x[..., None]
    for layer in layers[:2]:
        layout = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=layout) + layer["bias"]
        x = jax.lax.reduce_window(jax.nn.relu(x), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(x.reshape(len(x), -1) @ layers[2]["kernel"] + layers[2]["bias"])
    return x @ layers[3]["kernel"] + layers[3]["bias"]


def epoch_of(case: dict[str, Any]) -> Any:
    """A function that takes all members through their steps: (state, order (P, steps, rows), data) to the new state."""
    clipnorm, is_cnn = case.get("clipnorm"), case["kind"] == "cnn"

    def loss(layers: Parameters, x: jax.Array, y: jax.Array, key: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        outputs, figures = (cnn(layers, x), []) if is_cnn else dense(layers, x, key, case["dropout"])
        chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1)
        return -chosen.mean(), figures

    def updated(parameter: jax.Array, grad: jax.Array) -> jax.Array:
        if clipnorm is not None:
            grad = grad * (clipnorm / jnp.maximum(jnp.sqrt(jnp.sum(grad * grad)), clipnorm))
        return parameter - LR * grad

    def member(state: Any, order: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[Any, jax.Array]:
        def step(state: Any, index: jax.Array) -> tuple[Any, jax.Array]:
            layers, running, key = state
            key, now = jax.random.split(key)
            gradients = jax.value_and_grad(loss, has_aux=True)
            (value, figures), grads = gradients(layers, images[index], targets[index], now)
            running = [0.9 * old + 0.1 * new for old, new in zip(running, figures, strict=True)]
            return (jax.tree.map(updated, layers, grads), running, key), value

        return jax.lax.scan(step, state, order)

    return jax.jit(jax.vmap(member, in_axes=(0, 0, None, None)))


def first_state(case: dict[str, Any], members: int) -> Any:
    """What the members start from."""
    keys = jax.random.split(jax.random.key(0), members)
    if case["kind"] == "cnn":
        return jax.vmap(cnn_parameters)(keys), [], keys
    widths = tuple(case["widths"])
    layers = jax.vmap(lambda key: dense_parameters(widths, case["batch_norm"], key))(keys)
    running = [jnp.zeros((members, 2, width)) for width in widths] if case["batch_norm"] else []
    return layers, running, keys


def time_case(case: dict[str, Any], images: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Seconds to compile with the first epoch, and of a step, the median of several epochs."""
    members, rows = case["members"], case["batch_size"]
    steps, rng = len(images) // rows, np.random.default_rng(0)
    orders = [rng.permutation(len(images))[: steps * rows].reshape(steps, rows) for _ in range(members)]
    order, state = jnp.asarray(np.stack(orders).astype(np.int32)), first_state(case, members)
    epoch, data, seconds = epoch_of(case), (jnp.asarray(images), jnp.asarray(targets)), []
    for _ in range(case["repeats"] + 1):
        started = time.perf_counter()
        state, losses = jax.block_until_ready(epoch(state, order, *data))
        seconds.append(time.perf_counter() - started)
    if not bool(jnp.isfinite(losses).all()):
        raise FloatingPointError("losses are not finite")
    return {"step": statistics.median(seconds[1:]) / steps, "first_epoch": seconds[0]}


def main() -> None:
    """Time the cases of stdin on the backend that the argument names."""
    if (backend := jax.default_backend()) != sys.argv[1]:
        sys.exit(f"JAX computes on {backend} here, not on {sys.argv[1]}")
    jax.config.update("jax_default_matmul_precision", "float32")  # by default it is tf32 on such GPUs
    dataset = load_dataset("fashion-mini")
    for case in json.load(sys.stdin):
        n = case["train_size"]
        images = dataset.train_inputs[:n].astype(np.float32) / 255
        measured = time_case(case, images, dataset.train_targets[:n].astype(np.int32))
        print(json.dumps({"name": case["name"], "members": case["members"]} | measured), flush=True)


if __name__ == "__main__":
    main()
