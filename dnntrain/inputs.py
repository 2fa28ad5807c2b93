"""The data set on the device: one tensor as in the files, of which a batch is an index; scaled where it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from math import gcd

import numpy as np
import torch

from dnntrain.data import Dataset, Outline
from dnntrain.data.split import split
from dnntrain.errors import InputError
from dnntrain.memory import EVALUATION_ROWS
from dnntrain.spec import CoreSpec
from dnntrain.streams import generator
from dnntrain.tasks import Binary, Classification, Regression, Task

TURN = 32
"""Elements that vectorised exp, tanh and the like take in one turn (two AVX-512 vectors); what remains behind the last
turn is computed one by one, which rounds differently."""


@dataclass(frozen=True)
class Batch:
    """Rows of one step: inputs (P, rows, features), targets (P, rows), and which rows are real."""

    x: torch.Tensor
    y: torch.Tensor
    real: int
    """How many rows count; the others, behind them, are padding."""
    rows: torch.Tensor | None
    """float (rows, 1), 1 for a real row and 0 for padding; None where all are real."""
    shares: torch.Tensor
    """Each row's weight in the mean over the real rows, (P, rows)."""


Splits = Sequence[tuple[np.ndarray, np.ndarray]]
"""Each member's training and validation examples, as indices."""


def splits_of(dataset: Dataset, specs: Sequence[CoreSpec]) -> Splits:
    """The examples that train and validate each run."""
    streams = [generator(0 if spec.draw == "same" else spec.seed, "split") for spec in specs]
    return [
        split(dataset, s.val, s.train_size, stream, first=s.val_part == "first")
        for s, stream in zip(specs, streams, strict=True)
    ]


