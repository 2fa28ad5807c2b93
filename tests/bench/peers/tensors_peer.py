"""The plain loop over tensors: the data in one tensor, a batch is an index. What cifar10-airbench and others do."""

from __future__ import annotations

import torch
from peer import EpochDone, Task, load, main
from torch.nn.functional import cross_entropy
from torch_network import network, optimizer_of
from torch_transfer import reuse, unfreeze_top


def train(task: Task, epoch_done: EpochDone) -> float | None:
    """Train, and validate after each epoch, then test; loss and accuracy are summed up without waiting for them."""
    torch.manual_seed(task.seed)
    arrays = load(task)
    x, y, x_val, y_val = map(torch.from_numpy, (arrays.x, arrays.y, arrays.x_val, arrays.y_val))
    model = network(task, x.shape[1])
    if task.unfreeze_after is not None:
        reuse(task, model)
    optimizer = optimizer_of(task, trainable(model))
    rows = task.validation_rows or task.batch_size
    for epoch in range(task.epochs):
        if epoch == task.unfreeze_after:
            unfreeze_top(model)
            optimizer = optimizer_of(task, trainable(model))
        model.train()
        loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for index in torch.randperm(len(x)).split(task.batch_size):
            labels = y[index]
            logits = model(x[index])
            loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            if task.clipvalue:
                torch.nn.utils.clip_grad_value_(model.parameters(), task.clipvalue)
            optimizer.step()
            loss_sum += loss.detach() * len(index)
            correct += (logits.argmax(dim=1) == labels).sum()
        epoch_done(evaluate(model, x_val, y_val, rows))
    if not task.tests:
        return None
    return evaluate(model, torch.from_numpy(arrays.x_test), torch.from_numpy(arrays.y_test), rows)


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """What is not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@torch.no_grad()
def evaluate(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, rows: int) -> float:
    """The accuracy; the loss is computed too, as everybody's is."""
    model.eval()
    loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    for images, labels in zip(x.split(rows), y.split(rows), strict=True):
        logits = model(images)
        loss_sum += cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    return correct.item() / len(y)


if __name__ == "__main__":
    main(train)
