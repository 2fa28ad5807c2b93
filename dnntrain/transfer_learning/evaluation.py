"""The predictions of a recorded run, computed from its weights without training."""

from __future__ import annotations

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.engine.evaluation import forward, monte_carlo_prediction, predictions
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.engine.splits import splits_of
from dnntrain.errors import InputError
from dnntrain.store.predictions import Predictions
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunStore
from dnntrain.transfer_learning.resolve import resolve_backbone
from dnntrain.transfer_learning.stages import prepare_stage, stages_of
from dnntrain.utils.lazy import torch


def evaluate_record(record: RunRecord, dataset: Dataset, store: RunStore, home: DataLocation) -> Predictions:
    """What a recorded run predicts for held-out examples with the weights that it kept.

    Args:
        record: The run, which finished.
        dataset: The data that it was trained on.
        store: Where it is recorded.
        home: Where the image network that it reuses is found.

    Raises:
        InputError: If the data have changed, the network cannot be rebuilt, or its metrics are not the recorded ones.
    """
    population = rebuild(record, dataset, store, home)
    [predicted] = predictions(population.inputs, forward(population.network, population.inputs.loss), [])
    if difference := predicted.difference(record):
        raise InputError(f"its weights do not give the recorded metrics: {difference}")
    return predicted


def sample_record(
    record: RunRecord, dataset: Dataset, store: RunStore, home: DataLocation, samples: int
) -> Predictions | None:
    """What a recorded run predicts on average over `samples` passes with dropout on (Gal & Ghahramani 2016).

    The masks are those that `mc_dropout` draws after training, so the test metrics are the same. Other arguments and
    errors are those of `evaluate_record`.

    Returns:
        The averaged predictions; None if the network has no dropout, so that every pass would be the same.
    """
    population = rebuild(record, dataset, store, home)
    network, inputs = population.network, population.inputs
    if not network.layers.uses_keys():
        return None
    [averaged] = predictions(inputs, monte_carlo_prediction(network, inputs.loss, samples, population.seeds), [])
    return averaged


def rebuild(record: RunRecord, dataset: Dataset, store: RunStore, home: DataLocation) -> Population:
    """A recorded run as a population of one, with the weights that it kept; errors are those of `evaluate_record`."""
    if dataset.fingerprint != record.data.fingerprint:
        raise InputError(f"the data set {record.data.name} is not the one that it was trained on; its bytes differ")
    spec, weights, device = RunSpec.from_record(record.settings), store.weights(record.run), torch.device("cpu")
    start = StartState(weights=[weights])
    if spec.reuse_from:
        backbone, splits = resolve_backbone(spec.reuse_from, store, home).for_run(spec), splits_of(dataset, [spec])
        last = stages_of(spec, backbone)[-1]
        [spec], dataset, start = prepare_stage(last, [spec], dataset, splits, backbone, device, [weights])
    population = Population.start([Run(spec, 0)], dataset, device, start)
    if missing := population.network.state().keys() - weights.keys():
        raise InputError(f"{store.weights_file(record.run)}: has no tensor {min(missing)}, which its network needs")
    return population
