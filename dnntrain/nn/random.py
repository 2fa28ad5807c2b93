"""Random numbers that belong to the run, not to the process.

Every stream is keyed by the run's seed and the stream's name, so a run draws the same numbers in any population, and
one more technique changes none of the others' draws. What is drawn once or once per epoch (weights, the order of the
data) comes from NumPy's counter-based Philox; what is drawn at every step (dropout) comes from an integer hash in
tensor arithmetic, which is the same on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from dnntrain.utils.lazy import torch

# lowbias32's multipliers (C. Wellons, hash-prospector), as the int32 that torch multiplies with
FIRST, SECOND = 0x7FEB352D, 0x846CA68B - 2**32

LOW_WORD = 2**64 - 1

_HASHED: dict[torch.device, torch.Tensor] = {}
"""On each device, the hashed counters of the largest layer so far: all layers share one tensor, which stays cached."""


def stream_key(seed: int, stream: str) -> int:
    """The 128-bit key of a run's stream."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:16], "little")


class KnownKey(ISeedSequence):
    """Gives Philox its key. If given `key=`, it first asks the system for entropy, which takes longer than the rest."""

    def __init__(self, key: int) -> None:
        self.words = np.array([key & LOW_WORD, key >> 64], np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self.words


def generator(seed: int, stream: str, counter: int = 0) -> np.random.Generator:
    """A generator for one draw of a stream, the `counter`-th (an epoch, say)."""
    key: Any = KnownKey(stream_key(seed, stream))  # NumPy's type hints know only their own seed sequence
    return np.random.Generator(np.random.Philox(key, counter=[0, 0, 0, counter]))


def step_keys(seeds: Sequence[int], stream: str, first: int, steps: int, layers: int) -> np.ndarray:
    """A 32-bit key for each step from `first` on, layer and member: int32 (steps, layers, P). By splitmix64."""
    counters = np.arange(first * layers, (first + steps) * layers, dtype=np.uint64).reshape(steps, layers, 1)
    bases = np.array([stream_key(seed, stream) & LOW_WORD for seed in seeds], dtype=np.uint64)
    x = bases + (counters + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    keys: np.ndarray = ((x ^ (x >> np.uint64(31))) >> np.uint64(32)).astype(np.uint32).view(np.int32)
    return keys


def mix(x: torch.Tensor) -> torch.Tensor:
    """Hash int32 in place; the high bits are the good ones. Multiplication wraps; the shift's sign bits are masked."""
    x.mul_(FIRST)
    x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF))
    return x.mul_(SECOND)


def split_key(key: torch.Tensor, number: int) -> torch.Tensor:
    """The number-th of the keys that follow from a key, int32 of the same shape. Works under `torch.func.vmap`."""
    salt = ((number + 1) * 0x9E3779B9 + 2**31) % 2**32 - 2**31
    x = mix(key ^ salt)
    return x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF))  # `mix` leaves the low bits poor


def counters(rows: int, units: int, device: torch.device) -> torch.Tensor:
    """One hashed counter for each element of a layer, int32 (1, rows, units): the part that never changes."""
    count = rows * units
    if device not in _HASHED or len(_HASHED[device]) < count:
        hashed = mix(torch.arange(1, count + 1, dtype=torch.int32, device=device))
        _HASHED[device] = hashed.bitwise_xor_((hashed >> 16).bitwise_and_(0xFFFF))
    return _HASHED[device][:count].view(1, rows, units)


def shared_counters(device: torch.device) -> torch.Tensor | None:
    """The tensor that the counters of all layers are views of until a larger layer comes; None if there is none yet."""
    return _HASHED.get(device)


def threshold(rate: torch.Tensor) -> torch.Tensor:
    """The draw below which an element is dropped, int32 (P, 1, 1), so that it has the probability `rate` (P,)."""
    return (rate.double() * 2**32 - 2**31).to(torch.int32).view(-1, 1, 1)


def keep_mask(counters: torch.Tensor, keys: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """1 for each element that is kept, 0 for each that is dropped, float (P, rows, units).

    Args:
        counters: Those of the layer's elements, int32 (1, rows, units).
        keys: One for each member, int32 (P,): with the counter it decides each element's draw.
        threshold: The draw below which an element is dropped, int32 (P, 1, 1).
    """
    draws = mix(counters ^ keys.view(-1, 1, 1))
    # floats at once: on a CPU a mask of bools takes 20 times as long to apply as to multiply
    return torch.ge(draws, threshold, out=torch.empty(draws.shape, device=draws.device))
