"""Solo gains and marginal losses in in-and-out designs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dnntrain.statistics import solo_and_marginal

Runs = dict[int, float]


def design(noise: float = 0.01) -> tuple[Runs, Runs, dict[str, Runs], dict[str, Runs]]:
    """bn gains 5 alone and 1 among all; elu 1 and 5; dropout 2 and 2."""
    random = np.random.default_rng(1).standard_normal((8, 5)) * noise
    base, everything = ({s: level + s + random[i, s] for s in range(5)} for i, level in enumerate((10.0, 20.0)))
    alone = {"bn": 5.0, "elu": 1.0, "dropout": 2.0}
    without = {"bn": 19.0, "elu": 15.0, "dropout": 18.0}
    one_in = {
        name: {s: 10 + gain + s + random[2 + i, s] for s in range(5)} for i, (name, gain) in enumerate(alone.items())
    }
    one_out = {
        name: {s: level + s + random[5 + i, s] for s in range(5)} for i, (name, level) in enumerate(without.items())
    }
    return base, everything, one_in, one_out


def test_solo_gain_beside_marginal_loss() -> None:
    base, everything, one_in, one_out = design()
    found = solo_and_marginal(base, everything, one_in, {**one_out, "other": {}}, delta=0.5)
    assert {name: each.reading for name, each in found.items()} == {
        "bn": "redundant",
        "elu": "synergistic",
        "dropout": "additive",
    }
    bn = found["bn"]
    assert (bn.solo.mean, bn.marginal.mean, bn.gap.mean) == pytest.approx((5, 1, -4), abs=0.05) and bn.n == 5
    gaps = [everything[s] - one_out["bn"][s] - one_in["bn"][s] + base[s] for s in range(5)]
    assert bn.gap.mean == pytest.approx(np.mean(gaps)) and bn.p < 0.001
    assert bn.gap.low < bn.narrow_gap.low < bn.gap.mean < bn.narrow_gap.high < bn.gap.high
    losses = solo_and_marginal(base, everything, one_in, one_out, delta=0.5, higher_is_better=False)
    assert losses["bn"].solo.mean == pytest.approx(-bn.solo.mean) and losses["bn"].reading == "synergistic"


def test_additive_needs_a_small_interval_not_only_a_large_p() -> None:
    quiet = solo_and_marginal(*design(), delta=0.5)["dropout"]
    noisy = solo_and_marginal(*design(noise=2.0), delta=0.5)["dropout"]
    assert quiet.p > 0.05 and noisy.p > 0.05
    assert (quiet.reading, noisy.reading) == ("additive", "not told from additive")
    assert solo_and_marginal(*design(), delta=0.0)["dropout"].reading == "not told from additive"


def test_one_technique_is_the_t_test_of_its_gap_where_variances_differ_much() -> None:
    """A wild arm leaves the pool no weight: the interval is Student's, as wide as the gap's own values say."""
    random = np.random.default_rng(3)
    runs = random.standard_normal((4, 12))
    runs[3] *= 1000
    base, everything, alone, without = ({s: float(v) for s, v in enumerate(row)} for row in runs)
    found = solo_and_marginal(base, everything, {"bn": alone}, {"bn": without}, delta=1)["bn"]
    gaps = runs[1] - runs[3] - runs[2] + runs[0]
    interval = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert (found.gap.low, found.gap.high) == pytest.approx((interval.low, interval.high), rel=1e-3)


def test_one_seed_or_none() -> None:
    found = solo_and_marginal(
        {0: 1.0}, {0: 3.0}, {"bn": {0: 2.0}, "elu": {}}, {"bn": {0: 2.5}, "elu": {0: 1.0}}, delta=0.1
    )
    assert found["bn"].gap.mean == -0.5 and found["bn"].reading == "one seed: no interval"
    assert found["elu"].n == 0 and math.isnan(found["elu"].solo.mean) and found["elu"].reading == "no run to compare"
    assert found["elu"].marginal.mean == 2
    assert solo_and_marginal({}, {}, {}, {}, delta=0.1) == {}


def test_bad_arguments_are_refused() -> None:
    base, everything, one_in, one_out = design()
    with pytest.raises(ValueError, match="delta"):
        solo_and_marginal(base, everything, one_in, one_out, delta=-0.1)
    with pytest.raises(ValueError, match="not finite"):
        solo_and_marginal({**base, 0: math.inf}, everything, one_in, one_out, delta=0.1)
