"""A replicate has the run's settings and other random numbers in every stream; replicate 0 is the run itself."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.engine.splits import splits_of
from dnntrain.nn.random import stream_key
from dnntrain.studies.presets import read_preset
from tests.engine.test_bit_for_bit import assert_same, spec
from tests.support.inline import answer


def test_the_first_replicate_is_the_run_itself_and_the_others_have_seeds_of_their_own() -> None:
    assert RunSpec(seed=7).stream_seed == 7 == RunSpec(seed=7, replicate=0).stream_seed
    seeds = [RunSpec(seed=seed, replicate=number).stream_seed for seed in range(20) for number in range(20)]
    assert len({*seeds}) == 400 and all(0 <= seed < 2**63 for seed in seeds)
    # by hand: the first 63 bits of SHA-256 of "7/1"; records depend on it
    assert RunSpec(seed=7, replicate=1).stream_seed == 0x2F3150473CFAE969
    assert stream_key(RunSpec(seed=7, replicate=1).stream_seed, "init") != stream_key(7, "init")


def test_weights_order_subset_and_dropout_are_other_ones(mini: Dataset) -> None:
    specs = [spec(replicate=replicate, dropout=0.5) for replicate in (0, 1, 1)]
    runs = [Run(each, index) for index, each in enumerate(specs)]
    start = Population.start(runs, mini, torch.device("cpu"), StartState())
    ours, theirs, again = start.network.parameters["hidden1.kernel"]
    assert not torch.equal(ours, theirs) and torch.equal(theirs, again)
    assert np.isclose(ours.std(), theirs.std(), rtol=0.05)
    first, second, third = (set(split[0].tolist()) for split in splits_of(mini, specs))
    assert first != second == third
    shared = [train for train, _ in splits_of(mini, [each.changed(subset="shared") for each in specs])]
    assert np.array_equal(shared[0], shared[1])  # what all runs share, replicates share too
    batches = BatchSource(mini, specs, torch.device("cpu"), splits=[splits_of(mini, specs[:1])[0]] * 3)
    step = next(batches.epoch(start.seeds, 0))
    assert not torch.equal(step.x[0], step.x[1]) and torch.equal(step.x[1], step.x[2])


def test_a_replicate_is_repeatable_alone_and_in_a_population(mini: Dataset) -> None:
    specs = [spec(seed=3, replicate=replicate, dropout=0.2) for replicate in (0, 1, 2)]
    assert len({each.graph() for each in specs}) == 1
    together = train_population(specs, mini)
    for each, run in zip(specs, together, strict=True):
        [alone] = train_population([each], mini)
        assert_same(alone, run)
    assert len({run.test["test_loss"] for run in together}) == 3
    [plain] = train_population([spec(seed=3, dropout=0.2)], mini)
    assert_same(plain, together[0])


def test_arms_may_differ_in_their_replicate_only(tmp_path: Path) -> None:
    text = "base: {hidden: 4, epochs: 1, train_size: 60, val: 60}\nfactors: {again: {replicate: 1}}\nseeds: 2\n"
    assert [arm.spec.replicate for arm in read_preset(text, "aa.yaml").arms] == [0, 1]
    (tmp_path / "aa.yaml").write_text(text)
    assert "replicate=1" in answer(["ablate", "aa.yaml", "--plan"], tmp_path).out
    trained = answer(["ablate", "aa.yaml"], tmp_path)
    assert trained.code == 0, trained.err
    with (tmp_path / "runs/aa/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["replicate"]) for row in rows] == [("baseline", "0")] * 2 + [("again", "1")] * 2
    assert len({row["val_loss"] for row in rows}) == 4


@pytest.mark.parametrize("value", ["-1", "x", "0.5"])
def test_what_is_no_replicate_is_refused(value: str, tmp_path: Path) -> None:
    refused = answer(["train", "--replicate", value], tmp_path)
    assert refused.code == 2 and "replicate" in refused.err
