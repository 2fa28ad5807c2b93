"""What the numbers of a training step come from: examples, dropout keys, rates, and the step's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

import torch

from dnntrain.engine.averaging import averaging_shares
from dnntrain.engine.batches import BatchInputs
from dnntrain.engine.network import dropout_key_tensor
from dnntrain.engine.population import Population
from dnntrain.engine.update import Rates, epoch_rates
from dnntrain.utils.trees import map_tensors


class StepInputs(NamedTuple):
    """What one step's numbers come from; for several steps at once, each tensor has their number as its first axis.

    Tensors hold all that changes from step to step, so that a step is a fixed sequence of kernels: see `engine.graphs`.
    """

    batches: tuple[BatchInputs, ...]
    """One mini-batch, or several with gradient accumulation."""
    keys: torch.Tensor | None
    """Keys of the dropout masks, int32 (mini-batches, layers, P); None without dropout."""
    rates: Rates
    share: torch.Tensor | None
    """The share of the present weights in each member's average after the step, (P,); None where no average moves."""
    number: int | torch.Tensor
    """The number of the step in this training, from 1; as a tensor float64 without axes."""
    is_first: bool
    """Whether it is the first step of this training."""


@dataclass(frozen=True)
class StepGroup:
    """Consecutive steps with mini-batches of the same sizes."""

    inputs: StepInputs
    """Those of all the steps."""
    averages: Sequence[bool]
    """Whether an average moves after each step."""
    first_number: int
    """The first step's number in this training, from 1."""

    def __len__(self) -> int:
        return len(self.averages)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Real rows of each mini-batch of a step."""
        return tuple(batch.real for batch in self.inputs.batches)

    def at(self, n: int) -> StepInputs:
        """The inputs of the n-th step of the group (from 0), as views."""
        # spelled out, and from views that are made all at once, because it comes before every step
        batches, keys, (lr, momentum), share, *_ = self._views
        number = self.first_number + n
        return StepInputs(
            tuple(BatchInputs(b.examples[n], b.y[n], tuple(d[n] for d in b.draws), b.real) for b in batches),
            keys and keys[n],
            Rates({base: rates[n] for base, rates in lr.items()}, momentum and momentum[n]),
            share[n] if share and self.averages[n] else None,
            number,
            number == 1,
        )

    @cached_property
    def targets(self) -> list[tuple[torch.Tensor, ...]]:
        """For each mini-batch of a step, the targets (P, rows) at each of the steps, as views."""
        return [batch.y.unbind() for batch in self.inputs.batches]

    @cached_property
    def _views(self) -> StepInputs:
        """The inputs with a tuple of views, one for each step, in place of each tensor."""
        return map_tensors(torch.unbind, self.inputs)

    def at_row(self, row: torch.Tensor, averages: bool) -> StepInputs:
        """The inputs of a step whose number in the group is on the device: copies, and the step's number is a tensor.

        Args:
            row: The number, int64 (1,).
            averages: Whether an average moves after the step.
        """
        inputs = self.inputs if averages else self.inputs._replace(share=None)
        return map_tensors(lambda tensor: tensor.index_select(0, row).squeeze(0), inputs)


def epoch_steps(p: Population, epoch: int, rates: Rates | None = None) -> list[StepGroup]:
    """The steps of an epoch (0-based): those of full size, then the last one if it is smaller.

    Args:
        p: The population.
        epoch: Epochs trained before in this training.
        rates: The rates of each step; by default those that the schedules set.
    """
    source, in_all = p.inputs, p.start_state.epochs + epoch
    parts, per_step = list(source.epoch_inputs(p.seeds, in_all)), source.batches_per_step
    n_batches, n_steps = source.batches_per_epoch, source.steps_per_epoch
    keys = dropout_key_tensor(p.network, p.seeds, "dropout", in_all * n_batches, n_batches)
    share, averages = averaging_shares(p, epoch)
    first = epoch * n_steps + 1
    number = torch.arange(first, first + n_steps, dtype=torch.float64, device=source.device)
    by_step = rates or epoch_rates(p, epoch), share, number  # each tensor has the steps as its first axis

    def group(steps: slice, batches: Sequence[BatchInputs]) -> StepGroup:
        own_keys = None if keys is None else keys[steps.start * per_step :][: (steps.stop - steps.start) * len(batches)]
        shaped = own_keys if own_keys is None else own_keys.view(-1, len(batches), *own_keys.shape[1:])
        own = map_tensors(itemgetter(steps), by_step)
        return StepGroup(StepInputs(tuple(batches), shaped, *own, False), averages[steps], first + steps.start)

    # the last step is smaller if it has fewer mini-batches, or the last of them is smaller
    full = len(parts[0].examples) // per_step if parts[0].real == source.batch_size else 0
    taken = full * per_step
    groups = []
    if full:
        whole = [map_tensors(itemgetter(slice(k, taken, per_step)), parts[0]) for k in range(per_step)]
        groups.append(group(slice(0, full), whole))
    if full < n_steps:
        ones = (map_tensors(itemgetter(slice(k, k + 1)), part) for part in parts for k in range(len(part.examples)))
        groups.append(group(slice(full, n_steps), list(islice(ones, taken, None))))
    return groups
