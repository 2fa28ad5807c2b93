"""The loop: a population of runs trained as one, from its specs to its results.

The engine writes no files and prints nothing; what happens is told to `on_epoch`, and the results are returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dnntrain.data import Dataset
from dnntrain.health import Probe, probed_steps
from dnntrain.inputs import Batch, Inputs
from dnntrain.population import Network, Pass, Tensors, initialize
from dnntrain.run import Run
from dnntrain.spec import CoreSpec
from dnntrain.streams import step_keys
from dnntrain.techniques.base import Switch, stack
from dnntrain.techniques.clipping import Clipping
from dnntrain.techniques.dropout import MonteCarloDropout
from dnntrain.techniques.optimizers import State
from dnntrain.techniques.penalties import WeightRule
from dnntrain.techniques.schedules import Clock, Warmup, learning_rates
from dnntrain.techniques.stopping import EarlyStopping

@dataclass
class Population:
    """The runs that are still training, and everything of theirs that has the axis P."""

    runs: list[Run]
    network: Network
    inputs: Inputs
    states: dict[str, State]
    """What the optimizer remembers of each parameter."""
    best: Tensors
    """The weights to keep of each member, where early stopping restores them."""
    clipping: Clipping | None
    rules: list[WeightRule]
    steps: int = 0
    """Steps taken so far."""

    @classmethod
    def start(cls, runs: list[Run], dataset: Dataset, device: torch.device) -> Population:
        """The population before its first step."""
        specs = [run.spec for run in runs]
        inputs = Inputs(dataset, specs, device)
        network = initialize(specs, inputs.n_features, inputs.n_classes, device)
        states = {name: specs[0].optimizer.state(p.detach()) for name, p in network.parameters.items()}
        restores = any(stop and stop.restore for stop in (spec.technique(EarlyStopping) for spec in specs))
        best = {name: t.clone() for name, t in network.state().items()} if restores else {}
        clipping, rules = stacked(specs, Clipping, device), stacked(specs, WeightRule, device)
        return cls(runs, network, inputs, states, best, next(iter(clipping), None), rules)

    def select(self, members: list[int]) -> None:
        """Go on with these members only: what is computed for each does not change."""
        self.runs = [self.runs[m] for m in members]
        if not members:
            return
        index = torch.tensor(members, device=self.inputs.device)
        self.network = self.network.select(index)
        self.inputs = self.inputs.select(members)
        self.states = {k: {n: t[index] for n, t in state.items()} for k, state in self.states.items()}
        self.best = {k: t[index] for k, t in self.best.items()}
        specs = [run.spec for run in self.runs]
        self.clipping = next(iter(stacked(specs, Clipping, self.inputs.device)), None)
        self.rules = stacked(specs, WeightRule, self.inputs.device)


def stacked(specs: Sequence[CoreSpec], family: type[Switch], device: torch.device) -> list[Any]:
    """The family's techniques that the specs have on (the same for all), each with its values for every member."""
    return [stack(members, device) for members in zip(*(spec.techniques(family) for spec in specs), strict=True)]


def train(
    specs: Sequence[CoreSpec],
    dataset: Dataset,
    device: torch.device | None = None,
    on_epoch: Callable[[list[Run]], None] = lambda runs: None,
) -> list[Run]:
    """Train runs of one graph (`spec.graph()`) as one population; the runs, in the order of their specs.

    `on_epoch` is given the runs that were in training after each epoch, their newest row at the end of `history`.
    """
    runs = [Run(spec, index) for index, spec in enumerate(specs)]
    population = Population.start(list(runs), dataset, device or torch.device("cpu"))
    epoch = 0
    while population.runs:
        started = time.perf_counter()
        trained = population.runs
        validate(population, epoch, *train_epoch(population, epoch))
        keep_best(population)
        retire(population, [m for m, run in enumerate(trained) if is_over(run)])
        for run in trained:
            run.seconds += (time.perf_counter() - started) / len(trained)
        on_epoch(trained)
        epoch += 1
    return runs


