"""Gradient accumulation: several mini-batches make one step."""

from __future__ import annotations

from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.fields import hyperparameter


class Accumulation(Switch):
    """Gradient accumulation."""

    family = "Gradient accumulation"
    name = "accumulate"
    primary = "batches"
    summary = "Takes one optimizer step for every k mini-batches, by the gradient of their mean loss."
    paper = "Goyal et al. 2017, Accurate, Large Minibatch SGD, arXiv:1706.02677, section 2.3 on large mini-batches"
    formula = "g = ∇ of the mean loss over all examples of k mini-batches;  then one step"
    advice = (
        "A batch of k · batch_size in the memory of one mini-batch. Schedules and lengths count steps, so they shrink "
        "by k too. Batch norm still sees single mini-batches."
    )
    batches: int = hyperparameter(2, "mini-batches k of a step", ge=2, le=65_536)

    def idle(self, run: RunExtent) -> str | None:
        if run.batches_per_epoch > 1:
            return None
        return f"accumulate {self.batches}: an epoch is a single mini-batch"
