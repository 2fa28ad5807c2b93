"""Schedules and early stopping: the lecture's ratios, torch's schedulers, and the rules of Keras's callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from dnntrain.errors import InputError
from dnntrain.techniques.early_stopping import EarlyStopping
from dnntrain.techniques.schedules.base import Schedule, ScheduleContext, Warmup, learning_rates, momenta

CLOCK = ScheduleContext(steps_per_epoch=100, total_steps=1000)
LECTURE = ScheduleContext(steps_per_epoch=2625, total_steps=26_250)  # 42,000 images in batches of 16, ten epochs


def factors(schedule: str, t: Sequence[float], clock: ScheduleContext = CLOCK) -> np.ndarray:
    return Schedule.parse(schedule).multiplier(np.asarray(t, dtype=np.float64), clock)


def whole_run(schedule: str, warmup: str | None = None, clock: ScheduleContext = CLOCK, lr: float = 1.0) -> np.ndarray:
    warm = Warmup(length=warmup) if warmup else None
    epochs = clock.total_steps // clock.steps_per_epoch
    return np.concatenate([learning_rates(lr, Schedule.parse(schedule), warm, e, clock) for e in range(epochs)])


# ---- the lecture's equations


def test_power_falls_to_a_half_a_third_a_quarter() -> None:
    assert factors("power:s=50", [0, 50, 100, 150]) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert factors("power:s=50,c=2", [0, 50, 100, 150]) == pytest.approx([1, 1 / 4, 1 / 9, 1 / 16])


def test_power_drops_ever_more_slowly() -> None:
    ratios = factors("power:s=50", np.arange(50, 1000, 50)) / factors("power:s=50", np.arange(0, 950, 50))
    assert ratios == pytest.approx([k / (k + 1) for k in range(1, 20)])
    for c in (0.5, 1, 2):
        rates = factors(f"power:s=50,c={c}", np.arange(0, 1000, 50))
        assert rates[1:] / rates[:-1] == pytest.approx([(1 - 1 / (k + 2)) ** c for k in range(19)])  # eq. 2


def test_exponential_falls_tenfold_every_s() -> None:
    assert factors("exponential:s=50", [0, 25, 50, 100, 150]) == pytest.approx([1, 10**-0.5, 0.1, 0.01, 0.001])
    later, earlier = factors("exponential:s=50", np.arange(50, 200)), factors("exponential:s=50", np.arange(150))
    assert later / earlier == pytest.approx(np.full(150, 0.1))  # eq. 4
    assert later[1] / later[0] == pytest.approx(0.955, abs=5e-4)  # the fraction that the lecture prints there
    assert factors("exponential:s=50,base=0.5", [50, 100]) == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize("kind", ["power", "exponential"])
def test_a_length_in_epochs_is_their_iterations_worth(kind: str) -> None:
    t = np.arange(0, 26_250, 125)
    assert factors(f"{kind}:s=20ep", t, LECTURE).tolist() == factors(f"{kind}:s=52500", t, LECTURE).tolist()
    assert factors(f"{kind}:s=0.5ep", [1312.5], LECTURE) == pytest.approx(factors(f"{kind}:s=10", [10], LECTURE))


def test_the_lectures_slip_decays_sixteen_times_too_fast() -> None:
    t = np.array([2625.0, 13_125.0, 26_250.0])  # after epochs 1, 5 and 10
    slip, intended = factors("exponential:s=3281.25", t, LECTURE), factors("exponential:s=20ep", t, LECTURE)
    assert np.log10(slip) / np.log10(intended) == pytest.approx([16, 16, 16])
    assert intended == pytest.approx([10**-0.05, 10**-0.25, 10**-0.5])
    assert slip == pytest.approx([10**-0.8, 1e-4, 1e-8])


# ---- other schedules, torch's where it has them


def test_constant_stays() -> None:
    assert whole_run("constant", lr=0.02).tolist() == [0.02] * 1000


def test_piecewise_changes_at_its_times() -> None:
    t = [0, 499, 500, 1499, 1500, 9999]
    assert factors("piecewise:at=5ep/15ep,factors=1/0.5/0.1", t).tolist() == [1, 1, 0.5, 0.5, 0.1, 0.1]
    assert factors("piecewise:at=10,factors=2/0", [9, 10]).tolist() == [2, 0]


@pytest.mark.parametrize("given", ["at=5/10,factors=1/0.5", "at=5,factors=1/-1", "at=5/,factors=1/1/1"])
def test_piecewise_needs_one_factor_more_than_times(given: str) -> None:
    with pytest.raises(InputError, match="piecewise"):
        Schedule.parse(f"piecewise:{given}")


def torch_rates(make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler, rates = make(optimizer), []
    for _ in range(CLOCK.total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_step_is_torchs_step_lr() -> None:
    rates = torch_rates(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=130, gamma=0.7))
    assert whole_run("step:every=1.3ep,gamma=0.7", lr=0.3) == pytest.approx(rates, rel=1e-9)


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_torchs_cosine_annealing_lr(final: float) -> None:
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR
    rates = torch_rates(lambda optimizer: annealing(optimizer, T_max=1000, eta_min=0.3 * final))
    assert whole_run(f"cosine:final={final}", lr=0.3) == pytest.approx(rates, rel=1e-6, abs=1e-9)


def test_1cycle_passes_through_its_knots() -> None:
    t, expected = [0, 225, 450, 675, 900, 950, 1000], [0.1, 0.55, 1, 0.55, 0.1, 0.05005, 0.0001]
    assert factors("1cycle", t) == pytest.approx(expected)
    assert factors("1cycle:start=0.2,last=0.5", [0, 250, 500, 1000]) == pytest.approx([0.2, 1, 0.2, 0.0002])


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_linear_is_torchs_linear_lr(final: float) -> None:
    scheduler = torch.optim.lr_scheduler.LinearLR
    rates = torch_rates(lambda optimizer: scheduler(optimizer, 1.0, final, total_iters=1000))
    assert whole_run(f"linear:final={final}", lr=0.3) == pytest.approx(rates, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_polynomial_is_torchs_polynomial_lr(power: float) -> None:
    scheduler = torch.optim.lr_scheduler.PolynomialLR
    rates = torch_rates(lambda optimizer: scheduler(optimizer, total_iters=1000, power=power))
    assert whole_run(f"polynomial:power={power}", lr=0.3) == pytest.approx(rates, rel=1e-6, abs=1e-9)
    ends = factors(f"polynomial:power={power},final=0.2", [0, 500, 1000])
    assert ends == pytest.approx([1, 0.2 + 0.8 * 0.5**power, 0.2])


@pytest.mark.parametrize(
    ("period", "growth", "final"), [("130", 1, 0.0), ("1.5ep", 1, 0.1), ("60", 2, 0.1), ("7", 3, 0)]
)
def test_cosine_restarts_are_torchs_warm_restarts(period: str, growth: int, final: float) -> None:
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    length = 150 if period == "1.5ep" else int(period)
    rates = torch_rates(lambda optimizer: scheduler(optimizer, length, growth, eta_min=0.3 * final))
    ours = whole_run(f"cosine_restarts:period={period},growth={growth},final={final}", lr=0.3)
    assert ours == pytest.approx(rates, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("growth", [1, 2])
def test_cosine_restarts_in_the_step_that_its_length_says(growth: int) -> None:
    """0.55 epochs of 100 steps are 55.00000000000001 in floating point."""
    of_epochs = whole_run(f"cosine_restarts:period=0.55ep,growth={growth}")
    np.testing.assert_allclose(of_epochs, whole_run(f"cosine_restarts:period=55,growth={growth}"), atol=1e-9)
    after_warmup = whole_run(f"cosine_restarts:period=20,growth={growth}", warmup="0.55ep")
    np.testing.assert_allclose(
        after_warmup, whole_run(f"cosine_restarts:period=20,growth={growth}", warmup="55"), atol=1e-9
    )


@pytest.mark.parametrize(("shrink", "mode"), [(1.0, "triangular"), (0.5, "triangular2")])
def test_cyclic_is_torchs_cyclic_lr(shrink: float, mode: str) -> None:
    rates = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.CyclicLR(
            optimizer, base_lr=0.03, max_lr=0.3, step_size_up=70, mode=mode, cycle_momentum=False
        )
    )
    assert whole_run(f"cyclic:half=70,low=0.1,shrink={shrink}", lr=0.3) == pytest.approx(rates, rel=1e-6)


def test_inverse_sqrt_is_the_transformers_after_its_warm_up() -> None:
    # Vaswani et al. 2017: d^-0.5 min(step^-0.5, step · w^-1.5) with steps from 1, in units of its largest value
    step, w = np.arange(1, 1001), 150
    paper = np.minimum(step**-0.5, step * w**-1.5) * w**0.5
    ours = whole_run("inverse_sqrt:s=150", warmup="150")
    # the paper's first step after the warm-up is its step w + 1, where the schedule here starts at t = 0
    assert ours[:150] == pytest.approx(paper[:150])
    assert ours[150:] == pytest.approx(paper[149:-1])
    assert factors("inverse_sqrt:s=150", [0, 450]) == pytest.approx(factors("power:s=150,c=0.5", [0, 450]))


def test_wsd_is_torchs_constant_then_linear() -> None:
    def sequence(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        lr = torch.optim.lr_scheduler
        parts = [lr.ConstantLR(optimizer, 1.0), lr.LinearLR(optimizer, 1.0, 0.1, total_iters=250)]
        return lr.SequentialLR(optimizer, parts, milestones=[750])

    assert whole_run("wsd:last=0.25,final=0.1", lr=0.3) == pytest.approx(torch_rates(sequence), rel=1e-6)
    # the shape of Hägele et al. 2024, eq. 1: 1 - √u
    ends = factors("wsd:shape=sqrt,last=0.5", [0, 500, 625, 1000])
    assert ends == pytest.approx([1, 1, 0.5, 0])


@pytest.mark.parametrize("momenta", ["0.95/0.85", "0.9", "0.85/1", "a/b", "0.1/0.2/0.3", "on"])
def test_momenta_are_a_range_below_1(momenta: str) -> None:
    with pytest.raises(InputError, match="1cycle: momenta"):
        Schedule.parse(f"1cycle:momenta={momenta}")


def test_1cycles_momentum_falls_while_the_rate_rises_and_waits_for_the_warm_up() -> None:
    schedule = Schedule.parse("1cycle:momenta=0.8/0.9")
    t = np.array([0, 225, 450, 675, 900, 950, 1000.0])
    assert schedule.momentum(t, CLOCK) == pytest.approx([0.9, 0.85, 0.8, 0.85, 0.9, 0.9, 0.9])
    after = np.concatenate([momenta(schedule, Warmup(length="1.5ep"), epoch, CLOCK) for epoch in range(10)])
    rest = ScheduleContext(CLOCK.steps_per_epoch, 850)
    assert after[:150] == pytest.approx(np.full(150, 0.9))
    assert after[150:] == pytest.approx(schedule.momentum(np.arange(850.0), rest))


# ---- warm-up


@pytest.mark.parametrize("schedule", Schedule.names())
def test_warm_up_rises_linearly_then_the_schedule_starts(schedule: str) -> None:
    rates = whole_run(schedule, warmup="1.5ep", lr=0.2)
    rest = ScheduleContext(CLOCK.steps_per_epoch, CLOCK.total_steps - 150)
    assert rates[:150] == pytest.approx(0.2 * np.arange(1, 151) / 150)
    assert rates[150:] == pytest.approx(0.2 * factors(schedule, np.arange(850), rest))


def test_warm_up_longer_than_the_run_fills_it() -> None:
    assert whole_run("constant", warmup="50ep") == pytest.approx(np.arange(1, 1001) / 1000)


@pytest.mark.parametrize("length", ["0.5", "1.5", "10.5", "0.333ep"])
def test_warm_up_never_goes_beyond_the_rate(length: str) -> None:
    assert whole_run("constant", warmup=length, lr=0.2).max() <= 0.2


# ---- performance scheduling, by Keras's rule


def keras_plateau(losses: Sequence[float], factor: float, patience: int, min_delta: float) -> list[float]:
    """ReduceLROnPlateau.on_epoch_end with mode min and no cool-down; the rate after each epoch, from 1."""
    lr, wait, best, rates = 1.0, 0, math.inf, []
    for current in losses:
        if current < best - min_delta:
            best = current
            wait = 0
        else:
            wait += 1
            if wait >= patience:
                lr *= factor
                wait = 0
        rates.append(lr)
    return rates


def performance_rates(losses: Sequence[float], factor: float, patience: int, min_delta: float) -> list[float]:
    schedule = f"performance:factor={factor},patience={patience},min_delta={min_delta}"
    clocks = [ScheduleContext(100, 1000, losses[:epochs]) for epochs in range(1, len(losses) + 1)]
    return [float(factors(schedule, [123], clock)[0]) for clock in clocks]


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "expected"),
    [
        # the second epoch without improvement fires at once: wait >= patience
        ([1.0, 1.0, 1.0], 2, 0.0, [1, 1, 0.5]),
        ([1.0, 1.0], 1, 0.0, [1, 0.5]),
        # after a drop the wait starts anew, the best stays
        ([1.0, 2.0, 2.0, 2.0, 2.0, 2.0], 2, 0.0, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([1.0, 2.0, 0.9, 2.0, 2.0], 2, 0.0, [1, 1, 1, 1, 0.5]),
        # min_delta is absolute: .95 of 100 is no improvement by 1, .02 of .05 would be one by a share of it
        ([100.0, 99.05, 98.99], 2, 1.0, [1, 1, 1]),
        ([0.05, 0.03, 0.01], 2, 0.1, [1, 1, 0.5]),
        # creeping down: each step is below min_delta, their sum is not
        ([1.0, 0.94, 0.88, 0.82], 2, 0.1, [1, 1, 1, 1]),
        ([1.0, 0.97, 0.94, 0.91], 3, 0.1, [1, 1, 1, 0.5]),
    ],
)
def test_performance_by_hand(losses: list[float], patience: int, min_delta: float, expected: list[float]) -> None:
    assert performance_rates(losses, 0.5, patience, min_delta) == pytest.approx(expected)
    assert keras_plateau(losses, 0.5, patience, min_delta) == pytest.approx(expected)


@pytest.mark.parametrize("min_delta", [0.0, 1e-4, 0.05])
def test_performance_follows_keras_over_random_losses(min_delta: float) -> None:
    rng, fired = np.random.default_rng(1), 0
    for trial in range(200):
        # rounded, so that ties are common
        losses = np.round(1 + 0.05 * rng.standard_normal(25).cumsum(), 2).tolist()
        expected = keras_plateau(losses, 0.5, 1 + trial % 4, min_delta)
        assert performance_rates(losses, 0.5, 1 + trial % 4, min_delta) == pytest.approx(expected)
        fired += expected[-1] < 0.5
    assert fired > 50  # several drops in one run are among them


def test_performance_watches_any_validation_metric_in_its_own_direction() -> None:
    rng = np.random.default_rng(3)
    for patience in (1, 2, 3):
        accuracies = np.round(0.5 + 0.02 * rng.standard_normal(25).cumsum(), 2).tolist()
        watching = Schedule.parse(f"performance:factor=0.5,patience={patience},min_delta=0.01,metric=val_acc")
        clocks = [ScheduleContext(100, 1000, accuracies[:epochs]) for epochs in range(1, 26)]
        rates = [float(watching.multiplier(np.zeros(1), clock)[0]) for clock in clocks]
        assert rates == keras_plateau([-value for value in accuracies], 0.5, patience, 0.01)
        assert rates[-1] < 1
    assert watching.watched_metric == "val_acc" and Schedule.parse("performance").watched_metric == "val_loss"
    with pytest.raises(InputError, match="must be a validation metric; did you mean 'val_acc'"):
        Schedule.parse("performance:metric=val_ac")


def test_performance_starts_at_the_full_rate_and_acts_on_a_whole_epoch() -> None:
    schedule = Schedule.parse("performance:patience=1")
    assert learning_rates(0.3, schedule, None, 0, CLOCK).tolist() == [0.3] * 100
    after = learning_rates(0.3, schedule, None, 2, ScheduleContext(100, 1000, [1.0, 1.0]))
    assert after == pytest.approx(np.full(100, 0.03))


# ---- early stopping, by Keras's rule


def keras_early_stopping(values: Sequence[float], stop: EarlyStopping) -> tuple[int | None, int]:
    """EarlyStopping.on_epoch_end: the epoch (0-based) after which it stops, None if never, and the best epoch."""
    best, best_epoch, wait = None, 0, 0
    for epoch, current in enumerate(values):
        wait += 1
        if stop.metric == "val_loss":
            improved = best is None or current + stop.min_delta < best
        else:
            improved = best is None or current - stop.min_delta > best
        if improved:
            best, best_epoch, wait = current, epoch, 0
        elif wait >= stop.patience and epoch > 0:
            return epoch, best_epoch
    return None, best_epoch


def ours(values: Sequence[float], stop: EarlyStopping) -> tuple[int | None, int]:
    stopped = next((e for e in range(len(values)) if stop.should_stop(values[: e + 1])), None)
    seen = values if stopped is None else values[: stopped + 1]
    return stopped, stop.best_epoch.improvements(seen)[-1]


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([1.0, 0.9, 0.95, 0.92], {"patience": 2}, (3, 1)),
        ([1.0, 0.9, 0.95, 0.89], {"patience": 2}, (None, 3)),
        ([0.5, 0.5], {"patience": 1}, (1, 0)),
        ([1.0, 0.95, 0.91, 0.5], {"patience": 2, "min_delta": 0.1}, (2, 0)),
        ([0.5, 0.6, 0.6, 0.59], {"patience": 2, "metric": "val_acc"}, (3, 1)),
        ([0.6, 0.5, 0.4], {"patience": 2, "metric": "val_acc"}, (2, 0)),
    ],
)
def test_early_stopping_by_hand(values: list[float], settings: dict, expected: tuple[int | None, int]) -> None:
    stop = EarlyStopping(**settings)
    assert ours(values, stop) == expected
    assert keras_early_stopping(values, stop) == expected


@pytest.mark.parametrize("metric", ["val_loss", "val_acc"])
@pytest.mark.parametrize("min_delta", [0.0, 0.03])
def test_early_stopping_follows_keras_over_random_figures(metric: str, min_delta: float) -> None:
    rng, outcomes = np.random.default_rng(2), []
    for trial in range(200):
        values = np.round(0.5 + 0.04 * rng.standard_normal(10).cumsum(), 2).tolist()
        stop = EarlyStopping(patience=1 + trial % 6, min_delta=min_delta, metric=metric)
        outcomes.append(ours(values, stop))
        assert outcomes[-1] == keras_early_stopping(values, stop)
    assert {stopped is None for stopped, _ in outcomes} == {True, False}  # both ends are among them
