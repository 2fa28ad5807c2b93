"""The base class of the losses that a run can train on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dnntrain.techniques.base import Choice, RunExtent, techniques_in
from dnntrain.techniques.losses.plain import Loss, PlainLoss
from dnntrain.utils.lazy import torch


class TrainingLoss(Choice):
    """The loss that a run trains on. Validation and test are measured by the plain loss all the same."""

    family = "Loss"
    slot = "loss"
    task: ClassVar[str]
    """classification or regression."""

    def fault(self, run: RunExtent) -> str | None:
        if run.task == self.task:
            return None
        names = ", ".join(loss.name for loss in techniques_in(TrainingLoss) if loss.task == run.task)
        return f"loss {self.name}: is for a {self.task}; for this {run.task} there are {names}"

    def objective(self, plain: PlainLoss, class_counts: np.ndarray, device: torch.device) -> Loss:
        """The loss as P members train on it.

        Args:
            plain: The plain loss of the task and the run's `output`.
            class_counts: Examples of each class in each member's training part, (P, classes); no columns in a
                regression.
            device: Where the members train.
        """
        raise NotImplementedError
