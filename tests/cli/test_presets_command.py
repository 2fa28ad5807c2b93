"""`dnntrain presets` and `dnntrain init`: presets are found, copied, and written for the user's own data."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dnntrain.data import find_source
from dnntrain.studies.new_preset import metric_with_others, scalar
from dnntrain.studies.presets import load_preset, shipped_presets
from dnntrain.studies.yaml_document import Document
from tests.support.command import environment
from tests.support.inline import Answer, answer

TABLE = "size,rooms,town,price\n" + "".join(
    f"{40 + 7 * n},{n % 5},{'ABC'[n % 3]},{900.5 * n + 500 * (n % 5)}\n" for n in range(60)
)
NETWORK = """\
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, num_classes))
"""


def run(folder: Path, *words: object) -> Answer:
    given = answer([str(word) for word in words], folder)
    assert not given.trouble, given
    return given


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a table, images, and a network."""
    rng = np.random.default_rng(0)
    (tmp_path / "houses.csv").write_text(TABLE)
    (tmp_path / "mynet.py").write_text(NETWORK)
    np.savez(tmp_path / "images.npz", x=rng.integers(0, 255, (90, 12, 12), dtype=np.uint8), y=np.arange(90) % 3)
    return tmp_path


def test_the_list_says_what_each_preset_asks_and_needs_how_long_it_takes_and_whether_it_is_done(
    tmp_path: Path,
) -> None:
    (tmp_path / "runs" / "vanishing").mkdir(parents=True)
    (tmp_path / "runs" / "vanishing" / "study.json").write_text("{}")
    listed = {each["name"]: each for each in json.loads(run(tmp_path, "presets", "list", "--json").out)}
    assert list(listed) == [*shipped_presets()]
    assert all(each["question"].endswith("?") for each in listed.values())
    assert listed["vanishing"]["done"] == "yes" and listed["exploding"]["done"] == "no"
    assert 1 < listed["vanishing"]["seconds"] < listed["hml-exercise8"]["seconds"]
    assert listed["own-module"]["data"] == ["mynet.py"] and listed["own-module"]["seconds"] is None
    assert listed["transfer-depth"]["seconds"] is None  # the layers are known once the reused network is trained
    assert listed["vanishing"]["missing"] == []


def test_the_list_fits_80_columns_and_loads_no_torch_and_none_of_the_presets_code(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom dnntrain.__main__ import main\nsys.argv = ['dnntrain', 'presets']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'torchvision', 'mynet', 'longtail'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0 and "vanishing " in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["vanishing", "own-module", "class-imbalance"])
def test_a_copy_is_a_study_of_its_own_and_has_the_code_that_it_needs(name: str, tmp_path: Path) -> None:
    copied = run(tmp_path, "presets", "copy", name, "mine.yaml")
    assert copied.code == 0 and "next: dnntrain ablate mine.yaml --plan" in copied.out
    copy, original = load_preset(str(tmp_path / "mine.yaml")), load_preset(name)
    assert copy.name == "mine" and [arm.name for arm in copy.arms] == [arm.name for arm in original.arms]
    assert run(tmp_path, "presets", "show", "mine.yaml").out == (tmp_path / "mine.yaml").read_text()
    again = run(tmp_path, "presets", "copy", name, "mine.yaml")
    assert again.code == 2 and "mine.yaml: exists already" in again.err


def test_a_copy_never_overwrites_code_and_shows_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text("changed = True\n")
    refused = run(tmp_path, "presets", "copy", "own-module")
    assert refused.code == 2 and "mynet.py: exists already" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["mynet.py"]
    assert run(tmp_path, "presets", "show", "vanishing").out == shipped_presets()["vanishing"].read_text()
    assert run(tmp_path, "presets", "copy", "vanishing", "x.txt").code == 2


