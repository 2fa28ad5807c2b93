"""Thresholds for clipping: quantiles of what healthy runs recorded, and the share of steps that each would clip."""

from __future__ import annotations

import numpy as np
import pytest

from dnntrain.analysis.thresholds import QUANTILES, propose_thresholds
from dnntrain.cli.runs_thresholds import preset_lines
from dnntrain.store.records import ProbesRecord, RunRecord
from tests.support.records import made_record


def record(magnitudes: dict[str, list[float | None]] | None, health: str = "healthy") -> RunRecord:
    return made_record(health=health, **({"probes": ProbesRecord(magnitudes=magnitudes)} if magnitudes else {}))


def test_each_kind_gets_thresholds_at_the_quantiles_of_all_healthy_runs() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=(2, 500))
    records = [record({"clipvalue": list(own), "global_clipnorm": list(100 * own)}) for own in values]
    proposed = propose_thresholds(records)
    assert proposed and (proposed.runs, proposed.steps) == (2, 1000)
    for kind, scale in (("clipvalue", 1), ("global_clipnorm", 100)):
        for quantile, threshold in zip(QUANTILES, proposed.by_kind[kind], strict=True):
            exact = np.quantile(scale * values, quantile)
            assert exact <= threshold.value * (1 + 1e-12) <= 1.1 * exact + 1e-9
            assert float(f"{threshold.value:.2g}") == threshold.value
            assert threshold.clips == (scale * values > threshold.value).mean()
            assert threshold.clips == pytest.approx(1 - quantile, abs=0.06)
        assert proposed.by_kind[kind][-1].clips == 0


def test_runs_that_are_not_healthy_and_steps_without_a_gradient_do_not_count() -> None:
    sound = {"clipnorm": [1.0, None, 2.0, 0.0], "own_kind": [None, None]}
    records = [record(sound), record({"clipnorm": [99.0]}, "exploding (layer 1, epoch 2)"), record(None)]
    proposed = propose_thresholds(records)
    assert proposed and (proposed.runs, proposed.steps) == (1, 2)
    assert list(proposed.by_kind) == ["clipnorm"] and proposed.by_kind["clipnorm"][-1].value == 2
    assert propose_thresholds(records[1:]) is None and propose_thresholds([]) is None
    unseen = propose_thresholds([record({"clipnorm": [1.0]}, "healthy (activations not judged)")])
    assert unseen and unseen.runs == 1


def test_a_preset_takes_the_thresholds_that_are_proposed_for_it() -> None:
    """It refuses a value that is there twice, and a single one."""
    for magnitudes, numbers in (([1.0, 3.0, 3.05], "3, 3.1"), ([1.0, 1.0], "")):
        proposed = propose_thresholds([record({"clipnorm": list(magnitudes)})])
        assert proposed
        line = f"To try them in a preset: by clipnorm: {{clipnorm: {{tune: [{numbers}]}}}}"
        assert preset_lines(proposed) == ([line] if numbers else [])
