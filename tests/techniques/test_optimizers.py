"""Every optimizer of the catalogue against an independent one, member by member, each with its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import schedulefree
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import ParameterRole
from dnntrain.studies.feasibility import check_run
from dnntrain.techniques.base import stack, techniques_in
from dnntrain.techniques.optimizers.adam import FUSED_FROM
from dnntrain.techniques.optimizers.base import Optimizer
from dnntrain.techniques.optimizers.muon import orthogonalize
from dnntrain.techniques.regularization import WeightDecay
from dnntrain.utils.torchvision_compat import import_torchvision
from tests.support.reference_optimizers import SinglePrecisionMuon

import_torchvision()  # timm imports it too, and fails where torchvision's operators do not load

from timm.optim import Lion

RATES = [1e-3, 1e-2, 0.3]
STEPS = 50


def in_training(make: Callable[..., Any]) -> Callable[..., Any]:
    """A schedule-free optimizer of the package, which has to be switched to training."""

    def made(*args: Any, **settings: Any) -> Any:
        optimizer = make(*args, **settings)
        optimizer.train()
        return optimizer

    return made


REFERENCES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "adadelta": torch.optim.Adadelta,
    "radam": torch.optim.RAdam,
    "lion": Lion,
    "muon": SinglePrecisionMuon,
    "schedule_free_sgd": in_training(schedulefree.SGDScheduleFree),
    "schedule_free_adamw": in_training(schedulefree.AdamWScheduleFree),
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
    "adadelta:rho=0.5,eps=1e-3": partial(torch.optim.Adadelta, rho=0.5, eps=1e-3),
    "radam:beta1=0.8,beta2=0.9,eps=1e-3": partial(torch.optim.RAdam, betas=(0.8, 0.9), eps=1e-3),
    "radam:beta2=0.5": partial(torch.optim.RAdam, betas=(0.9, 0.5)),
    "lion:beta1=0.8,beta2=0.9,decay=0.3": partial(Lion, betas=(0.8, 0.9), weight_decay=0.3),
    "muon:momentum=0.8,nesterov=off,decay=0,steps=3": partial(
        SinglePrecisionMuon, momentum=0.8, nesterov=False, weight_decay=0.0, ns_steps=3
    ),
    "schedule_free_sgd:decay=0.1,momentum=0.7": in_training(
        partial(schedulefree.SGDScheduleFree, momentum=0.7, weight_decay=0.1)
    ),
    "schedule_free_adamw:decay=0.1,beta1=0.8,beta2=0.9,eps=1e-3": in_training(
        partial(schedulefree.AdamWScheduleFree, betas=(0.8, 0.9), weight_decay=0.1, eps=1e-3)
    ),
}

LARGE = (97, 85)
"""A kernel that fused steps are for, with a remainder after all SIMD vectors."""
EVERY_OPTIMIZER = [optimizer.name for optimizer in techniques_in(Optimizer)]


def gradients(p: torch.Tensor) -> list[torch.Tensor]:
    """One random gradient a step; their size varies a thousandfold, and some components are zero now and then."""
    random = torch.Generator().manual_seed(3)
    sizes = [10.0 ** (step % 4 - 2) for step in range(STEPS)]
    return [torch.randn(p.shape, generator=random).mul_(size).clamp_(min=-size) for size in sizes]


def role_of(shape: tuple[int, ...]) -> ParameterRole:
    """A hidden layer's weights: a dense kernel (in, out), or a convolution's (out, in, height, width)."""
    return ParameterRole("hidden.kernel", shape, 0 if len(shape) == 4 else 1, is_first=False, is_last=False)


def reference_weights(make: Callable[..., Any], start: torch.Tensor, member: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A member's weights after training by the reference, which gets matrices (out, in); and those to evaluate."""
    convolution = start.dim() == 5

    def layout(one: torch.Tensor) -> torch.Tensor:
        return one.flatten(1).clone() if convolution else one.mT.contiguous()

    def back(one: torch.Tensor) -> torch.Tensor:
        return one.detach().clone().view(start.shape[1:]) if convolution else one.detach().clone().mT

    weight = layout(start[member]).requires_grad_()
    optimizer = make([weight], lr=RATES[member])
    for g in gradients(start):
        weight.grad = layout(g[member])
        optimizer.step()
    trained = back(weight)
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return trained, back(weight)


