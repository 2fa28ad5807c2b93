"""What a training step and a test example cost: a population that is trained and tested only to be timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice

import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.evaluation import forward, monte_carlo_prediction
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.engine.steps import endless_steps, train_step
from dnntrain.engine.update import epoch_rates

TEST_ROWS = 1024
"""Test examples that are predicted each time, at most."""


class ArmTimer:
    """Runs of one graph on one core, whose training steps and predictions are timed. Nothing of them is kept.

    Times are those of the processor in this thread, which do not grow while other processes or threads have it. torch
    uses this thread only, so on an idle machine they are those of the clock.
    """

    def __init__(self, specs: Sequence[RunSpec], dataset: Dataset) -> None:
        """Prepare the runs.

        Args:
            specs: The runs, which differ at most in what members of one population may differ in.
            dataset: Their data.
        """
        with torch.inference_mode():
            runs = [Run(spec, index) for index, spec in enumerate(specs)]
            p = Population.start(runs, dataset, torch.device("cpu"), StartState())
            self.population, self.steps_per_epoch = p, p.inputs.steps_per_epoch
            self._steps = endless_steps(p, epoch_rates(p, 0))
            self._batches = list(islice(p.inputs.test(), TEST_ROWS // p.inputs.evaluation_rows or 1))
            averaged = specs[0].mc_dropout
            if averaged:
                self._predict = monte_carlo_prediction(p.evaluated_network(), p.inputs.loss, averaged.samples, p.seeds)
                del self._batches[1:]  # each takes as many passes as there are samples
            else:
                self._predict = forward(p.evaluated_network(), p.inputs.loss)

    def step_seconds(self, steps: int) -> float:
        """Take the next training steps; returns the mean processor time of one, for one run.

        A step is a mini-batch, forward and backward pass, and update, without metrics and health. Later epochs have the
        learning rates of the first.
        """
        with torch.inference_mode():
            started = time.thread_time()
            for step in islice(self._steps, steps):
                train_step(self.population, step)
            return (time.thread_time() - started) / steps / len(self.population.runs)

    def test_seconds(self) -> float:
        """Predict some test examples as a test does; returns the mean processor time of one, for one run.

        With Monte Carlo dropout, that includes all its passes.
        """
        with torch.inference_mode():
            started = time.thread_time()
            for number, batch in enumerate(self._batches):
                self._predict(number, batch)
            rows = sum(batch.real for batch in self._batches)
            return (time.thread_time() - started) / rows / len(self.population.runs)
