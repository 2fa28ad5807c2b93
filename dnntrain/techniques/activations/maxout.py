"""Maxout: an activation that is learned, as the largest of several linear functions."""

from __future__ import annotations

from dnntrain.nn.layer import VJP
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.maps import like_maps, pixel_rows
from dnntrain.nn.torch_code import NamedArrays, TorchCode, source_of
from dnntrain.techniques.activations.base import Activation
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class Maxout(Activation):
    """The largest of several units of the layer below, which has that many times its units."""

    name = "maxout"
    summary = "Each unit is the largest of several linear functions of its inputs, so that its shape is learned."
    paper = "Goodfellow et al. 2013, Maxout Networks, arXiv:1302.4389"
    formula = "h_i = max over j of (W_ij x + b_ij), with j from 1 to pieces"
    advice = "With dropout, as in the paper. Layers have `pieces` times the weights; not for sums of residual blocks."
    init = "lecun"  # the larger of two such pieces has the variance of the inputs around 0
    pieces: int = hyperparameter(2, "linear functions of each unit", ge=2, le=64)

    @property
    def inputs_per_unit(self) -> int:
        return self.pieces

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return self.value_and_vjp(z)[0]

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        """The largest piece of each unit, (P, rows, units / pieces, …), and its VJP.

        Pieces of one unit are `units / pieces` apart. The gradient goes to the first of equal pieces.
        """
        rows = pixel_rows(z)
        pieces = rows.reshape(*rows.shape[:2], self.pieces, -1)
        h, chosen = pieces.max(dim=2, keepdim=True)

        def vjp(grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
            grad_in = torch.zeros_like(pieces).scatter_(2, chosen, pixel_rows(grad).unsqueeze(2))
            return (like_maps(grad_in.flatten(2, 3), z),)

        return like_maps(h.squeeze(2), z), vjp

    def to_torch(self, shape: Shape, trained: NamedArrays) -> TorchCode:
        from dnntrain.nn.plain_torch import LargestPiece

        return TorchCode(f"LargestPiece({self.pieces})", helpers=(source_of(LargestPiece),))
