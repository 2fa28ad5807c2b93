"""Every optimizer of the catalogue against torch.optim, member by member, each member with its own learning rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from dnntrain.errors import InputError
from dnntrain.techniques.base import stack, techniques_in
from dnntrain.techniques.optimizers import Optimizer
from dnntrain.techniques.regularization import WeightDecay

RATES = [1e-3, 1e-2, 0.3]
STEPS = 20

REFERENCES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
}
"""What each is with the defaults of its declaration: a new optimizer needs its line here."""

VARIANTS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd:momentum=0.9": partial(torch.optim.SGD, momentum=0.9),
    "sgd:momentum=0.8,nesterov=on": partial(torch.optim.SGD, momentum=0.8, nesterov=True),
    "adagrad:eps=0.01": partial(torch.optim.Adagrad, eps=0.01),
    "rmsprop:rho=0.9,eps=1e-3": partial(torch.optim.RMSprop, alpha=0.9, eps=1e-3),
    "adam:beta1=0.8,beta2=0.9,eps=1e-3": partial(torch.optim.Adam, betas=(0.8, 0.9), eps=1e-3),
    "adam:beta1=0": partial(torch.optim.Adam, betas=(0.0, 0.999)),
    "adamw:decay=0.3": partial(torch.optim.AdamW, weight_decay=0.3),
    "adamax:beta1=0.8,beta2=0.9,eps=1e-3": partial(torch.optim.Adamax, betas=(0.8, 0.9), eps=1e-3),
    "nadam:beta1=0.8,beta2=0.9,psi=0.1": partial(torch.optim.NAdam, betas=(0.8, 0.9), momentum_decay=0.1),
}

EVERY_OPTIMIZER = [optimizer.name for optimizer in techniques_in(Optimizer)]


def gradients(p: torch.Tensor) -> list[torch.Tensor]:
    """One random gradient a step; their size varies a thousandfold, and some components are zero now and then."""
    random = torch.Generator().manual_seed(3)
    sizes = [10.0 ** (step % 4 - 2) for step in range(STEPS)]
    return [torch.randn(p.shape, generator=random).mul_(size).clamp_(min=-size) for size in sizes]


def torchs_way(make: Callable[..., torch.optim.Optimizer], p: torch.Tensor, member: int) -> torch.Tensor:
    weight = p[member].clone().requires_grad_()
    optimizer = make([weight], lr=RATES[member])
    for g in gradients(p):
        weight.grad = g[member].clone()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("text", [*EVERY_OPTIMIZER, *VARIANTS])
def test_optimizer_is_torchs(text: str) -> None:
    make = (REFERENCES | VARIANTS).get(text)
    if make is None:
        pytest.skip(f"torch has no optimizer {text} to compare with")
    optimizer = Optimizer.parse(text)
    start = torch.randn(len(RATES), 6, 4, generator=torch.Generator().manual_seed(1))
    p, lr = start.clone(), torch.tensor(RATES).view(-1, 1, 1)
    state = optimizer.state(p)
    for t, g in enumerate(gradients(p), start=1):
        optimizer.step(p, g, state, lr, t)
    assert not torch.equal(p, start)
    for member in range(len(RATES)):
        expected = torchs_way(make, start, member)
        torch.testing.assert_close(p[member], expected, rtol=2e-5, atol=2e-6, msg=lambda m: f"{text}: {m}")


@pytest.mark.parametrize("text", [*EVERY_OPTIMIZER, *VARIANTS])
def test_state_has_the_axis_of_members(text: str) -> None:
    """So that a member takes its state along when its neighbours leave."""
    state = Optimizer.parse(text).state(torch.ones(5, 3, 2))
    assert all(len(entry) == 5 for entry in state.values())


@pytest.mark.parametrize("text", EVERY_OPTIMIZER)
def test_step_leaves_the_gradient_alone_and_a_zero_rate_the_weights(text: str) -> None:
    optimizer, p, g = Optimizer.parse(text), torch.ones(2, 3, 2), torch.full((2, 3, 2), 0.5)
    state = optimizer.state(p)
    optimizer.step(p, g, state, torch.tensor([0.0, 0.1]).view(-1, 1, 1), 1)
    assert (g == 0.5).all()
    assert (p[0] == 1).all()
    assert (p[1] < 1).all()


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(InputError, match="momentum"):
        Optimizer.parse("sgd:nesterov=on")


def test_weight_decay_with_sgd_by_hand() -> None:
    decay = stack([WeightDecay(strength=0.0), WeightDecay(strength=0.1), WeightDecay(strength=2.0)])
    w, g, lr = torch.full((3, 2, 2), 4.0), torch.full((3, 2, 2), 3.0), torch.tensor([0.5, 0.5, 0.25]).view(-1, 1, 1)
    decay.before_step(w, lr)
    Optimizer.parse("sgd").step(w, g, {}, lr, 1)
    # (1 - η λ) w - η g
    for member, expected in enumerate([4 - 1.5, 0.95 * 4 - 1.5, 0.5 * 4 - 0.75]):
        torch.testing.assert_close(w[member], torch.full((2, 2), expected))


def test_weight_decay_with_adam_is_adamw() -> None:
    """Both decay before the step, by η λ; with a rate that changes from step to step."""
    ours, torchs = torch.ones(1, 4, 3), torch.ones(1, 4, 3)
    adam, adamw = Optimizer.parse("adam"), Optimizer.parse("adamw:decay=0.2")
    states = adam.state(ours), adamw.state(torchs)
    for t, g in enumerate(gradients(ours), start=1):
        lr = torch.full((1, 1, 1), 0.1 / t)
        WeightDecay(strength=0.2).before_step(ours, lr)
        adam.step(ours, g, states[0], lr, t)
        adamw.step(torchs, g, states[1], lr, t)
    torch.testing.assert_close(ours, torchs)
