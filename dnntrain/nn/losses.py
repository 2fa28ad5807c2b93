"""Losses as pure functions of tensors."""

from __future__ import annotations

from dnntrain.utils.lazy import torch


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """log softmax of logits (P, rows, classes) → (P, classes, rows): a CPU vectorizes across rows."""
    return torch.log_softmax(logits.transpose(1, 2), dim=1)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p(label) of each row: logits (P, rows, classes), labels (P or 1, rows) → (P, rows)."""
    label = labels.expand(logits.shape[:2]).unsqueeze(1)
    return log_probabilities(logits).gather(1, label).squeeze(1).neg_()
