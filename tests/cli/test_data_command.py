"""`dnntrain data`, and a person's own data through train, ablate and report, as its users run them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dnntrain.cli.data import spread_of
from dnntrain.config.spec import RunSpec
from dnntrain.data import KINDS, SOURCES, Dataset
from tests.support.command import QUICK, error_of, succeeds

BRIEF = ("--hidden", "16", "--epochs", "3")


@pytest.fixture
def images(tmp_path: Path, mini: Dataset) -> Path:
    """500 of Fashion-MNIST's images as a folder of PNG, a subfolder a class."""
    for number, (image, label) in enumerate(zip(mini.train_inputs[:500], mini.train_targets[:500], strict=True)):
        folder = tmp_path / "my images" / mini.classes[label].replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "my images"


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A table with a number to predict, a category and gaps."""
    rng = np.random.default_rng(0)
    rooms, town = rng.integers(1, 8, 400), rng.choice(["north", "south"], 400)
    price = 50.0 * rooms + 80 * (town == "south") + rng.normal(0, 10, 400)
    frame = pd.DataFrame({"rooms": rooms.astype(float), "town": town, "price": price})
    frame.loc[::10, "rooms"] = np.nan
    frame.to_csv(tmp_path / "houses.csv", index=False)
    return tmp_path / "houses.csv"


def test_list_names_every_source_and_kind() -> None:
    shown = succeeds("data", "list", COLUMNS="200")
    for name in (*SOURCES, *(kind.summary for kind in KINDS)):
        assert name in shown


def test_info_says_what_a_data_set_is() -> None:
    shown = succeeds("data", "info", "fashion-mini", "--classes", "sandal,shirt")
    assert "28 × 28 (784 inputs)" in shown and "MIT" in shown and "Sandal" in shown and "Bag" not in shown
    told = json.loads(succeeds("data", "info", "fashion-mini", "--json"))
    assert told["train_examples"] == 10_000 and sum(told["balance"]["test"].values()) == 2_000


def test_show_writes_a_sheet(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    succeeds("data", "show", "fashion-mini", "--png", sheet)
    with Image.open(sheet) as image:
        assert image.width > 500 and len(image.convert("L").getcolors(1 << 20) or []) > 50


def test_fetch_checks_what_is_here() -> None:
    assert "fashion-mini" in succeeds("data", "fetch", "fashion-mini")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data", "info", "fashion-mnits"), "did you mean 'fashion-mnist'"),
        (("data", "info", "nowhere/images/"), "no such folder"),
        (("data", "info", "nowhere.csv"), "no such file"),
        (("data", "info", "fashion-mini", "--target", "x"), "target is for table"),
        (("data", "info", "fashion-mini", "--classes", "sandal,shrit"), "did you mean 'shirt'"),
        (("data", "info", "fashion-mini", "--classes", "sandal"), "one class"),
        (("data", "show", "fashion-mini", "--png", "sheet.jpg"), ".png"),
        (("data", "show", "fashion-mini", "--png", "nowhere/sheet.png"), "nowhere"),
    ],
)
def test_bad_input_is_one_message(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code = 1 if "nowhere/sheet.png" in words else 2
    assert message in error_of(*words, cwd=tmp_path, code=code)


def test_a_folder_of_images_trains_and_is_reported(images: Path) -> None:
    succeeds("train", "--data", images, "--image-size", "14", *BRIEF, "--seeds", "2", cwd=images.parent)
    shown = succeeds("report", "runs", cwd=images.parent)
    assert "400 training and 100 test examples" in shown.replace("\n", " ")


def test_an_npz_is_ablated(tmp_path: Path, mini: Dataset) -> None:
    np.savez(tmp_path / "own.npz", x=mini.train_inputs[:600], y=mini.train_targets[:600])
    preset = tmp_path / "own.yaml"
    preset.write_text("base: {data: own.npz, hidden: 16, epochs: 2}\nfactors: {elu: {act: elu}}\nseeds: 2\n")
    shown = succeeds("ablate", "own.yaml", cwd=tmp_path)
    assert "val_acc" in shown and "elu" in shown


def test_a_number_is_predicted_and_reported_as_such(houses: Path) -> None:
    preset = houses.parent / "price.yaml"
    preset.write_text(
        "base: {data: houses.csv, target: price, hidden: 32, epochs: 20, lr: 0.05, batch_size: 16}\n"
        "factors: {raw: {scale: raw, lr: 1e-5}}\nseeds: 3\n"
    )
    shown = succeeds("ablate", "price.yaml", cwd=houses.parent)
    assert "test_rmse" in shown and "accuracy" not in shown
    rows = pd.read_csv(houses.parent / "runs" / "price" / "results.csv")
    base = rows[rows["arm"] == "baseline"]
    # one in ten rows does not say how many rooms, whose deviation is 100; the price's own is about 110
    assert base["test_r2"].min() > 0.7 and base["test_rmse"].max() < 60
    assert "val_acc" not in rows.columns
    exports = ("--csv", "r.csv", "--html", "r.html", "--md", "r.md", "--latex", "r.tex")  # the page has the figures
    succeeds("report", "runs/price", "--metric", "test_rmse", *exports, cwd=houses.parent)
    assert succeeds("report", "runs", "--require", "baseline.test_r2 >= 0.5", cwd=houses.parent)


def test_classes_give_the_same_run_by_name_and_number(tmp_path: Path) -> None:
    for classes in ("sandal,shirt", "5, 6"):
        succeeds("train", *QUICK, "--classes", classes, "--out", classes, cwd=tmp_path)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("*/store/*/run.json")]
    assert [record["data"]["classes"] for record in records] == [["Sandal", "Shirt"]] * 2
    assert records[0]["history"] == records[1]["history"]


def test_a_mirror_is_asked_and_what_is_wrong_with_it_is_said(tmp_path: Path) -> None:
    shown = error_of("data", "fetch", "cifar10", "--mirror", tmp_path, "--data-dir", tmp_path / "data", COLUMNS="200")
    assert "cifar-10-binary.tar.gz" in shown


def test_the_numbers_of_a_target_have_one_format() -> None:
    assert spread_of(np.array([1000.0, 2500.5, 12345.0])).startswith("1,000 to 12,345, mean 5,28")


def test_a_table_without_a_target_lists_its_columns(houses: Path) -> None:
    shown = succeeds("data", "info", houses.name, cwd=houses.parent)
    assert "houses.csv: 400 rows, 3 columns\ncolumns: rooms, town, price\n" in shown
    assert "dnntrain data info houses.csv --target COLUMN" in shown


def test_one_folder_has_one_name(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images.parent)
    specs = [RunSpec.parse({"data": text}) for text in ("my images", "my images/", "./my images")]
    assert specs[0] == specs[1] == specs[2] and specs[1].data == "my images"
    assert "where:       my images\n" in succeeds("data", "info", "my images/", cwd=images.parent)
    (images.parent / "fashion-mini").mkdir()
    assert RunSpec.parse({"data": "./fashion-mini"}).data == "./fashion-mini"  # else it would be the named data set
