"""PyTorch Lightning's Trainer, without logger, checkpoints and progress bar, which would cost it time."""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
from dataloader_peer import loaders
from peer import EpochDone, Task, load, main
from torch.nn.functional import cross_entropy
from torch_network import network, optimizer_of


class Module(lightning.LightningModule):
    """The task's network with its loss, its accuracy and plain SGD."""

    def __init__(self, task: Task, features: int) -> None:
        super().__init__()
        self.network, self.task = network(task, features), task

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        return self.step("train", batch)

    def validation_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        return self.step("val", batch)

    def step(self, part: str, batch: list[torch.Tensor]) -> torch.Tensor:
        """The loss of a batch; loss and accuracy are averaged over the epoch."""
        images, labels = batch
        logits = self.network(images)
        loss = cross_entropy(logits, labels)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        self.log_dict({f"{part}_loss": loss, f"{part}_acc": accuracy}, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer_of(self.task, self.parameters())


class Follow(lightning.Callback):
    """Tells when an epoch is done, its validation included."""

    def __init__(self, epoch_done: EpochDone) -> None:
        self.epoch_done = epoch_done

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.epoch_done(trainer.callback_metrics["val_acc"].item())


def train(task: Task, epoch_done: EpochDone) -> None:
    """Train, and validate after each epoch."""
    lightning.seed_everything(task.seed, verbose=False)
    arrays = load(task)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=task.epochs,
        gradient_clip_val=task.clipvalue,
        gradient_clip_algorithm="value",
        callbacks=[Follow(epoch_done)],
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(task, arrays.x.shape[1]), *loaders(task, arrays))


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")  # it would rather have worker processes
    main(train)
