"""Mini-batches on the device: the examples are one tensor as in the files; a batch is an index into it, then scaled.

Padding rows follow the real rows of a batch, so that each member fills whole SIMD registers. What they hold never
matters: whatever combines rows (a mean, a sum, a product over rows) uses the slice of the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from math import prod
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.split import batch_count, batch_counts, step_count
from dnntrain.engine.augmentation import BatchAugmentation
from dnntrain.engine.network import LayerSpecs, layer_specs
from dnntrain.engine.padding import SIMD_WIDTH, evaluation_rows, padded_rows
from dnntrain.engine.scaling import (
    column_means,
    fill_missing,
    flat,
    mean_and_std,
    min_and_range,
    standardize_targets,
)
from dnntrain.engine.splits import Splits, are_shared, epoch_orders, splits_of, training_indices
from dnntrain.metrics import TargetInfo, recorded_metrics
from dnntrain.nn.layer_spec import walk
from dnntrain.techniques.augmentation.test_time import TestTimeFlips
from dnntrain.techniques.losses import Loss, choose_loss
from dnntrain.utils.lazy import torch
from dnntrain.utils.threads import host_threads, in_threads
from dnntrain.utils.trees import map_tensors


@dataclass(frozen=True)
class Batch:
    """The examples of one step: inputs (P, rows, features), float32 or int64 tokens, and targets (P, rows)."""

    x: torch.Tensor
    y: torch.Tensor
    real: int
    """The number of real rows; the rows behind them are padding."""
    partner: torch.Tensor | None = None
    """The targets (P, rows) of the examples that are mixed into these by mixup or cutmix; None without."""
    share: torch.Tensor | None = None
    """The share of its own target in each example's loss, (P, 1); the rest is the partner's. None without partners."""
    mirrored: torch.Tensor | None = None
    """With test-time augmentation, the inputs of the mirror images, like `x`."""


class BatchInputs(NamedTuple):
    """What a mini-batch is made from; for several of them at once, each tensor has their number as its first axis."""

    examples: torch.Tensor
    """Their indices, int32 (P, rows)."""
    y: torch.Tensor
    """Their targets, (P, rows)."""
    draws: tuple[torch.Tensor, ...]
    """What each augmentation drew for them, (P, rows, numbers)."""
    real: int
    """As in `Batch`."""


class EpochDraws(NamedTuple):
    """What is drawn for the members' examples in one epoch (0-based), on the host."""

    epoch: int
    order: np.ndarray
    """Each member's training examples in their order, int32 (P, n)."""
    draws: list[np.ndarray]
    """What each augmentation draws for them, (P, n, numbers)."""


