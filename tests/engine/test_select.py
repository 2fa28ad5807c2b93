"""`select` says which epoch's weights are kept; nothing else about a run depends on it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.population import StartState
from dnntrain.engine.run import Run
from dnntrain.errors import InputError
from dnntrain.studies.presets import load_preset
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.engine.test_bit_for_bit import assert_same, company
from tests.engine.test_checkpoints import Keeper
from tests.support.inline import answer

# so high a rate that validation goes up and down
WAVERING: dict[str, Any] = {"hidden": "37,20", "batch_size": 20, "train_size": 203, "val": 150, "epochs": 9, "lr": 0.3}
BEST = {"select": "best:val_acc"}
STOP = {"early_stop": 3, "early_stop_metric": "val_acc"}
RULES: list[dict[str, Any]] = [
    {},
    {"select": "last"},
    {"select": "best:val_loss"},
    BEST,
    STOP,
    STOP | {"early_stop_restore": False},
    STOP | {"select": "last"},
    STOP | {"select": "best:val_loss"},
    STOP | BEST,
]


SEEDS = (1, 3)


def spec(**settings: Any) -> RunSpec:
    return RunSpec.parse(WAVERING | settings)


def expected_epoch(run: Run) -> int:
    """The epoch (from 1) that the run must have kept, from its settings and its history."""
    settings = run.spec.settings()
    last, select = len(run.history), settings["select"]
    if select == "auto":
        keeps_best = settings["early_stop"] and settings["early_stop_restore"]
        select = f"best:{settings['early_stop_metric']}" if keeps_best else "last"
    if select == "last":
        return last
    metric = select.removeprefix("best:")
    values = np.array(run.values(metric)) * (1 if metric == "val_acc" else -1)
    return int(values.argmax()) + 1


SPECS = [spec(seed=seed, **rule) for rule in RULES for seed in SEEDS]


@pytest.fixture(scope="module")
def runs(mini: Dataset) -> dict[RunSpec, Run]:
    """Runs by each rule, all in one population."""
    assert len({each.graph() for each in SPECS}) == 1
    return dict(zip(SPECS, train_population(SPECS, mini), strict=True))


def test_each_rule_keeps_its_epoch(runs: dict[RunSpec, Run], mini: Dataset) -> None:
    ended = cache(lambda seed, epochs: train_population([spec(seed=seed, epochs=epochs)], mini))
    for run in runs.values():
        assert run.kept_epoch == expected_epoch(run)
        plain = runs[spec(seed=run.spec.seed)].history
        assert repr(run.history) == repr(plain[: len(run.history)])
        # a run's weights after its k-th epoch do not depend on how many were to follow
        [ended_there] = ended(run.spec.seed, run.kept_epoch)
        assert ended_there.test == run.test
        for name, tensor in ended_there.weights.items():
            assert tensor.tobytes() == run.weights[name].tobytes(), name


def test_the_rules_keep_different_epochs_here(runs: dict[RunSpec, Run]) -> None:
    """Else the other tests would hold nothing."""
    stopped, loss, acc = runs[spec(seed=1, **STOP)], spec(seed=1, select="best:val_loss"), spec(seed=1, **BEST)
    assert stopped.kept_epoch < len(stopped.history) < 9
    assert len({runs[loss].kept_epoch, runs[acc].kept_epoch, 9}) == 3


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_run_is_the_same_alone_and_in_a_population(
    rule: dict[str, Any], runs: dict[RunSpec, Run], mini: Dataset
) -> None:
    member = spec(seed=1, **rule)
    [alone] = train_population([member], mini)
    assert_same(alone, runs[member])
    assert_same(alone, train_population([*company(member), member], mini)[-1])


def test_the_best_weights_are_in_the_checkpoint(runs: dict[RunSpec, Run], mini: Dataset) -> None:
    keeper = Keeper(5)
    train_population(SPECS, mini, on_epoch=keeper)
    resumed = [SPECS[index] for index in keeper.kept]
    assert any(runs[each].kept_epoch <= 5 < len(runs[each].history) for each in resumed)
    start = StartState(checkpoints=list(keeper.kept.values()))
    for run in train_population(resumed, mini, start=start):
        assert_same(run, runs[run.spec])


def test_runs_go_on_together_that_were_cut_off_apart(runs: dict[RunSpec, Run], mini: Dataset) -> None:
    """The checkpoint of a run that keeps its last epoch has no best weights if no neighbor had any."""
    points, apart = [], [spec(seed=1), spec(seed=1, **BEST)]
    for each in apart:
        keeper = Keeper(5)
        train_population([each], mini, on_epoch=keeper)
        points.append(keeper.kept[0])
    assert not any(name.startswith("best.") for name in points[0].tensors)
    for run in train_population(apart, mini, start=StartState(checkpoints=points)):
        assert_same(run, runs[run.spec])


def test_a_transfer_selects_among_the_epochs_of_its_last_stage(mini: Dataset) -> None:
    below = RunSpec.parse({"hidden": "20,16", "train_size": 200, "val": 200, "epochs": 1})
    [trained] = train_population([below], mini)
    base = RunBackbone("0123456789ab", below, trained.weights, mini.shape, mini.classes)
    settings = {"reuse_from": base.name, "freeze_epochs": 3, "unfreeze_layers": 1, "epochs": 9, "lr": 0.8}
    last, best = (
        train_transfer([below.changed(**settings, seed=seed, **rule) for seed in range(3)], mini, base)
        for rule in ({"select": "last"}, BEST)
    )
    assert [run.kept_epoch for run in last] == [9] * 3
    assert [run.kept_epoch for run in best] == [4 + int(np.argmax(run.values("val_acc")[3:])) for run in best]
    assert [repr(run.history) for run in best] == [repr(run.history) for run in last]
    assert any(run.kept_epoch < 9 for run in best)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"select": "first"}, "select 'first': must be auto, last, or best:METRIC, such as best:val_acc"),
        ({"select": "best"}, "select 'best': must be auto, last, or best:METRIC"),
        ({"select": "best:val_ac"}, "select 'best:val_ac': must be a validation metric; did you mean 'val_acc'"),
        ({"select": "best:test_acc"}, "select 'best:test_acc': must be a validation metric"),
        (STOP | BEST | {"early_stop_restore": False},
         "select best:val_acc keeps the best epoch, early_stop_restore off the last: give one"),
    ],
)  # fmt: skip
def test_what_selects_nothing_or_two_things_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        RunSpec.parse(settings)
    assert str(caught.value).startswith(said)


def test_a_metric_of_another_task_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{i},{i}.5\n" for i in range(60)))
    preset = tmp_path / "p.yaml"
    preset.write_text(f"base: {{data: {tmp_path}/line.csv, target: y}}\nfactors:\n  best: {{select: best:val_acc}}\n")
    with pytest.raises(InputError) as caught:
        load_preset(str(preset))
    assert "p.yaml:3: factors.best: select best:val_acc: a regression has val_loss, val_r2" in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_the_plan_and_the_results_list_how_arms_select(tmp_path: Path) -> None:
    text = "base: {hidden: 4, epochs: 2, train_size: 60, val: 60}\nfactors: {best: {select: best:val_acc}}\nseeds: 2\n"
    (tmp_path / "s.yaml").write_text(text)
    plan = answer(["ablate", "s.yaml", "--plan"], tmp_path).out
    assert "select=best:val_acc" in plan and "select=auto" in plan
    assert answer(["ablate", "s.yaml"], tmp_path).code == 0
    assert ",select," in (tmp_path / "runs/s/results.csv").read_text().splitlines()[0]