@pytest.mark.parametrize("shape", [(6, 4), (5, 9), (4, 3, 3, 2), LARGE], ids=str)
@pytest.mark.parametrize("text", [*EVERY_OPTIMIZER, *VARIANTS])
def test_optimizer_is_its_reference(text: str, shape: tuple[int, ...]) -> None:
    optimizer = Optimizer.parse(text).for_parameter(role_of(shape))
    start = torch.randn(len(RATES), *shape, generator=torch.Generator().manual_seed(1))
    p, lr = start.clone(), torch.tensor(RATES).view(-1, *[1] * len(shape))
    state = optimizer.state(p)
    for t, g in enumerate(gradients(p), start=1):
        optimizer.step(p, g, state, lr, t)
    evaluated = optimizer.evaluated(p, state)
    assert not torch.equal(p, start)
    assert torch.equal(p, evaluated) is not optimizer.averages
    for member in range(len(RATES)):
        trained, averaged = reference_weights((REFERENCES | VARIANTS)[text], start, member)
        for ours, theirs in ((p, trained), (evaluated, averaged)):
            torch.testing.assert_close(ours[member], theirs, rtol=2e-5, atol=2e-6, msg=lambda m: f"{text}: {m}")


@pytest.mark.parametrize("shape", [(5, 9), LARGE], ids=str)
@pytest.mark.parametrize("text", [*EVERY_OPTIMIZER, *VARIANTS])
def test_a_member_steps_alone_as_in_company(text: str, shape: tuple[int, ...]) -> None:
    start = torch.randn(len(RATES), *shape, generator=torch.Generator().manual_seed(1))
    assert math.prod(LARGE) > FUSED_FROM

    def stepped(members: slice) -> torch.Tensor:
        optimizer = Optimizer.parse(text).for_parameter(role_of(shape))
        p, lr = start[members].clone(), torch.tensor(RATES)[members].view(-1, 1, 1)
        state = optimizer.state(p)
        for t, g in enumerate(gradients(start), start=1):
            optimizer.step(p, g[members], state, lr, t)
        return p

    together = stepped(slice(None))
    for member in range(len(RATES)):
        assert torch.equal(together[member], stepped(slice(member, member + 1))[0])


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


# Muon


def test_orthogonalize_moves_singular_values_near_one() -> None:
    random = torch.Generator().manual_seed(5)
    for shape in [(3, 20, 30), (3, 40, 7)]:
        u = torch.randn(shape, generator=random)
        values = torch.linalg.svdvals(orthogonalize(u, 5))
        assert ((values > 0.6) & (values < 1.25)).all()
        # the singular vectors stay: U Vᵀ and the result have the same
        left, _, right = torch.linalg.svd(u, full_matrices=False)
        diagonal = left.mT @ orthogonalize(u, 5) @ right.mT
        assert (diagonal - torch.diag_embed(diagonal.diagonal(dim1=1, dim2=2))).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("role", "rule"),
    [
        (ParameterRole("hidden2.kernel", (20, 10), 1, is_first=False, is_last=False), "muon"),
        (ParameterRole("conv2.kernel", (8, 4, 3, 3), 0, is_first=False, is_last=False), "muon"),
        (ParameterRole("hidden1.kernel", (20, 10), 1, is_first=True, is_last=False), "lion"),
        (ParameterRole("output.kernel", (20, 10), 1, is_first=False, is_last=True), "lion"),
        (ParameterRole("hidden2.bias", (1, 10), None, is_first=False, is_last=False), "lion"),
        (ParameterRole("net.position", (1, 7, 5), 0, is_first=False, is_last=False), "lion"),
        (ParameterRole("hidden2.kernel", (20, 1), 1, is_first=False, is_last=False), "lion"),
    ],
)
def test_muon_leaves_all_but_hidden_matrices_to_the_second_optimizer(role: ParameterRole, rule: str) -> None:
    muon = Optimizer.parse("muon:second=lion:decay=0.1/decay_exempt=on,second_lr=0.002")
    assert muon.for_parameter(role).name == rule
    assert muon.own_lr(role) == (None if rule == "muon" else 0.002)


