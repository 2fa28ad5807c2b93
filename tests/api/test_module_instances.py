"""Modules that are built already as networks: what identifies them, and what each run starts with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dnntrain as dt
from dnntrain.api.settings import with_references
from dnntrain.data import DataLocation
from dnntrain.executors import registry
from dnntrain.nn.modules.instances import FreshCopy, reference_of_module
from tests.support.inline import inline

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
SMALL: dict[str, Any] = {"data": (X, np.arange(60) % 3), "epochs": 1, "val": 12}


def small(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 3))


def own_classes() -> tuple[Any, Any]:
    """Classes whose own source identifies them, and not that of all tests."""

    class Own(nn.Module):
        def __init__(self, act: Any = nn.functional.relu, size: int = 0) -> None:
            super().__init__()
            self.first, self.act = nn.Linear(4, 3), act
            self.register_buffer("shift", torch.full((3,), float(size)))

        def reset_parameters(self) -> None:
            nn.init.zeros_(self.first.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.first(x)) + self.shift

    class Scaled(Own):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

    return Own, Scaled


Own, Scaled = own_classes()


def trained_weights(module: nn.Sequential) -> nn.Sequential:
    with torch.no_grad():
        for tensor in (*module.parameters(), module[1].running_mean):
            tensor.fill_(3.0)
    module(torch.zeros(2, 4)).sum().backward()
    return module.eval()


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        (small, lambda: trained_weights(small()), True),
        (small, lambda: small(9), False),
        (small, lambda: nn.Sequential(*small(), nn.ReLU()), False),
        (lambda: nn.Dropout(0.1), lambda: nn.Dropout(0.2), False),
        (lambda: nn.ReLU(), lambda: nn.ELU(), False),
        (Own, Own, True),
        (Own, lambda: Own(nn.functional.elu), False),
        (Own, lambda: Own(size=1), False),  # a buffer that nothing draws
        (Own, lambda: Own().requires_grad_(False), False),
        (lambda: nn.Sequential(nn.LazyLinear(3)), lambda: nn.Sequential(nn.LazyLinear(3)), True),
        (lambda: nn.TransformerEncoderLayer(4, 1, 4), lambda: nn.TransformerEncoderLayer(4, 2, 4), False),
        (lambda: nn.LSTM(4, 3), lambda: nn.LSTM(4, 3), True),
        (lambda: nn.LSTM(4, 3), lambda: nn.LSTM(4, 3, batch_first=True), False),
    ],
)
def test_structure_identifies_a_module(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module], are_equal: bool
) -> None:
    before = torch.get_rng_state()
    first, second = one(), other()
    torch.set_rng_state(before)
    assert (reference_of_module(first).identity() == reference_of_module(second).identity()) == are_equal
    assert torch.equal(torch.get_rng_state(), before)


def test_every_copy_is_drawn_by_the_seed_and_parts_before_what_holds_them() -> None:
    module = Own()
    kept = module.first.weight.clone()
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(FreshCopy(module)())
    assert torch.equal(drawn[0].first.weight, drawn[1].first.weight)
    assert not torch.equal(drawn[0].first.weight, drawn[2].first.weight)
    assert not drawn[2].first.bias.any() and torch.equal(module.first.weight, kept)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Scaled, r"scale, that Scaled does not draw in reset_parameters\(\).*give its class, or a function"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), "original0.*does not draw"),
        (lambda: Own(act=(each for each in ())), "cannot be copied"),
    ],
)
def test_modules_that_cannot_be_drawn_anew_are_refused(make: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(dt.InputError, match=said):
        dt.train(net=make(), **SMALL)


def test_modules_are_networks_of_arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNNTRAIN_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(registry.EXECUTORS, "local", inline(registry.EXECUTORS["local"]))
    settings = SMALL | {"seeds": 2, "out": tmp_path}
    made = dt.ablate(net=small(), arms={"wide": {"net": small(16)}, "elu": {"act": "elu"}}, name="nets", **settings)
    assert made.runs["run"].nunique() == 6
    losses = made.runs.set_index(["arm", "seed"])["val_loss"]
    assert losses["base", 0] != losses["base", 1]
    again = dt.train(net=trained_weights(small()), name="again", **settings)
    assert [*again.runs["run"]] == [*made.runs["run"][:2]]


def wide(width: int = 8, *sizes: int) -> nn.Sequential:
    return small(width)


def test_arguments_of_a_partial_count_by_place_as_by_name(tmp_path: Path) -> None:
    home = DataLocation(tmp_path)
    given = (wide, partial(wide, 16), partial(wide, width=16), partial(partial(wide), 16))
    plain, *others = (with_references({"net": each}, home)["net"] for each in given)
    assert {*others} == {f"{plain}:width=16"}
    for wrong, said in ((partial(wide, 8, 9), "by name"), (partial(wide, 8, width=9), "multiple values for argument")):
        with pytest.raises(dt.InputError, match=f"^net: functools.partial.*{said}"):
            with_references({"net": wrong}, home)