def train_epoch(p: Population, epoch: int) -> tuple[dict[str, np.ndarray], Probe]:
    """Train one epoch (0-based); each member's figures (P,), and the probe of its layers."""
    network, inputs = p.network, p.inputs
    seeds = [run.spec.seed for run in p.runs]
    optimizer, parameters = p.runs[0].spec.optimizer, list(network.parameters.values())
    kernel_places = [i for i, name in enumerate(network.parameters) if name.endswith(".kernel")]
    kernels = [parameters[i] for i in kernel_places]
    rates = epoch_rates(p, epoch)
    noise = noise_keys(network, seeds, "dropout", p.steps, inputs.steps_per_epoch)
    probes, probe = probed_steps(inputs.steps_per_epoch), Probe(len(seeds), inputs.device)
    total = torch.zeros(3, len(seeds), dtype=torch.float64, device=inputs.device)  # loss, correct, clipped

    for step, batch in enumerate(inputs.epoch(seeds, epoch)):
        # forward
        how = Pass(batch.real, batch.rows, by_batch=True, first=p.steps == 0, noise=None if noise is None else noise[step])
        logits = network.forward(batch.x, how)
        losses = cross_entropy(logits, batch.y)
        loss = batch.mean(losses)
        # backward: the members share no parameter, so the gradient of the sum is each one's own
        grads = list(torch.autograd.grad(loss.sum(), parameters))
        with torch.no_grad():
            lr = rates[step].view(-1, 1, 1)
            total[0] += batch.sum(losses)
            total[1] += batch.sum((logits.argmax(dim=2) == batch.y).float())
            for rule in p.rules:
                for i in kernel_places:
                    grads[i] = rule.penalize(grads[i], parameters[i])
            if step in probes:
                probe.gradients(kernels, [grads[i] for i in kernel_places])
            # clip
            if p.clipping:
                total[2] += p.clipping.clip(grads)
            # step
            p.steps += 1
            for rule in p.rules:
                for kernel in kernels:
                    rule.before_step(kernel, lr)
            for name, parameter, grad in zip(network.parameters, parameters, grads, strict=True):
                optimizer.step(parameter, grad, p.states[name], lr, p.steps)
            for rule in p.rules:
                for kernel in kernels:
                    rule.after_step(kernel)
            if step in probes:
                probe.updates(kernels)

    loss_sum, correct, clipped = total.cpu().numpy()
    figures = {
        "lr": rates[-1].cpu().numpy(),
        "train_loss": loss_sum / inputs.n_train,
        "train_acc": correct / inputs.n_train,
        "clipped": clipped / inputs.steps_per_epoch,
    }
    return figures, probe


def epoch_rates(p: Population, epoch: int) -> torch.Tensor:
    """Each member's learning rate at each step of the epoch, float32 (steps, P)."""
    steps = p.inputs.steps_per_epoch
    rates = []
    for run in p.runs:
        clock = Clock(steps, run.spec.epochs * steps, run.values("val_loss"))
        rates.append(learning_rates(run.spec.lr, run.spec.schedule, run.spec.technique(Warmup), epoch, clock))
    return torch.from_numpy(np.stack(rates, axis=1).astype(np.float32)).to(p.inputs.device)


def noise_keys(network: Network, seeds: Sequence[int], stream: str, first: int, steps: int) -> torch.Tensor | None:
    """Keys of the dropout masks, int32 (steps, layers, P); None without dropout."""
    if network.noise is None:
        return None
    keys = step_keys(seeds, stream, first, steps, len(network.spec.hidden) + 1)
    return torch.from_numpy(keys).to(network.noise.rate.device)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p(label) of each row: logits (P, rows, classes), labels (P or 1, rows) → (P, rows)."""
    index = labels.expand(logits.shape[:2]).unsqueeze(2)
    return -torch.log_softmax(logits, dim=2).gather(2, index).squeeze(2)


Predict = Callable[[int, Batch], torch.Tensor]
"""Logits or log-probabilities (P, rows, classes) of the n-th batch."""


@torch.no_grad()
def evaluate(predict: Predict, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss and accuracy of each member over the batches, each float64 (P,)."""
    sums, rows = [], 0
    for number, batch in enumerate(batches):
        logits = predict(number, batch)
        correct = (logits.argmax(dim=2) == batch.y).float()
        sums.append(torch.stack([batch.sum(cross_entropy(logits, batch.y)), batch.sum(correct)]).double())
        rows += batch.real
    loss, accuracy = (torch.stack(sums).sum(dim=0) / rows).cpu().numpy()
    return loss, accuracy