@pytest.mark.parametrize("settings", [{"hidden": "20"}, {"hidden": "none"}, {"hidden": "20,1"}])
def test_muon_needs_a_hidden_matrix(settings: dict[str, Any], mini: Dataset) -> None:
    with pytest.raises(InputError, match="optimizer muon: the network has no weights between its first and its output"):
        check_run(RunSpec.parse({"optimizer": "muon"} | settings), mini.outline)
    check_run(RunSpec.parse({"optimizer": "muon", "hidden": "20,2"}), mini.outline)


@pytest.mark.parametrize("second", ["muon", "schedule_free_sgd", "adamx", "adamw:beta2=2", "adamw:beta3=0.5"])
def test_muon_refuses_what_cannot_be_second(second: str) -> None:
    with pytest.raises(InputError, match="muon: second"):
        Optimizer.parse(f"muon:second={second}")


def test_the_second_optimizers_parameters_are_written_without_ambiguity() -> None:
    text = "muon:momentum=0.9,second=adamw:beta2=0.95/decay=0.1,second_lr=0.0003"
    assert str(Optimizer.parse(text)) == text
    assert str(Optimizer.parse("muon:second=adamw:decay=0.01")) == "muon"


# Weight decay


@pytest.mark.parametrize("name", ["adamw", "lion", "schedule_free_sgd", "schedule_free_adamw"])
def test_decay_exempt_decays_weights_only(name: str) -> None:
    optimizer, lr = Optimizer.parse(f"{name}:decay=0.5,decay_exempt=on"), torch.full((1, 1, 1), 0.1)
    changed = {}
    for axis in (1, None):
        role = ParameterRole("hidden1.x", (3, 2), axis, is_first=False, is_last=False)
        p, rule = torch.ones(1, 3, 2), optimizer.for_parameter(role)
        rule.step(p, torch.zeros_like(p), rule.state(p), lr, 1)
        changed[axis] = bool((p < 1).all())
    assert changed == {1: True, None: False}


@pytest.mark.parametrize("name", ["adamw:decay=0", "lion", "schedule_free_sgd"])
def test_decay_exempt_needs_a_decay(name: str) -> None:
    separator = "," if ":" in name else ":"
    with pytest.raises(InputError, match="decay_exempt needs a decay above 0"):
        Optimizer.parse(f"{name}{separator}decay_exempt=on")


# Settings that do not go together


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule": "cosine"}, "schedule cosine: schedule_free_adamw needs none"),
        ({"weight_decay": 0.1}, "weight_decay: schedule_free_adamw averages the weights"),
        ({"max_norm": 1}, "max_norm: schedule_free_adamw averages the weights"),
        ({"ema": 0.9}, "ema: schedule_free_adamw is evaluated at an average already"),
        ({"lookahead": 5}, "lookahead: schedule_free_adamw is evaluated at an average already"),
    ],
)
def test_schedule_free_refuses_what_would_break_its_average(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        RunSpec.parse({"optimizer": "schedule_free_adamw"} | settings)


def test_schedule_free_takes_a_warm_up_and_penalties() -> None:
    assert RunSpec.parse({"optimizer": "schedule_free_sgd", "warmup": "1ep", "l2": 0.1}).warmup
