"""The plain PyTorch loop of the tutorials: a TensorDataset in a DataLoader, batch by batch."""

from __future__ import annotations

import torch
from peer import Arrays, EpochDone, Task, load, main
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torch_network import network, optimizer_of


def train(task: Task, epoch_done: EpochDone) -> None:
    """Train, and validate after each epoch."""
    torch.manual_seed(task.seed)
    arrays = load(task)
    batches, val_batches = loaders(task, arrays)
    model = network(task, arrays.x.shape[1])
    optimizer = optimizer_of(task, model.parameters())
    for _ in range(task.epochs):
        model.train()
        loss_sum, correct = 0.0, 0
        for images, labels in batches:
            logits = model(images)
            loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            if task.clipvalue:
                torch.nn.utils.clip_grad_value_(model.parameters(), task.clipvalue)
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            correct += (logits.argmax(dim=1) == labels).sum().item()
        epoch_done(validate(model, val_batches))


def loaders(task: Task, arrays: Arrays) -> tuple[DataLoader, DataLoader]:
    """Training batches, shuffled, and validation batches; no worker processes, which cost more than they bring here."""
    train, val = (
        TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
        for x, y in ((arrays.x, arrays.y), (arrays.x_val, arrays.y_val))
    )
    return DataLoader(train, task.batch_size, shuffle=True), DataLoader(val, task.validation_rows or task.batch_size)


@torch.no_grad()
def validate(model: torch.nn.Module, batches: DataLoader) -> float:
    """The accuracy; the loss is computed too, as everybody's is."""
    model.eval()
    loss_sum, correct, images_seen = 0.0, 0, 0
    for images, labels in batches:
        logits = model(images)
        loss_sum += cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
        images_seen += len(labels)
    return correct / images_seen


if __name__ == "__main__":
    main(train)