def validate(p: Population, epoch: int, figures: dict[str, np.ndarray], probe: Probe) -> None:
    """Measure validation and health after the epoch (0-based), and add a row to each run's history."""
    observe = probe.observer(p.network.spec.activations)

    def predict(number: int, batch: Batch) -> torch.Tensor:
        # one batch is enough to see the activations by
        return p.network.forward(batch.x, Pass(real=batch.real, observe=None if number else observe))

    figures["val_loss"], figures["val_acc"] = evaluate(predict, p.inputs.validation())
    layers = probe.figures()
    for m, run in enumerate(p.runs):
        row: dict[str, Any] = {"epoch": epoch + 1} | {name: float(values[m]) for name, values in figures.items()}
        run.history.append(row | {name: values[:, m].tolist() for name, values in layers.items()})
        if not np.isfinite([row["train_loss"], row["val_loss"]]).all():
            run.status = "diverged"


def keep_best(p: Population) -> None:
    """Note the weights of the members that have just improved, where early stopping asks for it."""
    improved = []
    for m, run in enumerate(p.runs):
        stop = run.spec.technique(EarlyStopping)
        if run.status == "diverged":
            continue
        if stop is None or not stop.restore:
            run.kept_epoch = len(run.history)
        elif stop.improvements(run.values(stop.metric))[-1:] == [len(run.history) - 1]:
            run.kept_epoch = len(run.history)
            improved.append(m)
    if improved and p.best:
        index = torch.tensor(improved, device=p.inputs.device)
        for name, tensor in p.network.state().items():
            p.best[name][index] = tensor[index]


def is_over(run: Run) -> bool:
    """Whether the run has diverged, has trained all its epochs, or is stopped early."""
    stop = run.spec.technique(EarlyStopping)
    early = stop is not None and stop.should_stop(run.values(stop.metric))
    return run.status == "diverged" or early or len(run.history) >= run.spec.epochs


def retire(p: Population, over: list[int]) -> None:
    """Test the runs that are over on the weights that they keep, and go on without them."""
    if not over:
        return
    index = torch.tensor(over, device=p.inputs.device)
    network = p.network.select(index)
    runs = [p.runs[m] for m in over]
    for k, run in enumerate(runs):
        stop = run.spec.technique(EarlyStopping)
        if stop and stop.restore and run.kept_epoch:
            for name, tensor in network.state().items():
                tensor[k] = p.best[name][over[k]]
    tested = test(network, p.inputs.select(over), runs)
    for k, run in enumerate(runs):
        if run.status != "diverged":
            run.status, run.test = "finished", {name: float(figures[k]) for name, figures in tested.items()}
        run.weights = {name: tensor[k].cpu().numpy() for name, tensor in network.state().items()}
    p.select([m for m in range(len(p.runs)) if m not in over])


def test(network: Network, inputs: Inputs, runs: list[Run]) -> dict[str, np.ndarray]:
    """Loss and accuracy on the test set, each (P,), and with Monte Carlo dropout where it is on."""
    loss, accuracy = evaluate(lambda _, batch: network.forward(batch.x), inputs.test())
    figures = {"test_loss": loss, "test_acc": accuracy}
    monte_carlo = network.spec.technique(MonteCarloDropout)
    if monte_carlo:
        predict = monte_carlo_prediction(network, monte_carlo.samples, [run.spec.seed for run in runs])
        figures["mc_test_loss"], figures["mc_test_acc"] = evaluate(predict, inputs.test())
    return figures


def monte_carlo_prediction(network: Network, samples: int, seeds: Sequence[int]) -> Predict:
    """The log of the mean of the probabilities over `samples` passes with dropout on."""

    def predict(number: int, batch: Batch) -> torch.Tensor:
        keys = noise_keys(network, seeds, "mc_dropout", number * samples, samples)
        assert keys is not None
        total = sum(torch.softmax(network.forward(batch.x, Pass(noise=key)), dim=2) for key in keys)
        return torch.log(total / samples)

    return predict
