"""A run that goes on from a checkpoint ends as one that was never cut off, bit for bit."""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.population import StartState
from dnntrain.engine.run import Run, TakeCheckpoints
from dnntrain.errors import InputError
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.run_store import RunStore
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.resolve import run_backbone
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.engine.test_bit_for_bit import assert_same, company, spec
from tests.support import own_networks
from tests.support.catalogue import EVERY_TECHNIQUE, data_for
from tests.support.command import succeeds
from tests.support.faults import (
    OWN_NETWORKS,
    all_undisturbed,
    begun,
    children,
    recorded,
    results,
    undisturbed,
    wait_for,
    wait_for_workers,
)
from tests.support.records import made_record


class Keeper:
    """Keeps the checkpoints of one epoch, as their files hold them."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.kept: dict[int, Checkpoint] = {}

    def __call__(self, runs: list[Run], take: TakeCheckpoints) -> None:
        if len(runs[0].history) == self.epoch:
            self.kept = {i: Checkpoint.from_bytes(made.to_bytes()) for i, made in take().items()}


@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_every_technique_goes_on_where_it_was(technique: str, few: Dataset) -> None:
    member = spec(seed=3, **EVERY_TECHNIQUE[technique]).changed(epochs=4)
    members, keeper, data = [member, *company(member)], Keeper(2), data_for(technique, few)
    whole = train_population(members, data, on_epoch=keeper)
    # those that are over by then have no checkpoint, and the rest goes on without them
    rest = train_population(
        [members[i] for i in keeper.kept], data, start=StartState(checkpoints=list(keeper.kept.values()))
    )
    assert keeper.kept
    for index, run in zip(keeper.kept, rest, strict=True):
        assert_same(whole[index], run)


@pytest.mark.parametrize("net", ["module:{file}:ConvNet", "module:{file}:RowReader", "cnn:channels=4"])
def test_every_network_goes_on_where_it_was(net: str, mini: Dataset) -> None:
    settings = {"net": net.format(file=own_networks.__file__), "train_size": 53, "epochs": 3, "dropout": 0.2}
    member = RunSpec.parse({"batch_size": 20, "val": 40, "optimizer": "adam", "seed": 3} | settings)
    keeper = Keeper(1)
    [whole] = train_population([member], mini, on_epoch=keeper)
    [rest] = train_population([member], mini, start=StartState(checkpoints=[keeper.kept[0]]))
    assert_same(whole, rest)


def test_early_stopping_remembers_its_best(mini: Dataset) -> None:
    settings = {"early_stop": 2, "optimizer": "nadam", "lr": 0.02, "dropout": 0.1, "epochs": 14}
    members, keeper = [spec(seed=seed, **settings) for seed in range(4)], Keeper(4)
    whole = train_population(members, mini, on_epoch=keeper)
    assert any(run.kept_epoch <= 4 < len(run.history) for run in whole)
    rest = train_population(
        [members[i] for i in keeper.kept], mini, start=StartState(checkpoints=list(keeper.kept.values()))
    )
    for index, run in zip(keeper.kept, rest, strict=True):
        assert_same(whole[index], run)


@pytest.fixture(scope="module")
def base(mini: Dataset) -> RunBackbone:
    below = RunSpec.parse({"hidden": "20,16,12", "train_size": 400, "val": 400, "epochs": 1, "seed": 7})
    [run] = train_population([below], mini)
    return RunBackbone("0123456789ab", below, run.weights, mini.shape, mini.classes)


@pytest.mark.parametrize("epoch", [1, 2, 3, 5])
def test_a_transfer_goes_on_in_the_stage_that_it_was_in(epoch: int, base: Backbone, mini: Dataset) -> None:
    def reusing(seed: int) -> RunSpec:
        return RunSpec.parse(
            {"hidden": "20,16,12", "train_size": 400, "val": 400, "epochs": 6, "lr": 0.05, "optimizer": "adam",
             "reuse_from": base.name, "freeze_epochs": 3, "unfreeze_layers": 1, "unfreeze_lr": 0.01, "dropout": 0.1,
             "seed": seed}
        )  # fmt: skip

    members, keeper = [reusing(seed) for seed in range(2)], Keeper(epoch)
    whole = train_transfer(members, mini, base, on_epoch=keeper)
    if epoch == 3:
        assert not keeper.kept  # between two stages there is nothing in training
        return
    checkpoints = [keeper.kept[i] for i in range(2)]
    for made, run in zip(train_transfer(members, mini, base, checkpoints=checkpoints), whole, strict=True):
        assert_same(made, run)


def test_a_damaged_checkpoint_is_none(tmp_path: Path, mini: Dataset) -> None:
    keeper, store = Keeper(1), RunStore(tmp_path)
    train_population([spec(seed=1)], mini, on_epoch=keeper)
    store.write_checkpoint("0123456789ab", keeper.kept[0])
    kept = store.checkpoint("0123456789ab")
    assert kept and kept.epochs == 1
    file = next((tmp_path / "store" / ".checkpoints").iterdir())
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:20], b"{}" * 50, whole.replace(b"history", b"mystery")):
        file.write_bytes(damaged)
        assert store.checkpoint("0123456789ab") is None
    with pytest.raises(InputError):
        Checkpoint.from_bytes(b"")


def test_a_checkpoint_that_is_not_finite_is_named_and_not_used(
    tmp_path: Path, mini: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper, store = Keeper(1), RunStore(tmp_path)
    train_population([spec(seed=1)], mini, on_epoch=keeper)
    keeper.kept[0].tensors["now.output.bias"].flat[0] = np.nan
    store.write_checkpoint("0123456789ab", keeper.kept[0])
    assert store.checkpoint("0123456789ab") is None
    (file,) = (tmp_path / "store" / ".checkpoints").iterdir()
    assert capsys.readouterr().err == (
        f"{file}: no checkpoint: tensor now.output.bias has nan or infinite values (1 of 10); "
        "the run is trained from its start\n"
    )


@pytest.mark.parametrize("name", ["hidden2.kernel", "output.bias"])
def test_a_recorded_run_that_is_not_finite_is_not_reused(name: str, base: RunBackbone, tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    data = {"shape": list(base.shape), "classes": list(base.classes)}
    record = made_record(base.name, settings=base.spec.settings(), data=data)
    weights = {key: np.array(value) for key, value in base.state.items()}
    store.write(record, weights)
    assert run_backbone(record, store).name == base.name
    weights[name].flat[3] = np.inf
    store.write(record, weights)
    said = f"{store.weights_file(base.name)}: tensor {name} has nan or infinite values (1 of "
    with pytest.raises(InputError, match=re.escape(said)):
        run_backbone(record, store)


def test_frozen_layers_whose_outputs_are_not_finite_are_refused(base: RunBackbone, mini: Dataset) -> None:
    huge = {key: value * np.float32(1e30) if value.ndim == 2 else value for key, value in base.state.items()}
    with pytest.raises(InputError, match=r"the outputs of layer 2 are nan or infinite for .* of 10,000 examples"):
        replace(base, state=huge).features(mini, base.spec, 2, np.arange(9), torch.device("cpu"))


def checkpoints(folder: Path) -> Sequence[Path]:
    return list((folder / "runs" / "store" / ".checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize(
    "end", [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.extras)]
)  # the last two are handled alike
def test_a_study_that_was_ended_goes_on_from_its_checkpoints(end: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    process = begun(folder, "--checkpoint-every", "1")
    wait_for(lambda: len(checkpoints(folder)) >= 2)
    process.send_signal(end)
    _, err = process.communicate(timeout=200)
    if end != signal.SIGKILL:
        assert process.returncode == 130, err
        assert "stopping after this epoch" in err and "interrupted" in err
        assert not children(process.pid)
    assert checkpoints(folder)
    shutil.copytree(folder, tmp_path / "altered")
    succeeds("ablate", "long.yaml", cwd=folder)
    assert results(folder) == undisturbed()
    assert not checkpoints(folder)
    if end == signal.SIGINT:
        an_altered_checkpoint_shows_that_it_was_used(tmp_path / "altered")


def an_altered_checkpoint_shows_that_it_was_used(folder: Path) -> None:
    """What goes on from a checkpoint depends on it: a study does not quietly train anew."""
    for path in checkpoints(folder):
        made = Checkpoint.from_bytes(path.read_bytes())
        made.tensors["now.output.bias"][:] = 0.5
        path.write_bytes(made.to_bytes())
    succeeds("ablate", "long.yaml", cwd=folder)
    assert results(folder) != undisturbed()


@pytest.mark.extras  # takes long; `test_every_network_goes_on_where_it_was` has such modules in one process
def test_users_modules_go_on_from_their_checkpoints(tmp_path: Path) -> None:
    process = begun(tmp_path, "--checkpoint-every", "1", preset=OWN_NETWORKS)
    wait_for(lambda: bool(checkpoints(tmp_path)) or process.poll() is not None, seconds=200)
    process.kill()
    process.communicate(timeout=200)
    assert checkpoints(tmp_path)
    succeeds("ablate", "long.yaml", cwd=tmp_path)
    assert recorded(tmp_path) == all_undisturbed(OWN_NETWORKS)
    assert not checkpoints(tmp_path)


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    process = begun(tmp_path)
    wait_for_workers(process)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    succeeds("ablate", "long.yaml", cwd=tmp_path)
    assert results(tmp_path) == undisturbed()
