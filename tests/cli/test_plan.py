"""`--plan`, and studies by their names: what is recorded already, what the rest takes, and short default names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import dnntrain as dt
from dnntrain.cli.plan import slower_ways
from dnntrain.config.spec import RunSpec
from dnntrain.data import load_dataset
from dnntrain.engine.network import layer_specs
from dnntrain.studies.build import StudyRequest, ablation_study, default_name, training_study
from tests.support.command import error_of, succeeds

PRESET = """
base: {hidden: 4, train_size: 60, val: 60, epochs: 1, lr: 0.1}
sweep: {lr: [0.1, 0.01], optimizer: {momentum: {optimizer: "sgd:momentum=0.9", lr: 0.05}, sgd: {}}}
seeds: 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small study that is finished."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "small.yaml").write_text(PRESET)
    succeeds("ablate", "small.yaml", cwd=folder)
    return folder


def plan(*words: str, cwd: Path) -> list[str]:
    return succeeds(*words, "--plan", cwd=cwd, COLUMNS="200").splitlines()


def test_the_plan_shows_what_each_arm_changes(folder: Path) -> None:
    lines = [line.split() for line in plan("ablate", "small.yaml", "--out", "nowhere", cwd=folder)]
    assert ["lr=0.1+sgd", "optimizer=sgd,", "lr=0.1"] in lines
    assert ["lr=0.01", "lr=0.01"] in lines
    assert ["momentum", "optimizer=sgd:momentum=0.9,", "lr=0.05"] in lines
    assert not (folder / "nowhere").exists()


def test_the_plan_says_what_is_recorded_and_what_the_rest_takes(folder: Path) -> None:
    new = "\n".join(plan("ablate", "small.yaml", "--out", "nowhere", cwd=folder))
    assert "recorded" not in new
    assert re.search(
        r"training takes some seconds with \d+ workers? (on a recent processor|at the speed of).*, and at most about "
        r"\d+ MB",
        new,
    )
    more = "\n".join(plan("ablate", "small.yaml", "--seeds", "3", cwd=folder))
    assert "6 of 9 runs are recorded in runs already" in more and "training the others takes some seconds" in more
    done = "\n".join(plan("ablate", "small.yaml", cwd=folder))
    assert "6 of 6 runs are recorded" in done and "training" not in done


def test_the_plan_shows_the_network_that_is_trained_first(tmp_path: Path) -> None:
    (tmp_path / "reuse.yaml").write_text("""
base: {hidden: 4, train_size: 60, val: 60, epochs: 1, classes: [coat, shirt]}
pretrain: {hidden: 4, train_size: 80, val: 60, epochs: 3, lr: 0.2, classes: [bag, dress]}
design: list
factors: {scratch: {}, frozen: {reuse_from: pretrain}}
baseline: scratch
seeds: 2
""")
    lines = plan("ablate", "reuse.yaml", cwd=tmp_path)
    [line] = [line for line in lines if line.startswith("pretrain: ")]
    assert line.startswith("pretrain: trained first, in the study reuse-base, 1 run more: ")
    assert "train_size=80" in line and "epochs=3" in line and "lr=0.2" in line and "classes=bag,dress" in line


def test_one_setting_is_planned_too(tmp_path: Path) -> None:
    lines = plan("train", "--hidden", "4", "--train-size", "60", cwd=tmp_path)
    assert "1 arm × 1 seed = 1 run in 1 population" in lines
    assert lines[1:3] != ["", ""]  # it has no question
    assert not [*tmp_path.iterdir()]
    assert "--json: not with --plan" in error_of("train", "--plan", "--json", cwd=tmp_path)


def test_a_study_is_found_by_its_name(folder: Path) -> None:
    by_folder = succeeds("report", "runs/small", cwd=folder)
    assert succeeds("report", "small", cwd=folder) == succeeds("watch", "small", cwd=folder) == by_folder
    assert succeeds("report", "small", "--out", folder / "runs", cwd=folder.parent) == by_folder
    assert succeeds("compare", "small", cwd=folder)
    assert "no study in runs has that name; did you mean 'small'?" in error_of("report", "smal", cwd=folder)
    assert dt.load("small", out=folder / "runs").name == "small"
    assert [study.name for study in dt.report("small", out=folder / "runs").studies] == ["small"]


def test_a_folder_of_that_name_comes_first(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs", tmp_path / "runs")
    shutil.copytree(folder / "runs", tmp_path / "small")  # no study, so the one in runs is meant
    assert succeeds("report", "small", cwd=tmp_path) == succeeds("report", "runs/small", cwd=tmp_path)
    (tmp_path / "small" / "small").rename(tmp_path / "own")
    shutil.rmtree(tmp_path / "small")
    (tmp_path / "own").rename(tmp_path / "small")
    shutil.rmtree(tmp_path / "runs" / "small")
    assert "momentum" in succeeds("report", "small", cwd=tmp_path)


def test_default_names_are_short_and_the_same_for_the_same_settings(tmp_path: Path) -> None:
    names = [training_study({"act": act}, out=tmp_path).name for act in ("elu", "selu", "elu")]
    assert all(re.fullmatch("train-[0-9a-f]{6}", name) for name in names)
    assert names[0] == names[2] != names[1]
    arms = {"arms": {"elu": {"act": "elu"}}, "base": {}, "request": StudyRequest()}
    assert re.fullmatch("ablation-[0-9a-f]{6}", ablation_study(**arms, out=tmp_path).name)


def test_a_study_keeps_the_name_that_it_was_recorded_under(tmp_path: Path) -> None:
    (tmp_path / "train-act=elu").mkdir()
    (tmp_path / "train-act=elu" / "study.json").touch()
    assert training_study({"act": "elu"}, out=tmp_path).name == "train-act=elu"
    assert default_name("train", "act=elu", tmp_path / "other", "train-act=elu") != "train-act=elu"


VIEWED = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, recurrent=False):
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 3, stride=9)
        self.rows = nn.GRU(9, 9, batch_first=True) if recurrent else nn.Identity()
        self.output = nn.Linear(18, num_classes)

    def forward(self, x):
        maps = self.maps(x).view(len(x), 18).unflatten(1, (2, 9))
        rows = self.rows(maps)
        return self.output((rows if isinstance(rows, type(maps)) else rows[0]).reshape(len(x), -1))
"""


def test_the_plan_says_why_a_module_trains_in_a_slower_way(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(VIEWED)
    words = ("train", "--net", "module:net.py:Net", "--epochs", "1")
    [said] = [line for line in plan(*words, cwd=tmp_path) if "channels last" in line]
    assert ": images are not channels last in memory, which is faster on a CPU: RuntimeError: view size" in said
    (tmp_path / "net.py").write_text(VIEWED.replace("view", "reshape"))
    assert "channels last" not in "\n".join(plan(*words, cwd=tmp_path))


@pytest.mark.parametrize("recurrent", [True, False])
def test_the_plan_says_what_vmap_refuses_on_an_accelerator(recurrent: bool, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(VIEWED)
    net = RunSpec.parse({"net": f"module:{tmp_path}/net.py:Net:recurrent={recurrent}", "data": "fashion-mini"})
    *_, layer = layer_specs(net, load_dataset("fashion-mini").outline)
    said = [*slower_ways(layer, "gru", "cuda")]
    assert bool(said) is recurrent
    assert all(line.startswith("arm gru: its runs go one after the other, since torch.vmap refuses") for line in said)
