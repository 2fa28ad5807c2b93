"""The settings of transfer learning: which trained network to start from, and when its layers train again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainSerializer

from dnntrain.utils.fields import hyperparameter

ALL = 1_000
"""Stands for all layers: more than any network has."""


def read_count(value: Any) -> Any:
    """`all`, or a number of layers."""
    return ALL if isinstance(value, str) and value.strip().lower() == "all" else value


def read_patterns(value: Any) -> Any:
    """Patterns with commas between them, without spaces around them."""
    if not isinstance(value, str):
        return value
    patterns = [pattern.strip() for pattern in value.split(",")]
    if not all(patterns):
        raise ValueError(f"{value!r} is not a list of names, such as stem.*,layer1.*")
    return ",".join(patterns)


Count = Annotated[
    int, BeforeValidator(read_count), PlainSerializer(lambda n: "all" if n == ALL else n, return_type=int | str)
]
"""A number of layers, or `all`."""


class TransferSettings(BaseModel):
    """Transfer in two stages: reuse and freeze the lower layers and train the rest; then unfreeze some at a lower rate.

    Géron, Hands-On Machine Learning, ch. 11, "Reusing Pretrained Layers".
    """

    reuse_from: str | None = hyperparameter(
        None, "start from a trained network: a run's id, or in a preset pretrain, or pretrain.NAME of several"
    )
    transfer_layers: Count | None = hyperparameter(None, "lower layers of it to start with: 2, or all", ge=1)
    freeze_epochs: int | None = hyperparameter(
        None, "epochs in which reused layers stay frozen. To the end if not given", ge=0
    )
    unfreeze_layers: Count = hyperparameter(0, "top reused layers that train after that: 1, or all", ge=0)
    freeze_parameters: Annotated[str | None, BeforeValidator(read_patterns)] = hyperparameter(
        None, "parameters of your own module that stay frozen, by name: stem.*,layer1.*"
    )
    unfreeze_lr: float | None = hyperparameter(
        None, "learning rate once they train. Unchanged if not given", ge=0, le=1e6, per_member=True
    )
    resize: int = hyperparameter(
        128, "height and width of images for a pretrained image network, in pixels", ge=16, le=1024
    )

    @property
    def frozen_to_the_end(self) -> bool:
        """Whether the reused layers are never trained."""
        return self.unfreeze_layers == 0 or self.freeze_epochs is None

    def longest_stage(self, epochs: int) -> int:
        """How many of the run's epochs its longest stage has; all of them if there is only one."""
        if self.frozen_to_the_end or self.freeze_epochs is None:
            return epochs
        return max(self.freeze_epochs, epochs - self.freeze_epochs)

    def check_reuse(self, epochs: int) -> None:
        """Raise ValueError if the stages contradict each other or the number of epochs."""
        given = [key for key in TransferSettings.model_fields if getattr(self, key) != self.default_of(key)]
        if self.reuse_from is None and given:
            raise ValueError(f"{given[0]} is given, but reuse_from is off")
        freeze, unfreeze = self.freeze_epochs, self.unfreeze_layers
        if freeze is not None and freeze > epochs:
            raise ValueError(f"freeze_epochs {freeze}: more than the {epochs} epochs of the run")
        if unfreeze and (freeze is None or freeze == epochs):
            raise ValueError(f"unfreeze_layers {unfreeze}: freeze_epochs must say after which of the {epochs} epochs")
        if freeze is not None and not unfreeze:
            raise ValueError(f"freeze_epochs {freeze}: layers stay frozen to the end unless unfreeze_layers is given")
        if self.unfreeze_lr is not None and not unfreeze:
            raise ValueError("unfreeze_lr is given, but unfreeze_layers is 0")

    @classmethod
    def default_of(cls, key: str) -> object:
        """The default of a field."""
        return TransferSettings.model_fields[key].default
