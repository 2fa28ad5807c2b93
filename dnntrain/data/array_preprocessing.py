"""How arrays of numbers or tokens become inputs, as recorded; and new arrays."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dnntrain.data.array_inputs import as_numbers, as_tokens, channels_first
from dnntrain.data.new_arrays import check_shape, read_new_array
from dnntrain.data.preprocessing import NewData, Preprocessing
from dnntrain.errors import InputError


class ArrayPreprocessing(Preprocessing):
    """How arrays become inputs that are not images."""

    name: ClassVar[str] = "arrays"

    shape: tuple[int, ...]
    """Of one example."""
    channels_first: bool = False
    """Whether an array (N, height, width, 3) becomes (N, 3, height, width)."""
    n_tokens: int = 0
    """How many tokens the network knows; 0 if the inputs are numbers."""

    def read(self, data: object) -> NewData:
        """Read an .npz file with one array of inputs, an array, a tensor, or lists of numbers.

        A missing number (nan) is replaced by the training mean.

        Raises:
            InputError: The shape or type is not that of the training data, or a token is unknown.
        """
        array = read_new_array(data, self.shape)
        values, every = array.values, np.full(len(array.values), True)
        if self.shape == (1,) and values.ndim == 1:
            values = values[:, np.newaxis]
        values = channels_first(values) if self.channels_first else values
        check_shape(array, values, self.shape)
        if self.n_tokens:
            tokens = as_tokens(values, array.where, every)
            if (highest := int(tokens.max())) >= self.n_tokens:
                raise InputError(f"{array.where}: token {highest:,}; the run knows those below {self.n_tokens:,}")
            return NewData(array.where, tokens, labels=array.labels)
        numbers = as_numbers(values, array.where, every)
        gaps = int(np.isnan(numbers).sum())
        notes = [f"{gaps:,} missing values (nan), replaced by the training mean"] if gaps else []
        return NewData(array.where, numbers, labels=array.labels, notes=notes)
