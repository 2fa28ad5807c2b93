"""The settings of a run's data: which examples train and validate, and how inputs are scaled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator

from dnntrain.config.parsing import read_scale, read_val
from dnntrain.data import SOURCES
from dnntrain.data.dataset import InputKind
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter


def plain_path(data: str) -> str:
    """A path as it is written most simply, `pics` for `./pics/`, so that a folder has one name; other text as it is."""
    plain = str(Path(data))
    return plain if plain not in SOURCES and Path(data).exists() else data


class DataSettings(BaseModel):
    """Which data set a run uses, and how."""

    data: Annotated[str, AfterValidator(plain_path)] = hyperparameter(
        "fashion-mini",
        f"{', '.join(SOURCES)}, or your own .csv, .npz or image folder. "
        "A function of your own is module:FILE.py:FUNCTION",
        essential=True,
        short="d",
    )
    train_size: int | None = hyperparameter(None, "train on this many examples only, stratified by class", ge=1)
    subset: Literal["per-seed", "shared"] = hyperparameter(
        "per-seed",
        "what train_size picks: other examples for each seed (per-seed), or the same for all (shared)",
    )
    val: Annotated[float, BeforeValidator(read_val)] = hyperparameter(
        0.2, "validation part, taken from the training set if the data have none: a fraction or a count"
    )
    val_from: Literal["last", "first"] = hyperparameter(
        "last", "which end of the training set validates: last or first"
    )
    scale: Annotated[str, AfterValidator(read_scale)] = hyperparameter(
        "auto",
        "scaling of inputs: unit (0 to 1), standard (training mean 0, deviation 1), or raw. Auto is unit for images, "
        "standard for numbers, raw for tokens",
    )

    def input_scale(self, kind: InputKind) -> str:
        """How inputs of this kind are scaled: unit, standard, or raw; InputError for tokens that would be scaled."""
        if kind == "tokens" and self.scale in ("unit", "standard"):
            raise InputError(f"scale {self.scale}: the inputs are tokens, which are indices and cannot be scaled")
        by_kind = {"images": "unit", "numbers": "standard", "tokens": "raw"}
        return by_kind[kind] if self.scale == "auto" else self.scale
