"""Independent optimizers that ours are compared with."""

from __future__ import annotations

from typing import Any

import pytest
import torch


class SinglePrecisionMuon(torch.optim.Muon):
    """torch's Muon, with the iterations in float32 as ours."""

    def step(self, closure: Any = None) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", lambda matrix: matrix.clone())
            return super().step(closure)
