"""Early stopping and `select` by metrics that runs do not record: measured on each epoch's validation outputs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.population import StartState
from dnntrain.errors import InputError
from dnntrain.metrics import METRICS, metric_columns
from dnntrain.studies.feasibility import check_run
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.engine.test_checkpoints import Keeper
from tests.engine.test_constant import table
from tests.support.inline import answer

SMALL: dict[str, Any] = {"hidden": "9,6", "val": 37, "batch_size": 16, "epochs": 6, "lr": 0.3}
WATCHED = [column for column in metric_columns() if column.startswith("val_") and not METRICS[column[4:]].recorded]


@pytest.mark.parametrize("column", WATCHED)
def test_the_epoch_that_is_kept_is_the_best_by_any_metric(column: str) -> None:
    metric = METRICS[column[4:]]
    data = table(7 if "classification" in metric.tasks else 0, rows=150)
    settings = SMALL | ({} if data.classes else {"lr": 0.05})
    specs = [RunSpec.parse(settings | {"select": f"best:{column}", "seed": seed}) for seed in range(3)]
    for run in train_population(specs, data):
        values = np.array(run.values(column)) * (1 if metric.higher_is_better else -1)
        assert len(set(values)) > 1 and run.kept_epoch == int(values.argmax()) + 1
        assert run.predictions
        for part, measured in (("val", run.kept_row[column]), ("test", run.test[f"test_{metric.name}"])):
            assert measured == pytest.approx(run.predictions.metric(f"{part}_{metric.name}"), rel=1e-6)


def test_a_member_is_measured_by_its_own_metrics_alone_and_among_others() -> None:
    data = table(3)
    watching = [{"select": "best:val_macro_f1"}, {}, {"early_stop": 2, "early_stop_metric": "val_auc"}]
    specs = [RunSpec.parse(SMALL | settings | {"seed": seed}) for seed, settings in enumerate(watching)]
    together = train_population(specs, data)
    columns = [{"val_macro_f1"}, set(), {"val_auc"}]
    for spec, run, own in zip(specs, together, columns, strict=True):
        [alone] = train_population([spec], data)
        assert run.history == alone.history and run.test == alone.test
        assert {"val_macro_f1", "val_auc"} & run.history[0].keys() == own
        assert {f"val_{name[5:]}" for name in run.test if name in ("test_macro_f1", "test_auc")} == own


@pytest.mark.parametrize("column", ["val_acc", "val_macro_f1"])
def test_a_schedule_lowers_the_rate_by_the_metric_it_watches(column: str) -> None:
    schedule = f"performance:factor=0.5,patience=1,metric={column}"
    [run] = train_population([RunSpec.parse(SMALL | {"schedule": schedule})], table(3))
    best, rate = -1.0, 0.3
    for row in run.history:
        assert row["lr"] == pytest.approx(rate)
        rate *= 1.0 if row[column] > best + 1e-4 else 0.5
        best = max(best, row[column] if row[column] > best + 1e-4 else best)
    assert rate < 0.3


def test_a_schedule_cannot_watch_a_metric_of_another_task() -> None:
    spec = RunSpec.parse({"schedule": "performance:metric=val_acc"})
    with pytest.raises(InputError, match="schedule performance:metric=val_acc: a regression has val_loss"):
        check_run(spec, table(0).outline)


def test_it_goes_on_from_a_checkpoint_and_works_without_predictions() -> None:
    data, spec = table(3), RunSpec.parse(SMALL | {"select": "best:val_brier"})
    keeper = Keeper(3)
    [whole] = train_population([spec], data, on_epoch=keeper)
    [resumed] = train_population([spec], data, start=StartState(checkpoints=[keeper.kept[0]]))
    assert resumed.history == whole.history and resumed.kept_epoch == whole.kept_epoch and resumed.test == whole.test
    [without] = train_population([spec], data, keep_predictions=False)
    assert without.predictions is None and without.test == whole.test


def test_a_transfer_selects_by_it(mini: Dataset) -> None:
    settings = {"hidden": "20,16", "train_size": 100, "val": 200, "epochs": 3, "batch_size": 32}
    [below] = train_population([RunSpec.parse(settings)], mini)
    base = RunBackbone("0123456789ab", below.spec, below.weights, mini.shape, mini.classes)
    spec = RunSpec.parse(settings | {"reuse_from": base.name, "select": "best:val_macro_f1"})
    [run] = train_transfer([spec], mini, base)
    assert run.kept_epoch == int(np.argmax(run.values("val_macro_f1"))) + 1


def test_a_metric_that_validation_does_not_define_is_refused() -> None:
    said = "^select best:val_top5: these validation examples do not define it, which needs more than 5 classes; "
    with pytest.raises(InputError, match=said):
        train_population([RunSpec.parse(SMALL | {"select": "best:val_top5"})], table(3))
    data = table(0)
    zero = replace(data, train_targets=np.zeros_like(data.train_targets))
    with pytest.raises(InputError, match=r"^early_stop_metric val_mape: .* needs targets other than 0; no epoch"):
        train_population([RunSpec.parse(SMALL | {"early_stop": 2, "early_stop_metric": "val_mape"})], zero)
    with pytest.raises(InputError, match=r"^select best:val_r2: .* needs targets that differ; no epoch"):
        train_population([RunSpec.parse(SMALL | {"select": "best:val_r2"})], zero)  # which every run records


def test_the_tables_have_the_columns_that_were_watched(tmp_path: Path) -> None:
    base = "hidden: 8, epochs: 2, train_size: 200, val: 100, lr: 0.1"
    (tmp_path / "s.yaml").write_text(
        f"name: s\nbase: {{{base}}}\nfactors: {{f1: {{select: 'best:val_macro_f1'}}}}\nseeds: 2\nmetric: macro_f1\n"
    )
    made = answer(["ablate", "s.yaml"], tmp_path, seconds=300)
    assert made.code == 0, made.err
    rows = list(csv.DictReader((tmp_path / "runs/s/results.csv").read_text().splitlines()))
    assert [bool(row["val_macro_f1"]) for row in rows] == [False, False, True, True]
    # the report computes what the other arm's runs did not measure
    assert "2/2" in made.out and "not measured" not in made.out
    wrong = answer(["train", "--data", "fashion-mini", "--select", "best:val_mae", "--epochs", "1"], tmp_path)
    assert wrong.code == 2 and "a classification has val_loss, val_acc, val_top5, " in wrong.err
