"""The training loop: a population of runs trained as one, from its specs to its results.

The engine writes no files and prints nothing: it reports to `on_epoch` and returns the results.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.averaging import complete_average
from dnntrain.engine.evaluation import MetricAccumulator, evaluate, forward, measure_watched, predictions, test
from dnntrain.engine.graphs import MakeRunner, StepRunner
from dnntrain.engine.health import layer_names
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.probe import Probe
from dnntrain.engine.run import OnEpoch, Run, ignore
from dnntrain.engine.step_inputs import epoch_steps
from dnntrain.metrics import TRAIN_LOSS, VAL_LOSS

NEW = StartState()


@torch.inference_mode()
def train_population(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    device: torch.device | None = None,
    on_epoch: OnEpoch = ignore,
    start: StartState = NEW,
    keep_predictions: bool = True,
    runner: MakeRunner = StepRunner.of,
) -> list[Run]:
    """Train runs of one graph (`spec.graph()`) as one population.

    Args:
        specs: The runs.
        dataset: Their data.
        device: Where they train; the CPU by default.
        on_epoch: Called after each epoch.
        start: Weights, layers, examples, or checkpoints to start from; by default the runs start anew.
        keep_predictions: Whether the finished runs hold their predictions on held-out examples.
        runner: Makes what runs the steps of the population.

    Returns:
        The finished runs, in the order of their specs.
    """
    runs = [Run(spec, index) for index, spec in enumerate(specs)]
    population = Population.start(list(runs), dataset, device or torch.device("cpu"), start)
    steps, epoch = runner(population), len(runs[0].history)
    while population.runs:
        started, cpu_started = time.perf_counter(), time.process_time()
        trained = population.runs
        figures, probe = train_epoch(steps, epoch)
        complete_average(population, epoch)
        validate(population, epoch, figures, probe)
        population.update_best()
        finish_runs(population, [m for m, run in enumerate(trained) if is_finished(run)], keep_predictions)
        for run in trained:
            run.steps_as = steps.mode
            run.seconds += (time.perf_counter() - started) / len(trained)
            run.cpu_seconds += (time.process_time() - cpu_started) / len(trained)
        on_epoch(trained, population.checkpoints)
        if 0 < len(population.runs) < len(trained):  # their tensors are copies now
            steps = steps.with_fewer(population)
        epoch += 1
    return runs


def train_epoch(runner: StepRunner, epoch: int) -> tuple[dict[str, np.ndarray], Probe]:
    """Train one epoch (0-based), and return each member's figures (P,), and the probe of its layers."""
    p = runner.p
    inputs, groups, steps = p.inputs, epoch_steps(p, epoch), p.inputs.steps_per_epoch
    probe = Probe(len(p.runs), inputs.device, steps, is_first=p.steps == p.start_state.epochs == 0)
    metrics = MetricAccumulator(inputs.metrics, inputs.target_info["train"])
    clipped: list[torch.Tensor] = []

    step = 0
    for group in groups:
        for n in range(len(group)):
            result = runner.run(group, n, probe.is_probed(step))
            for batch in result.batches:
                metrics.add(batch.outputs, batch.y, batch.losses, batch.real)
            probe.losses.append(result.losses)
            if result.is_clipped is not None:
                clipped.append(result.is_clipped)
            if result.figures:
                probe.steps[step] = result.figures
            step += 1
    p.steps += steps
    if inputs.device.type != "cpu" and epoch + 1 < max(run.spec.epochs for run in p.runs):
        inputs.draw_ahead(p.seeds, p.start_state.epochs + epoch + 1)  # while the device still trains

    share = torch.stack(clipped).sum(dim=0).cpu().numpy() / steps if clipped else np.zeros(len(p.runs))
    figures = metrics.results("train") | {"clipped": share}
    cosine = probe.clip_cosine()
    figures |= {} if cosine is None else {"clip_cosine": cosine}
    return {"lr": groups[-1].inputs.rates.lr[None][-1].flatten().cpu().numpy()} | figures, probe


def validate(p: Population, epoch: int, figures: dict[str, np.ndarray], probe: Probe) -> None:
    """Measure validation and health after the epoch (0-based), and append a row to each run's history."""
    specs = [run.spec for run in p.runs]
    outputs: list[np.ndarray] | None = [] if any(spec.watched_metrics for spec in specs) else None
    # the activations of one batch are enough
    predict = forward(p.evaluated_network(), p.inputs.loss, observe=probe.activation)
    figures |= evaluate(p.inputs, "val", predict, p.inputs.validation(), outputs)
    watched = measure_watched(specs, outputs or [], p.inputs, "val")
    layers, names = probe.figures(), layer_names(p.network.spec.net, p.network.layer_specs, probe.observed)
    for m, run in enumerate(p.runs):
        run.layers = names
        row: dict[str, Any] = {"epoch": epoch + 1} | {name: float(values[m]) for name, values in figures.items()}
        run.probes.add_epoch(probe, m, epoch + 1, p.steps - p.inputs.steps_per_epoch)
        run.history.append(row | watched[m] | {name: values[:, m].tolist() for name, values in layers.items()})
        if not np.isfinite([row[TRAIN_LOSS], row[VAL_LOSS]]).all():
            run.status = "diverged"


def is_finished(run: Run) -> bool:
    """Whether the run has diverged, trained all its epochs, or stops early."""
    stop = run.spec.early_stopping
    early = stop is not None and stop.should_stop(run.values(stop.metric))
    return run.status == "diverged" or early or len(run.history) >= run.spec.epochs


def finish_runs(p: Population, finished: list[int], keep_predictions: bool) -> None:
    """Test the finished members with the weights that they keep, and remove them from the population."""
    if not finished:
        return
    network, inputs, runs = p.best_network(finished), p.inputs.select(finished), [p.runs[m] for m in finished]
    specs = [run.spec for run in runs]
    is_needed = keep_predictions or any(spec.watched_metrics for spec in specs)
    outputs: list[np.ndarray] | None = [] if is_needed else None
    tested = test(network, inputs, [run.spec.stream_seed for run in runs], outputs)
    watched = measure_watched(specs, outputs or [], inputs, "test")
    predict = forward(network, inputs.loss)
    predicted = predictions(inputs, predict, outputs) if outputs and keep_predictions else [None] * len(runs)
    # one copy from the device for each tensor, and not for each member
    weights = {name: tensor.cpu().numpy() for name, tensor in network.state().items()}
    scaling = inputs.scaling()
    for k, run in enumerate(runs):
        if run.status != "diverged":
            run.status = "finished"
            run.test = {name: float(figures[k]) for name, figures in tested.items()} | watched[k]
            run.predictions = predicted[k]
        # a module's buffers may have shape (), and then `values[k]` is a scalar and not an array
        run.weights = {name: np.asarray(values[k]) for name, values in weights.items()} | scaling[k]
    p.select([m for m in range(len(p.runs)) if m not in finished])
