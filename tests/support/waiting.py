"""Which operations make the host wait for the device."""

from __future__ import annotations

from typing import Any

import torch

aten = torch.ops.aten
AS_NUMBERS = {aten._local_scalar_dense, aten.item, aten.is_nonzero, aten.equal}
SIZED_BY_NUMBERS = {aten.nonzero, aten.masked_select, aten._unique2}
BY_INDEX = {aten.index, aten.index_put, aten.index_put_}
COPIES = {aten.to, aten._to_copy}


def waits(operation: Any, args: Any, kwargs: Any) -> bool:
    """Whether it gives the host a number, a tensor whose size depends on numbers, or a copy of another device's."""
    masks = (index.dtype == torch.bool for index in args[1] if index is not None) if operation in BY_INDEX else ()
    copied = operation in COPIES and kwargs.get("device") is not None
    return operation in AS_NUMBERS | SIZED_BY_NUMBERS or copied or any(masks)