@pytest.mark.parametrize(
    "text", ["root:x:0:0:root\nother:x:1\n", "[project]\nname = 1\n", "name: mine\n", "", "a: b: c"]
)
def test_a_file_that_is_no_preset_is_neither_shown_nor_copied(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(text)
    for words in (["show"], ["copy"]):
        refused = run(tmp_path, "presets", *words, "other.yaml", *(["x.yaml"] if words == ["copy"] else []))
        assert refused.code == 2 and "other.yaml" in refused.err and not refused.out
    assert [path.name for path in tmp_path.iterdir()] == ["other.yaml"]


def test_a_preset_for_a_table_runs_as_it_is(data: Path) -> None:
    written = run(data, "init", "--data", "houses.csv", "--target", "price", "--hidden", "4", "--epochs", "1")
    assert written.code == 0 and "5 arms × 5 seeds, compared by test_rmse" in written.out
    assert "next: dnntrain ablate study.yaml" in written.out
    text = (data / "study.yaml").read_text()
    assert "  target: price " in text and "# 48 training and 12 test examples, 5 inputs, a number to predict" in text
    assert run(data, "ablate", "study.yaml", "--seeds", "2").code == 0
    assert (data / "runs" / "study" / "results.csv").is_file()


def test_a_name_that_begins_with_a_tilde_is_no_home_folder_after_a_dot(data: Path) -> None:
    (data / "sub").mkdir()
    for file in ("~houses.csv", "sub/~houses.csv", "~mynet.py"):
        (data / file).write_text(NETWORK if file.endswith(".py") else TABLE)
    for preset, table in (
        ("a.yaml", "./~houses.csv"),
        ("sub/b.yaml", "sub/~houses.csv"),
        ("c.yaml", "sub/~houses.csv"),
    ):
        written = run(data, "init", preset, "--data", table, "--target", "price")
        assert written.code == 0 and run(data, "ablate", preset, "--plan").code == 0, written
    network = ["--net", "module:./~mynet.py:Net", "--data", "images.npz"]
    assert run(data, "init", "d.yaml", *network).code == 0
    assert run(data, "train", *network, "--data-dir", "./~data", "--plan").code == 0
    assert "~mynet.py: declares no" in run(data, "train", "--plugin", "./~mynet.py", "--plan").err
    (data / "e.yaml").write_text((data / "a.yaml").read_text().replace("./~houses", "~nobody"))
    assert "write ./~nobody.csv if that is the file's name" in run(data, "ablate", "e.yaml", "--plan").err


@pytest.mark.parametrize(
    ("words", "arms"),
    [
        ("--data images.npz", ["plain", "batch norm", "dropout", "weight decay", "shifts", "cosine"]),
        ("--data images.npz --net resnet", ["plain", "cutout", "weight decay", "shifts", "cosine"]),
        ("--data images.npz --net mlp --hidden none", ["plain", "weight decay", "shifts", "cosine"]),
        ("--data images.npz --net module:mynet.py:Net", ["plain", "clipping", "weight decay", "shifts", "cosine"]),
        (
            "--data houses.csv --target town --metric macro_f1",
            ["plain", "batch norm", "dropout", "weight decay", "cosine"],
        ),
    ],
)
def test_the_arms_fit_the_data_and_the_network(
    words: str, arms: list[str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(data, "init", "mine.yaml", *words.split()).code == 0
    monkeypatch.chdir(data)
    study = load_preset("mine.yaml")
    assert [arm.name for arm in study.arms] == arms and study.name == "mine" and study.baseline == "plain"
    assert study.metric == ("test_macro_f1" if "macro_f1" in words else "test_acc")
    assert "top5" not in Path("mine.yaml").read_text()  # these data have few classes
    assert "top5" in metric_with_others("test_acc", find_source("fashion-mini").outline())[1]


def test_the_help_of_init_has_its_own_defaults(data: Path) -> None:
    shown = " ".join(run(data, "init", "--help").out.split())
    for default in ("adam", "0.001", "mlp, or cnn for images", "5 to 100, fewer with more examples"):
        assert f"(default {default})" in shown
    assert "default fashion-mini" not in shown and "default sgd" not in shown


@pytest.mark.parametrize("text", ["price", "Length, cm", "a: b", "x # y", "null", "[1", "'", "0x1f", "*a", "é", "a\tb"])
def test_a_value_is_read_from_the_preset_as_it_was_given(text: str) -> None:
    assert Document.read(f"base:\n  target: {scalar(text)}  # comment\n", "p.yaml").content["base"]["target"] == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--metric acc", "--data: which data is the study about?"),
        ("--data houses.csv", "which column is to be predicted? --target COLUMN, one of size, rooms, town, price"),
        ("--data houses.csv --target prize", "no such column; did you mean 'price'?"),
        ("--data houses.csv --target price --metric acc", "metric test_acc: a regression has"),
        ("mynet.py --data houses.csv --target price", "mynet.py: a preset's file ends in .yaml"),
        ("taken.yaml --data houses.csv --target price", "taken.yaml: exists already; name another file, or"),
        ("new/mine.yaml --data houses.csv --target price", "new/mine.yaml: there is no folder new; create it first"),
    ],
)
def test_init_writes_nothing_where_something_is_wrong(words: str, expected: str, data: Path) -> None:
    (data / "taken.yaml").write_text("mine")
    before = {path: path.read_bytes() for path in data.iterdir()}
    refused = run(data, "init", *words.split())
    assert refused.code == 2 and expected in refused.err
    assert {path: path.read_bytes() for path in data.iterdir()} == before


def test_init_replaces_a_file_only_with_force(data: Path) -> None:
    (data / "taken.yaml").write_text("mine")
    words = ("init", "taken.yaml", "--data", "houses.csv", "--target", "price")
    assert run(data, *words, "--force").code == 0 and "name: taken" in (data / "taken.yaml").read_text()


def test_a_preset_in_a_linked_folder_finds_the_data(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (data / "my studies").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    for file in ("my studies/mine.yaml", "mine.yaml"):
        written = run(data, "init", file, "--data", "houses.csv", "--target", "price")
        command = shlex.split(written.out.partition("next: dnntrain ")[2])
        assert command == ["ablate", file] and run(data, *command, "--plan").code == 0
