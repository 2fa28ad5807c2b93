"""Functions that use recorded runs as models: `to_torch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dnntrain.data import DataLocation
from dnntrain.store.run_store import RunStore

if TYPE_CHECKING:
    import torch


def to_torch(
    run: str | Path, *, out: str | Path = "runs", trust_code: bool = False, data_dir: str | None = None
) -> torch.nn.Module:
    """A recorded run's model as a `torch.nn.Module` that needs no dnntrain, to predict with or to train further.

    Args:
        run: A run's id or folder, or the folder of a study for its best run by validation.
        out: Folder where runs are recorded.
        trust_code: Whether to run the recorded code of a module of your own where the code here is another.
        data_dir: Folder with data sets and pretrained weights.

    Returns:
        The module, in eval mode. It takes raw inputs (N, *shape): uint8 images, tokens, or numbers with nan where one
        is missing. It returns logits (N, classes), one logit (N, 1) where the run's output is a sigmoid, or numbers
        (N, 1) in the target's unit. All parameters require a gradient.

    Raises:
        InputError: If there is no such run, it did not finish, or a layer has no form in plain torch.
    """
    from dnntrain.inference.exporters.plain_model import plain_model
    from dnntrain.inference.exporters.torch_module import torch_module
    from dnntrain.transfer_learning.resolve import resolve_run

    store, run_id = resolve_run(str(run), RunStore(Path(out)))
    return torch_module(plain_model(run_id, store, DataLocation.at(data_dir), trust_code=trust_code))