class BatchSource:
    """Training, validation and test examples for P members of one graph."""

    def __init__(
        self,
        dataset: Dataset,
        specs: Sequence[RunSpec],
        device: torch.device,
        splits: Splits | None = None,
        fitted_targets: np.ndarray | None = None,
        layers: LayerSpecs | None = None,
    ) -> None:
        """Put the data on the device.

        Args:
            dataset: The data.
            specs: The members' runs.
            device: Where they train.
            splits: Each member's examples; by default those of its spec.
            fitted_targets: The targets of the full training part, if the data set holds only some of its rows.
            layers: The network's layers, whose widths decide the padding; by default those of the spec.
        """
        spec, outline = specs[0], dataset.outline
        self.device = device
        self.n_features, self.n_outputs = outline.n_features, spec.n_outputs(outline)
        self.batch_size, self.batches_per_step = spec.batch_size, spec.batches_per_step
        layers = layers or layer_specs(spec, outline)
        self.evaluation_rows = evaluation_rows(layers)
        self.widths = {self.n_features, *(prod(layer.shape_out) for layer in walk(layers))}
        self.threads = host_threads(device.type)
        splits = splits or splits_of(dataset, specs, self.threads)
        self.train_indices = training_indices(splits)
        self.val_indices = splits[0][1]
        # the statistics that scale targets and fill gaps are those of the training part
        fitted = np.setdiff1d(np.arange(len(dataset.train_targets)), self.val_indices)
        self._load_inputs(dataset, fitted)
        self._load_targets(
            dataset, spec.output, dataset.train_targets[fitted] if fitted_targets is None else fitted_targets
        )
        self.training_loss = self._training_loss(spec)
        self._ahead: EpochDraws | None = None
        self.is_tokens = dataset.is_tokens
        self.augmentation = BatchAugmentation.of(specs, dataset.outline, device)
        self.mirrors = bool(spec.techniques(TestTimeFlips))
        # a network that starts from maps (C, H, W) has its inputs scaled by the figures of their channel
        shape = layers[0].shape_out
        self.offset, self.factor = self._scaling(
            spec.input_scale(dataset.kind), dataset.is_image, shape[0] if len(shape) == 3 else self.n_features
        )

    def _load_inputs(self, dataset: Dataset, fitted: np.ndarray) -> None:
        """Fill gaps among numbers with the means of the `fitted` examples, by index."""
        parts = flat(dataset.train_inputs), flat(dataset.test_inputs)
        self.fill = column_means(parts[0][fitted]) if dataset.kind == "numbers" else None
        filled = (part if self.fill is None else fill_missing(part, self.fill) for part in parts)
        self.examples, self.test_examples = (torch.from_numpy(part).to(self.device) for part in filled)

    def _load_targets(self, dataset: Dataset, output: str, fitted: np.ndarray) -> None:
        """Standardize numbers by the `fitted` targets; classes stay as they are."""
        targets, test_targets = dataset.train_targets, dataset.test_targets
        task = dataset.outline.task
        self.loss, self.metrics = choose_loss(task, output), recorded_metrics(task)
        self.target_info = dict.fromkeys(("train", "val", "test"), TargetInfo(len(dataset.classes)))
        if not dataset.classes:
            targets, test_targets, self.target_info = standardize_targets(
                targets, test_targets, fitted, self.val_indices
            )
        self.targets, self.test_targets = (torch.from_numpy(part).to(self.device) for part in (targets, test_targets))

    def _training_loss(self, spec: RunSpec) -> Loss:
        """The loss that the members train on, whose class weights may depend on their own examples."""
        if spec.loss is None:
            return self.loss
        return spec.loss.objective(self.loss, self.class_counts(), self.device)

    def class_counts(self) -> np.ndarray:
        """Training examples of each class for each member, (P, classes); no columns in a regression."""
        targets, n_classes = self.targets.cpu().numpy(), self.target_info["train"].n_classes
        counts = [np.bincount(targets[i] if n_classes else [], minlength=n_classes) for i in self.train_indices]
        return np.stack(counts)

    @property
    def n_train(self) -> int:
        """Training examples of each member."""
        return int(self.train_indices.shape[1])

    @property
    def batches_per_epoch(self) -> int:
        """Mini-batches in an epoch, the last one included."""
        return batch_count(self.n_train, self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch, the last one included."""
        return step_count(self.batches_per_epoch, self.batches_per_step)

    def _scaling(self, scale: str, is_image: bool, channels: int) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Offset and factor, each (P or 1, 1, features or 1): x = (values - offset) · factor; no offset is 0.

        All inputs of a channel have the same figures; with as many channels as features, each has its own.

        Levels of images are scaled in float32; columns in float64, since float32 would lose small differences on top of
        a large mean, such as seconds in time stamps.
        """
        if scale == "raw" or (scale == "unit" and is_image):
            return None, torch.full((1, 1, 1), 1.0 if scale == "raw" else 1.0 / 255.0, device=self.device)
        # a subset of the training part differs from member to member, and so do its statistics
        shared = are_shared(self.train_indices)
        members = self.train_indices[:1] if shared else self.train_indices
        values, measure = self.examples.cpu().numpy(), min_and_range if scale == "unit" else mean_and_std
        measured = in_threads(lambda m: measure(values, m, channels), members, self.threads)
        figures = (np.stack(figure)[:, None, :] for figure in zip(*measured, strict=True))
        offset, spread = figures
        # a column that is constant in training has no information, and becomes 0
        factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        precision = np.float32 if is_image else np.float64
        on_device = (torch.from_numpy(figure.astype(precision)).to(self.device) for figure in (offset, factor))
        return next(on_device), next(on_device)

    def scaling(self) -> list[dict[str, np.ndarray]]:
        """The measured values that fill and scale each member's inputs: they are stored with its network."""
        filled = {} if self.fill is None else {"input.fill": self.fill[None]}
        if self.offset is None:
            return [filled for _ in self.train_indices]
        offset, factor = self.offset.cpu().numpy(), self.factor.cpu().numpy()
        places = [0 if len(offset) == 1 else member for member in range(len(self.train_indices))]
        return [filled | {"input.offset": offset[m], "input.factor": factor[m]} for m in places]

    def select(self, members: Sequence[int]) -> BatchSource:
        """The inputs of some members, by their indices; the examples are shared."""
        some = copy(self)
        if self._ahead:
            draws = [each[members] for each in self._ahead.draws]
            some._ahead = EpochDraws(self._ahead.epoch, self._ahead.order[members], draws)
        some.train_indices = self.train_indices[members]
        some.training_loss = self.training_loss.select(members)
        some.augmentation = self.augmentation.select(members)
        if self.offset is not None and len(self.offset) > 1:
            some.offset, some.factor = self.offset[members], self.factor[members]
        return some

    def scaled(self, values: torch.Tensor) -> torch.Tensor:
        """Gathered rows (P or 1, rows, features), as in the files → float32, scaled; int64 if they are tokens."""
        if self.is_tokens:
            return values.to(torch.int64)
        if self.offset is None:
            return values.to(torch.float32).mul_(self.factor)
        return (values.to(self.offset.dtype) - self.offset).mul_(self.factor).to(torch.float32)

    def epoch(self, seeds: Sequence[int], epoch: int) -> Iterator[Batch]:
        """The mini-batches of one epoch (0-based), each member's in its own order, augmented."""
        for inputs in self.epoch_inputs(seeds, epoch):
            for n in range(len(inputs.examples)):
                yield self.batch(map_tensors(itemgetter(n), inputs))

    def batch(self, inputs: BatchInputs) -> Batch:
        """The mini-batch that is made from these inputs."""
        levels = self.augmentation.change_images(self._gather(self.examples, inputs.examples), inputs.draws)
        changed = self.augmentation.change_inputs(self.scaled(levels), inputs.y, inputs.real, inputs.draws)
        x, partner, share = changed
        return Batch(x, inputs.y, inputs.real, partner, share)

    def epoch_inputs(self, seeds: Sequence[int], epoch: int) -> Iterator[BatchInputs]:
        """What the mini-batches of one epoch (0-based) are made from: those of full size, then the last.

        Each tensor has the number of mini-batches as its first axis. Rows of padding hold 0.
        """
        drawn = self._ahead if self._ahead and self._ahead.epoch == epoch else self._draw(seeds, epoch)
        full, last = batch_counts(self.n_train, self.batch_size)
        for count, size, start in ((full, self.batch_size, 0), (1, last, full * self.batch_size)):
            if count * size:
                index, *draws = (self._by_batch(values, count, size, start) for values in (drawn.order, *drawn.draws))
                y = self.targets.index_select(0, index.view(-1)).view(index.shape)
                yield BatchInputs(index, y, tuple(draws), size)

    def draw_ahead(self, seeds: Sequence[int], epoch: int) -> None:
        """Draw the numbers of an epoch (0-based) before they are needed: a GPU works meanwhile."""
        self._ahead = self._draw(seeds, epoch)

    def _draw(self, seeds: Sequence[int], epoch: int) -> EpochDraws:
        order = epoch_orders(self.train_indices, seeds, epoch, self.threads)
        return EpochDraws(epoch, order, self.augmentation.draw(seeds, epoch, order, self.batch_size))

    def _by_batch(self, values: np.ndarray, count: int, size: int, start: int) -> torch.Tensor:
        """Values of examples from `start` on, (P, n, …), as those of `count` batches, (count, P, rows, …)."""
        members, rest = len(values), values.shape[2:]
        by_batch = np.zeros((count, members, padded_rows(size, self.widths), *rest), values.dtype)
        part = values[:, start : start + count * size].reshape(members, count, size, *rest)
        by_batch[:, :, :size] = part.swapaxes(0, 1)
        return torch.from_numpy(by_batch).to(self.device)

    def _gather(self, examples: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The examples that index (P, rows) names, as in the files: (P, rows, features)."""
        return examples.index_select(0, index.view(-1)).view(*index.shape, -1)

    def validation(self) -> Iterator[Batch]:
        """The validation examples in order, the same for every member (P = 1 unless members scale differently)."""
        return self._in_order(self.examples, self.targets, self.val_indices)

    def test(self) -> Iterator[Batch]:
        """The test examples in order."""
        return self._in_order(self.test_examples, self.test_targets, np.arange(len(self.test_targets)))

    def _in_order(self, examples: torch.Tensor, targets: torch.Tensor, indices: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(indices), self.evaluation_rows):
            chunk = indices[start : start + self.evaluation_rows].astype(np.int32)
            padded = np.pad(chunk, (0, -len(chunk) % SIMD_WIDTH))
            index = torch.from_numpy(padded).to(self.device).unsqueeze(0)
            levels = self._gather(examples, index)
            mirrored = self.scaled(self.augmentation.mirror(levels)) if self.mirrors else None
            yield Batch(self.scaled(levels), targets[index], len(chunk), mirrored=mirrored)
