"""The settings of transfer learning: what is reused of a trained network, and when it is trained again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainSerializer

from dnntrain.utils.fields import hyperparameter

ALL = 1_000
"""More layers than any network has."""


def read_count(value: Any) -> Any:
    """`all`, or a number of layers."""
    return ALL if isinstance(value, str) and value.strip().lower() == "all" else value


Count = Annotated[
    int, BeforeValidator(read_count), PlainSerializer(lambda n: "all" if n == ALL else n, return_type=int | str)
]
"""A number of layers; `all` of them."""


class TransferSettings(BaseModel):
    """The lecture's stages: reuse lower layers and freeze them, train the rest; then unfreeze some at a lower rate."""

    reuse_from: str | None = hyperparameter(
        None, "start from a trained network: a run's id, or pretrained in a preset that says what that is"
    )
    transfer_layers: Count | None = hyperparameter(None, "how many of its lower layers to start with (2, or all)", ge=1)
    freeze_epochs: int | None = hyperparameter(
        None, "epochs in which those layers stay frozen; to the end if not given", ge=0
    )
    unfreeze_layers: Count = hyperparameter(0, "how many of them, from the top, train after that (1, or all)", ge=0)
    unfreeze_lr: float | None = hyperparameter(
        None, "learning rate of that stage; as before if not given", ge=0, le=1e6, per_member=True
    )
    resize: int = hyperparameter(
        128, "pixels a side that images are resized to for a pretrained image network", ge=16, le=1024
    )

    @property
    def frozen_to_the_end(self) -> bool:
        """Whether nothing that is reused is ever trained."""
        return self.unfreeze_layers == 0 or self.freeze_epochs is None

    def check_reuse(self, epochs: int) -> None:
        """Raise ValueError where the stages do not fit each other."""
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
        """What a field is where it is not given."""
        return TransferSettings.model_fields[key].default
