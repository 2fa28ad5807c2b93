"""Runs that were never trained, recorded with random weights, to be exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.evaluation import forward, predictions
from dnntrain.engine.network import initial_state, initialize, layer_specs
from dnntrain.engine.run import Run
from dnntrain.inference.exporters.plain_model import PlainModel, plain_model
from dnntrain.store.run_store import RunStore
from dnntrain.utils.user_code.reference import code_of

CPU = torch.device("cpu")
ROW = {"epoch": 1, "grad_norm": [1.0], "grad_max": [1.0], "dead": [0.0], "saturated": [0.0]}


def record_untrained(spec: RunSpec, dataset: Dataset, folder: Path) -> tuple[RunStore, str, np.ndarray]:
    """Record a run with random weights and running statistics.

    Returns:
        The store, the run's id, and what the engine's layers compute for the test part: float32 (rows, units).
    """
    layers, rng = layer_specs(spec, dataset.outline), np.random.default_rng(0)
    state = {name: moved(name, value, rng) for name, value in initial_state(layers, spec.seed).items()}
    inputs = BatchSource(dataset, [spec], CPU)
    network = initialize([spec], [layers], CPU, [state])
    with torch.inference_mode():
        outputs = [network.forward(batch.x)[0, : batch.real].numpy() for batch in inputs.test()]
        [predicted] = predictions(inputs, forward(network, inputs.loss), [])
    run = Run(spec, 0, "finished", [ROW], kept_epoch=1, weights=state | inputs.scaling()[0])
    run_id = "0123456789ab"
    record = run.to_record(run_id, dataset.description(), {})
    store = RunStore(folder)
    store.write(record, run.weights, predicted, code_of(spec.references()))
    return store, run_id, np.concatenate(outputs)


def moved(name: str, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tensor moved at random, so that none is as torch would start it. Variances stay positive."""
    if not np.issubdtype(value.dtype, np.floating):
        return value
    noise = rng.uniform(0.05, 0.3, value.shape).astype(value.dtype)
    return value + noise


def as_plain(store: RunStore, run_id: str) -> PlainModel:
    """A recorded run as a model of plain torch."""
    return plain_model(run_id, store, DataLocation(store.root / "home"), trust_code=False)
