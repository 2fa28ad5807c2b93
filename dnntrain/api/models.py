"""Functions that use recorded runs as models: `predict` and `to_torch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dnntrain.data import DataLocation
from dnntrain.inference.choice import choose_runs
from dnntrain.inference.prediction import predict_examples
from dnntrain.inference.recorded import RecordedModel
from dnntrain.reporting.results import StudyResult
from dnntrain.store.run_store import RunStore
from dnntrain.utils.python_calls import warn_caller

if TYPE_CHECKING:
    import pandas as pd
    import torch

__all__ = ["predict", "to_torch"]


def predict(
    run: str | Path | StudyResult,
    data: object,
    *,
    proba: bool = False,
    ensemble: bool = False,
    arm: str | None = None,
    out: str | Path = "runs",
    data_dir: str | None = None,
    trust_code: bool = False,
) -> pd.DataFrame:
    """Predict new data with a recorded run.

    New data are read as the run read its own: columns of a table are found by name, images are scaled to the same size,
    and so on. Differences from the training data, such as an unknown category, cause a warning.

    Args:
        run: A run's id or folder, or a study, whose best run by validation predicts.
        data: New data of the kind that the run was trained on: the path of a table, an .npz file, an image, or a folder
            of images; a DataFrame; an array or a tensor of shape (N, ...); or a list of paths of images.
        proba: Whether to add a column `p_CLASS` with the probability of each class.
        ensemble: Whether to average over all finished seeds of the arm.
        arm: An arm of the study instead of the best one.
        out: Folder where runs and studies are recorded.
        data_dir: Folder with pretrained weights; the default folder if None.
        trust_code: Whether to run the recorded code if your module or plug-in has changed or is missing.

    Returns:
        A row for each example: `row` (from 1) or `file`; `prediction`, a class name or a number in the target's unit;
        `confidence`, the probability of the predicted class; in an ensemble `spread`, the standard deviation over its
        members of that probability, or of the number.

    Raises:
        InputError: If there is no such run, or the data do not fit what it was trained on.
    """
    store, ids, _ = choose_runs(run_text(run), RunStore(Path(out)), arm, ensemble)
    home = DataLocation.at(data_dir)
    predicted = predict_examples([RecordedModel.load(store, each, home, trust_code) for each in ids], data, proba)
    if predicted.notes:
        warn_caller("\n".join(predicted.notes))
    return predicted.frame


def to_torch(
    run: str | Path | StudyResult, *, out: str | Path = "runs", trust_code: bool = False, data_dir: str | None = None
) -> torch.nn.Module:
    """A recorded run's model as a `torch.nn.Module` that needs no dnntrain, to predict with or to train further.

    Args:
        run: A run's id or folder, or a study, whose best run by validation is taken.
        out: Folder where runs are recorded.
        trust_code: Whether to run the recorded code if your module or plug-in has changed or is missing.
        data_dir: Folder with data sets and pretrained weights.

    Returns:
        The module, in eval mode. It takes raw inputs (N, *shape): uint8 images, tokens, or numbers with nan for
        gaps. It returns logits (N, classes), one logit (N, 1) where the run's output is a sigmoid, or numbers
        (N, 1) in the target's unit. All parameters require a gradient.

    Raises:
        InputError: If there is no such run, it did not finish, or a layer has no form in plain torch.
    """
    from dnntrain.inference.exporters.plain_model import plain_model
    from dnntrain.inference.exporters.torch_module import torch_module

    store, [run_id], _ = choose_runs(run_text(run), RunStore(Path(out)))
    return torch_module(plain_model(run_id, store, DataLocation.at(data_dir), trust_code=trust_code))


def run_text(run: str | Path | StudyResult) -> str:
    """A run or study as it is written on the command line."""
    return str(run.folder if isinstance(run, StudyResult) else run)
