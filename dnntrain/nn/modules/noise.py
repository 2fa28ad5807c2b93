"""What is random in the passes of a user's module: each member draws from a key of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dnntrain.nn import random
from dnntrain.utils.lazy import torch


def has_dropout_between_layers(part: torch.nn.Module) -> bool:
    """Whether a part is a recurrent network that drops units between its layers."""
    return isinstance(part, torch.nn.RNNBase) and part.num_layers > 1


def dropout_rates(module: torch.nn.Module) -> dict[str, float]:
    """The dropout rate of each part that has one, by the part's name."""
    from dnntrain.nn.modules.stand_ins import MemberDropout

    rates: dict[str, float] = {}
    for name, part in module.named_modules():
        if isinstance(part, MemberDropout):
            rates[name] = part.p
        elif isinstance(part, torch.nn.MultiheadAttention) or has_dropout_between_layers(part):
            rates[name] = float(part.dropout)
    return rates


class MemberNoise:
    """The random parts of one module in the passes of P members.

    The module's dropout draws from the member's key (`MemberDropout`). Whatever else draws from torch's global
    generator, such as dropout inside attention, finds it seeded by that key.
    """

    def __init__(
        self, module: torch.nn.Module, rates: Mapping[str, Sequence[float]], seeded: bool, device: torch.device
    ) -> None:
        """Note the random parts of a module.

        Args:
            module: The module, with `MemberDropout` in the place of torch's.
            rates: The P dropout rates of each part that has one, by the part's name.
            seeded: Whether the module draws from torch's global generator while training, by itself.
            device: Where the members compute.
        """
        from dnntrain.nn.modules.stand_ins import MemberDropout

        self.module, self.rates, self.device = module, dict(rates), device
        parts = {name: module.get_submodule(name) for name in rates}
        self.dropouts = {name: part for name, part in parts.items() if isinstance(part, MemberDropout)}
        self.others = {name: part for name, part in parts.items() if name not in self.dropouts}
        """Torch's own parts with an attribute `dropout`, which they read in training mode only."""
        self.seeded = seeded or any(rate > 0 for name in self.others for rate in rates[name])
        encoders = [part for part in module.modules() if isinstance(part, torch.nn.TransformerEncoderLayer)]
        self.switched = [*self.others.values(), *encoders] if rates else []
        own = torch.tensor([list(rates[name]) for name in self.dropouts], device=device)
        self.dropout_rates, self.thresholds = own, random.threshold(own.flatten()).view(own.shape)

    def select(self, members: Sequence[int]) -> MemberNoise:
        """That of some members, by their indices."""
        rates = {name: [rates[m] for m in members] for name, rates in self.rates.items()}
        return MemberNoise(self.module, rates, self.seeded, self.device)

    def is_random(self) -> bool:
        """Whether a pass with keys is random."""
        return self.seeded or any(rate > 0 for rates in self.rates.values() for rate in rates)

    def switch(self, on: bool) -> None:
        """Switch torch's own parts on or off for the next passes, whatever the mode of the module.

        Monte Carlo dropout needs their noise in test mode. Their own flag decides on nothing else but a fast path,
        which leaves dropout out.
        """
        for part in self.switched:
            part.training = on

    def start_member(self, index: int, keys: torch.Tensor | None) -> None:
        """Prepare the module for a pass of one member; keys are int32 (P,), None switches dropout off."""
        for name, part in self.others.items():
            part.dropout = self.rates[name][index]  # type: ignore[assignment]
        if keys is None:
            self.start_pass(None)
        elif self.dropouts:
            self.start_pass(keys[index], self.dropout_rates[:, index], self.thresholds[:, index])

    def start_pass(self, key: torch.Tensor | None, *rates_and_thresholds: torch.Tensor) -> None:
        """Prepare the module's dropouts: a key int32 (), their rates and thresholds (D,)."""
        for part in self.dropouts.values():
            part.draws.key, part.calls = key, 0
            if rates_and_thresholds:
                part.draws.rates, part.draws.thresholds = rates_and_thresholds

    def stacked(self, keys: torch.Tensor | None) -> list[tuple[torch.Tensor, int]]:
        """The arguments of `start_pass` with the axis P, each with the number of that axis."""
        if keys is None:
            return []
        return [(keys, 0), (self.dropout_rates, 1), (self.thresholds, 1)]

    @contextmanager
    def generators(self, keys: torch.Tensor | None) -> Iterator[Callable[[int], None]]:
        """A function that seeds torch's global generators for a member; they have their own state again in the end."""
        is_needed = self.seeded and keys is not None

        def seed(index: int) -> None:
            if is_needed:
                torch.manual_seed(int(keys[index]))  # type: ignore[index]

        devices = [] if self.device.type == "cpu" else [self.device]
        with torch.random.fork_rng(devices, enabled=is_needed, device_type=self.device.type):
            yield seed