def padded_rows(rows: int, widths: Sequence[int]) -> int:
    """The least number of rows ≥ `rows` that makes rows × width a multiple of TURN for every width.

    Then no member's elements are among those behind the last turn, so its numbers do not depend on its neighbours.
    """
    multiple = TURN // gcd(TURN, *widths)
    # one row would be a vector, whose products take another path
    return max(2, -(-rows // multiple) * multiple)


class Inputs:
    """Training, validation and test examples for P members of one graph."""

    def __init__(
        self, dataset: Dataset, specs: Sequence[CoreSpec], device: torch.device, splits: Splits | None = None
    ) -> None:
        spec, outline = specs[0], dataset.outline
        self.device = device
        self.n_features, self.n_outputs = outline.n_features, outputs_of(outline, spec)
        widths = (self.n_features, *spec.hidden, self.n_outputs)
        self.batch_size, self.rows = spec.batch_size, padded_rows(spec.batch_size, widths)
        splits = splits or splits_of(dataset, specs)
        self.train_indices = np.stack([train for train, _ in splits])
        self.val_indices = splits[0][1]
        # what is measured to scale targets and fill gaps comes from the training part alone
        fitted = np.setdiff1d(np.arange(len(dataset.train_targets)), self.val_indices)
        train, test = flat(dataset.train_inputs), flat(dataset.test_inputs)
        if not dataset.is_image:
            train, test = (without_gaps(part, train[fitted]) for part in (train, test))
        self.examples, self.test_examples = (torch.from_numpy(part).to(device) for part in (train, test))
        targets, test_targets = dataset.train_targets, dataset.test_targets
        self.task: Task = Binary() if spec.output == "sigmoid" else Classification()
        if not outline.classes:
            targets, test_targets, self.task = standardised(targets, test_targets, fitted, self.val_indices)
        self.targets, self.test_targets = (torch.from_numpy(part).to(device) for part in (targets, test_targets))
        self.offset, self.factor = self._scaling(spec.scale, dataset.is_image)

    @property
    def n_train(self) -> int:
        """Training examples of each member."""
        return int(self.train_indices.shape[1])

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches in an epoch, a partial one at the end included."""
        return -(-self.n_train // self.batch_size)

    def _scaling(self, scale: str, is_image: bool) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Offset and factor, each (P or 1, 1, features or 1): x = (values - offset) · factor; no offset is 0."""
        scale = {"auto": "unit" if is_image else "standard"}.get(scale, scale)
        if scale == "raw" or (scale == "unit" and is_image):
            return None, torch.full((1, 1, 1), 1.0 if scale == "raw" else 1.0 / 255.0, device=self.device)
        # a subset of the training part differs from member to member, and so do its statistics
        shared = all(np.array_equal(indices, self.train_indices[0]) for indices in self.train_indices[1:])
        members = self.train_indices[:1] if shared else self.train_indices
        values, measure = self.examples.cpu().numpy(), extremes if scale == "unit" else moments
        figures = (np.stack(figure)[:, None, :] for figure in zip(*(measure(values, m) for m in members), strict=True))
        offset, spread = figures
        # a column that never changes in training tells nothing: it becomes 0
        factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        on_device = (torch.from_numpy(figure.astype(np.float32)).to(self.device) for figure in (offset, factor))
        return next(on_device), next(on_device)

    def scaling(self, member: int) -> dict[str, np.ndarray]:
        """What a member's inputs are scaled by, where that was measured: it belongs to its network."""
        if self.offset is None:
            return {}
        shared = len(self.offset) == 1
        figures = {"input.offset": self.offset, "input.factor": self.factor}
        return {name: figure[0 if shared else member].cpu().numpy() for name, figure in figures.items()}

    def select(self, members: Sequence[int]) -> Inputs:
        """The inputs of some members, by their indices; the examples are shared."""
        some = copy(self)
        some.train_indices = self.train_indices[members]
        if self.offset is not None and len(self.offset) > 1:
            some.offset, some.factor = self.offset[members], self.factor[members]
        return some

    def scaled(self, values: torch.Tensor) -> torch.Tensor:
        """Gathered rows (P or 1, rows, features), uint8 or float32 → float32, scaled."""
        x = values.to(torch.float32)
        return x.mul_(self.factor) if self.offset is None else (x - self.offset).mul_(self.factor)

    def epoch(self, seeds: Sequence[int], epoch: int) -> Iterator[Batch]:
        """The mini-batches of one epoch (0-based), each member's in its own order."""
        order = self._order(seeds, epoch)
        targets = self.targets.index_select(0, order.view(-1)).view(order.shape)
        full, partial = divmod(self.n_train, self.batch_size)
        weights = {size: self._weights(order.shape[1:], size) for size in (self.batch_size, partial)}
        for step, index in enumerate(order):
            size = self.batch_size if step < full else partial
            yield Batch(self._gather(self.examples, index), targets[step], size, *weights[size])

    def _order(self, seeds: Sequence[int], epoch: int) -> torch.Tensor:
        """The examples of each step, int32 (steps, P, rows) on the device; padded with the first example."""
        members = []
        for seed, indices in zip(seeds, self.train_indices, strict=True):
            order = np.zeros(self.steps_per_epoch * self.batch_size, np.int32)
            order[: self.n_train] = generator(seed, "shuffle", epoch).permutation(indices.astype(np.int32))
            members.append(order.reshape(self.steps_per_epoch, self.batch_size))
        padding = ((0, 0), (0, 0), (0, self.rows - self.batch_size))
        return torch.from_numpy(np.pad(np.stack(members, axis=1), padding)).to(self.device)

    def _gather(self, examples: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The examples that index (P, rows) names, scaled: (P, rows, features)."""
        return self.scaled(examples.index_select(0, index.view(-1)).view(*index.shape, -1))

    def _weights(self, shape: torch.Size, real: int) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Batch.rows and Batch.shares of a batch of shape (P, rows) of which the first `real` rows count."""
        rows = shape[1]
        counts = (torch.arange(rows, device=self.device) < real).float()
        return None if real == rows else counts.unsqueeze(1), (counts / max(real, 1)).expand(shape)

    def validation(self) -> Iterator[Batch]:
        """The validation examples in order, the same for every member (P = 1 unless members scale differently)."""
        return self._in_order(self.examples, self.targets, self.val_indices)

    def test(self) -> Iterator[Batch]:
        """The test examples in order."""
        return self._in_order(self.test_examples, self.test_targets, np.arange(len(self.test_targets)))

    def _in_order(self, examples: torch.Tensor, targets: torch.Tensor, indices: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(indices), EVALUATION_ROWS):
            chunk = indices[start : start + EVALUATION_ROWS].astype(np.int32)
            padded = np.pad(chunk, (0, -len(chunk) % TURN))
            index = torch.from_numpy(padded).to(self.device).unsqueeze(0)
            weights = self._weights(index.shape, len(chunk))
            yield Batch(self._gather(examples, index), targets[index], len(chunk), *weights)


def outputs_of(outline: Outline, spec: CoreSpec) -> int:
    """Units of the output layer; InputError for a sigmoid where there are not two classes."""
    if spec.output == "softmax":
        return outline.n_outputs
    if len(outline.classes) != 2:
        raise InputError(f"output sigmoid: for two classes, and there are {len(outline.classes) or 'none'}")
    return 1


def flat(values: np.ndarray) -> np.ndarray:
    """(N, *shape) → (N, features), without a copy."""
    return values.reshape(len(values), -1)


def without_gaps(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """float32 (N, features) with each nan replaced by its column's mean over the `known` rows (n, features)."""
    there = ~np.isnan(known)
    total = np.where(there, known, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(np.isnan(values), (total / np.maximum(there.sum(axis=0), 1)).astype(np.float32), values)


def standardised(
    train: np.ndarray, test: np.ndarray, fitted: np.ndarray, validation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Regression]:
    """Targets with mean 0 and deviation 1 over the `fitted` training rows, and the task that knows the unit."""
    mean, deviation = (float(figure) for figure in (np.mean(train[fitted], dtype=np.float64), train[fitted].std()))
    train, test = (((part - mean) / (deviation or 1.0)).astype(np.float32) for part in (train, test))
    parts = {"train": train[fitted], "val": train[validation], "test": test}
    return train, test, Regression(deviation or 1.0, {name: float(part.var()) for name, part in parts.items()})


def moments(values: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column over values[indices], (n, features) → float64 (features,).

    Levels of images are summed as whole numbers, so exactly.
    """
    kind = np.int64 if values.dtype == np.uint8 else np.float64
    total, squares = np.zeros(values.shape[1], kind), np.zeros(values.shape[1], kind)
    for chunk in chunks(indices):
        rows = values[chunk].astype(kind)
        total += rows.sum(axis=0)
        squares += (rows * rows).sum(axis=0)
    mean = total / len(indices)
    variance = np.maximum(squares / len(indices) - mean**2, 0.0)
    # what is left of a constant column by rounding is no spread
    return mean, np.sqrt(np.where(variance > 1e-12 * mean**2, variance, 0.0))


def extremes(values: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least value and range of each column over values[indices], (n, features) → float64 (features,)."""
    least = np.min([values[chunk].min(axis=0) for chunk in chunks(indices)], axis=0).astype(np.float64)
    return least, np.max([values[chunk].max(axis=0) for chunk in chunks(indices)], axis=0) - least


def chunks(indices: np.ndarray) -> list[np.ndarray]:
    """The indices a few thousand at a time, so that copies of their rows stay small."""
    return np.array_split(indices, max(1, len(indices) // 2048))
