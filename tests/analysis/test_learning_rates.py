"""Learning rates by iteration, computed from recorded settings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dnntrain.analysis.learning_rates import RateClock, rate_clocks
from dnntrain.config.spec import RunSpec
from dnntrain.store.study_record import StudyRecord


def history(rates: list[float], **figures: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(1, len(rates) + 1), "lr": rates} | figures)


def test_a_curve_has_the_rates_between_the_ends_of_epochs() -> None:
    spec = RunSpec.parse({"schedule": "power:s=10", "lr": 0.3, "epochs": 4, "warmup": "5"})
    t = np.arange(40)
    rates = np.where(t < 5, 0.3 * (t + 1) / 5, 0.3 / (1 + np.maximum(t - 5, 0) / 10))
    curve = RateClock(spec, steps=10, points=100).curve(history([rates[9], rates[19], rates[29]]))
    assert [at for at, _ in curve] == [*range(1, 31)]  # it stopped after three epochs
    assert [rate for _, rate in curve] == pytest.approx(rates[:30], rel=1e-4)
    thinned = RateClock(spec, steps=10, points=4).curve(history([rates[9], rates[19]]))
    assert thinned == tuple(curve[k] for k in (0, 3, 6, 9, 10, 13, 16, 19))


def test_a_schedule_that_reacts_follows_the_recorded_metric() -> None:
    spec = RunSpec.parse({"schedule": "performance:patience=1,factor=0.5,metric=val_acc", "lr": 1, "epochs": 9})
    curve = RateClock(spec, 10, 2).curve(history([1, 1, 0.5, 0.5], val_acc=[0.5, 0.4, 0.6, 0.7]))
    assert curve == ((1, 1), (10, 1), (11, 1), (20, 1), (21, 0.5), (30, 0.5), (31, 0.5), (40, 0.5))


def test_rates_that_the_settings_do_not_explain_are_those_of_the_epochs_ends() -> None:
    clock = RateClock(RunSpec.parse({"lr": 0.1, "epochs": 3}), 10, 5)
    assert clock.curve(history([0.1, 0.01, 0.01])) == ((10, 0.1), (20, 0.01), (30, 0.01))


def study(settings: dict[str, object], n: int = 1000) -> StudyRecord:
    arms = [{"name": "a", "settings": settings}]
    datasets = [{"name": "made", "train_examples": n, "test_examples": 10}]
    return StudyRecord.model_validate(
        {"name": "s", "metric": "val_acc", "seeds": [0], "arms": arms, "datasets": datasets}
    )


def test_steps_follow_from_the_recorded_sizes() -> None:
    clocks = rate_clocks(study(RunSpec.parse({"batch_size": 100, "val": 0.2, "epochs": 5}).settings()))
    assert (clocks["a"].steps, clocks["a"].points) == (8, 80)
    smaller = rate_clocks(study(RunSpec.parse({"batch_size": 10, "train_size": 55, "accumulate": 2}).settings()))
    assert smaller["a"].steps == 3
    assert rate_clocks(study({})) == {}  # as in old studies
    assert rate_clocks(study(RunSpec.parse({}).settings() | {"act": "of_a_plugin"})) == {}
