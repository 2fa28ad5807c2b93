"""The card of a schedule: its curve and ratios without training."""

from __future__ import annotations

import re

import pytest

from dnntrain.cli.techniques import card
from dnntrain.errors import InputError
from dnntrain.techniques.schedules.base import Schedule
from dnntrain.utils.console import as_text


def rows_of(schedule: str) -> list[list[str]]:
    """The cells of the table's rows."""
    table = as_text(card(schedule)).split("ratio to the row above")[1]
    return [re.split(r"  +", line.strip()) for line in table.splitlines() if re.match(r" *[\d.,]+ ", line)]


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_the_ratios_of_power_are_the_lectures_equation_2(c: float) -> None:
    first, *rows = rows_of(f"power:s=10000,c={c}")
    assert first == ["0 iterations", "1"] and len(rows) == 8
    for k, (time, rate, ratio) in enumerate(rows):
        assert time == f"{10_000 * (k + 1):,} iterations"
        assert float(rate) == pytest.approx((k + 2) ** -c, rel=1e-3)
        assert float(ratio) == pytest.approx((1 - 1 / (k + 2)) ** c, rel=1e-3)


def test_the_ratio_of_exponential_is_the_lectures_equation_4() -> None:
    _, *rows = rows_of("exponential:s=20ep")
    assert [ratio for _, _, ratio in rows] == ["0.1"] * 8
    assert rows[1][:2] == ["40 epochs", "0.01"]


@pytest.mark.parametrize("name", Schedule.names())
def test_every_schedule_is_drawn_within_its_axes(name: str) -> None:
    text = as_text(card(name))
    curve = [line for line in text.splitlines() if re.search("[▁-█]", line)]
    assert 2 <= len(curve) <= 6 and 5 < max(map(len, curve)) <= 6 + 61
    assert len(rows_of(name)) in (9, 11)


def test_performance_is_drawn_for_a_metric_that_never_improves() -> None:
    assert "where val_acc never improves" in as_text(card("performance:patience=2,factor=0.5,metric=val_acc"))
    rates = [float(rate) for _, rate, *_ in rows_of("performance:patience=2,factor=0.5")]
    # the first epoch counts as an improvement, so the first drop is after the third epoch
    assert rates == pytest.approx([1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125], rel=1e-3)


def test_a_cycled_momentum_is_listed() -> None:
    assert "momentum" in as_text(card("1cycle:momenta=0.85/0.95")) and "momentum" not in as_text(card("power"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("power:q=1", "unknown parameter 'q'"), ("elu:alpha=1", "only the card of a schedule"), ("powerr", "'power'")],
)
def test_a_card_refuses_what_it_would_ignore(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        card(name)
