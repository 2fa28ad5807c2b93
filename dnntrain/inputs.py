"""The data set on the device: one uint8 tensor, of which a batch is an index; scaled where it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from math import gcd

import numpy as np
import torch

from dnntrain.data import Dataset
from dnntrain.data.split import split_indices
from dnntrain.spec import CoreSpec
from dnntrain.streams import generator

EVALUATION_ROWS = 512
VECTOR = 16
"""Elements after which vectorised exp, tanh and the like take their scalar tail, which rounds differently."""


@dataclass(frozen=True)
class Batch:
    """Rows of one step: inputs (P, rows, features), labels (P, rows), and which rows are real."""

    x: torch.Tensor
    y: torch.Tensor
    real: int
    """How many rows count; the others, behind them, are padding."""
    rows: torch.Tensor | None
    """float (rows, 1), 1 for a real row and 0 for padding; None where all are real."""

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over the real rows of values (P, rows) → (P,)."""
        return self.sum(values) / self.real

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the real rows of values (P, rows) → (P,)."""
        return values.sum(dim=1) if self.rows is None else (values * self.rows.T).sum(dim=1)


def padded_rows(rows: int, widths: Sequence[int]) -> int:
    """The least number of rows ≥ `rows` that makes rows × width a multiple of VECTOR for every width.

    Then no member's elements reach into a vector's scalar tail, so its numbers do not depend on its neighbours.
    """
    multiple = VECTOR // gcd(VECTOR, *widths)
    return -(-rows // multiple) * multiple


class Inputs:
    """Training, validation and test images for P members of one graph."""

    def __init__(self, dataset: Dataset, specs: Sequence[CoreSpec], device: torch.device) -> None:
        spec = specs[0]
        self.device = device
        self.n_features, self.n_classes = dataset.n_features, dataset.n_classes
        widths = (self.n_features, *spec.hidden, self.n_classes)
        self.batch_size, self.rows = spec.batch_size, padded_rows(spec.batch_size, widths)
        self.images = torch.from_numpy(dataset.train_images.reshape(len(dataset.train_images), -1)).to(device)
        self.labels = torch.from_numpy(dataset.train_labels).to(device)
        self.test_images = torch.from_numpy(dataset.test_images.reshape(len(dataset.test_images), -1)).to(device)
        self.test_labels = torch.from_numpy(dataset.test_labels).to(device)
        splits = [
            split_indices(dataset.train_labels, spec.val, spec.train_size, generator(s.seed, "split")) for s in specs
        ]
        self.train_indices = np.stack([train for train, _ in splits])
        self.val_indices = splits[0][1]
        self.offset, self.factor = self._scaling(spec.scale)

    @property
    def n_train(self) -> int:
        """Training images of each member."""
        return int(self.train_indices.shape[1])

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches in an epoch, a partial one at the end included."""
        return -(-self.n_train // self.batch_size)

    def _scaling(self, scale: str) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Offset and factor, each (P or 1, 1, features or 1): x = (pixels - offset) · factor; no offset is 0."""
        if scale != "standard":
            return None, torch.full((1, 1, 1), 1.0 / 255.0 if scale == "unit" else 1.0, device=self.device)
        # a subset of the training part differs from member to member, and so do its statistics
        shared = all(np.array_equal(indices, self.train_indices[0]) for indices in self.train_indices[1:])
        members = self.train_indices[:1] if shared else self.train_indices
        pixels = self.images.cpu().numpy()
        statistics = [pixel_statistics(pixels, indices) for indices in members]
        offset, deviation = (np.stack(figures)[:, None, :] for figures in zip(*statistics, strict=True))
        # a pixel that never changes in training tells nothing: it becomes 0
        factor = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        on_device = (torch.from_numpy(figure.astype(np.float32)).to(self.device) for figure in (offset, factor))
        return next(on_device), next(on_device)

    def select(self, members: Sequence[int]) -> Inputs:
        """The inputs of some members, by their indices; the images are shared."""
        some = copy(self)
        some.train_indices = self.train_indices[members]
        if self.offset is not None and len(self.offset) > 1:
            some.offset, some.factor = self.offset[members], self.factor[members]
        return some

    def scaled(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (P or 1, rows, features) → float32, scaled."""
        x = pixels.to(torch.float32)
        return x.mul_(self.factor) if self.offset is None else (x - self.offset).mul_(self.factor)

    def epoch(self, seeds: Sequence[int], epoch: int) -> Iterator[Batch]:
        """The mini-batches of one epoch (0-based), each member's in its own order."""
        order = self._order(seeds, epoch)
        full, partial = divmod(self.n_train, self.batch_size)
        for step, index in enumerate(order):
            size = self.batch_size if step < full else partial
            yield self._gather(self.images, self.labels, index, size)

    def _order(self, seeds: Sequence[int], epoch: int) -> torch.Tensor:
        """The images of each step, int32 (steps, P, rows) on the device; padded with the first image."""
        members = []
        for seed, indices in zip(seeds, self.train_indices, strict=True):
            order = np.zeros(self.steps_per_epoch * self.batch_size, np.int32)
            order[: self.n_train] = generator(seed, "shuffle", epoch).permutation(indices.astype(np.int32))
            members.append(order.reshape(self.steps_per_epoch, self.batch_size))
        padding = ((0, 0), (0, 0), (0, self.rows - self.batch_size))
        return torch.from_numpy(np.pad(np.stack(members, axis=1), padding)).to(self.device)

    def _gather(self, images: torch.Tensor, labels: torch.Tensor, index: torch.Tensor, real: int) -> Batch:
        """The images that index (P, rows) names, of which the first `real` rows count."""
        members, rows = index.shape
        flat = index.reshape(-1)
        x = self.scaled(images.index_select(0, flat).view(members, rows, -1))
        weights = None if real == rows else (torch.arange(rows, device=self.device) < real).float().unsqueeze(1)
        return Batch(x, labels.index_select(0, flat).view(members, rows), real, weights)

    def validation(self) -> Iterator[Batch]:
        """The validation images in order, the same for every member (P = 1 unless members scale differently)."""
        return self._in_order(self.images, self.labels, self.val_indices)

    def test(self) -> Iterator[Batch]:
        """The test images in order."""
        return self._in_order(self.test_images, self.test_labels, np.arange(len(self.test_labels)))

    def _in_order(self, images: torch.Tensor, labels: torch.Tensor, indices: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(indices), EVALUATION_ROWS):
            chunk = indices[start : start + EVALUATION_ROWS].astype(np.int32)
            index = np.pad(chunk, (0, -len(chunk) % VECTOR))
            yield self._gather(images, labels, torch.from_numpy(index).to(self.device).unsqueeze(0), len(chunk))


def pixel_statistics(images: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each pixel over images[indices], uint8 (n, features) → float64 (features,)."""
    total, squares = np.zeros(images.shape[1], np.int64), np.zeros(images.shape[1], np.int64)
    for chunk in np.array_split(indices, max(1, len(indices) // 4096)):
        pixels = images[chunk].astype(np.int64)
        total += pixels.sum(axis=0)
        squares += (pixels * pixels).sum(axis=0)
    mean = total / len(indices)
    return mean, np.sqrt(np.maximum(squares / len(indices) - mean**2, 0.0))
