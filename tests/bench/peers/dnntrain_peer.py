"""dnntrain's own engine under the peers' conditions: in one process, by the epoch, after a warm-up.

Runs in dnntrain's environment, with that of a worker; a population of `members` seeds.
"""

from __future__ import annotations

import torch
from peer import EpochDone, Task, main

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.engine import loop as engine
from dnntrain.engine.run import Run


def train(task: Task, epoch_done: EpochDone) -> None:
    """Train, and validate after each epoch; the data come from their source, as always."""
    torch.set_num_threads(1)
    settings = task.settings | {"epochs": task.epochs}
    specs = [RunSpec.parse(settings | {"seed": task.seed + member}) for member in range(task.members)]
    dataset = data.load_dataset(specs[0].data)

    def tell(runs: list[Run], _: object) -> None:
        epoch_done(sum(run.history[-1]["val_acc"] for run in runs) / len(runs))

    engine.train_population(specs, dataset, on_epoch=tell)


if __name__ == "__main__":
    main(train)
