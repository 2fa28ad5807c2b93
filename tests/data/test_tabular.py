"""What the cells of a table mean: numbers, text and what is missing; and the notes on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.data.numbers import COMMA, PERIOD, parse_number
from dnntrain.errors import InputError
from tests.support.command import error_of, succeeds

CASES = Path(__file__).parents[1] / "cases"
N = 40
"""Rows of the tables that are made here."""
LEADING_ZEROS = "numbers with leading zeros, which are dropped; a letter in front keeps codes as text: x"


def load(path: Path, **options: Any) -> Dataset:
    return data.load_dataset(str(path), DataLocation(path.parent / "home"), **options)


def made(tmp_path: Path, cells: list[str], separator: str = ",", name: str = "t.csv") -> Path:
    """A table of a column x with these cells, over and over, a number z without any meaning, and two classes."""
    quoted = [f'"{cell}"' if separator in cell else cell for cell in cells]
    rows = (separator.join((quoted[i % len(cells)], str(1000 + i), "ab"[i % 2])) for i in range(N))
    path = tmp_path / name
    path.write_text("\n".join([separator.join(("x", "z", "y")), *rows]) + "\n")
    return path


def values_of(dataset: Dataset) -> list[list[float]]:
    """All rows of inputs, as they stand in the file: z is the last input, and rises."""
    rows = np.concatenate([dataset.train_inputs, dataset.test_inputs])
    return rows[np.argsort(rows[:, -1])].tolist()


def column_of(tmp_path: Path, cells: list[str], **options: Any) -> list[float]:
    """The numbers that the cells of one column are read as; nan where one is missing."""
    loaded = load(made(tmp_path, cells, **options), target="y")
    assert loaded.columns[0].kind == "number", loaded.notes
    return [row[0] for row in values_of(loaded)[: len(cells)]]


def kind_of(loaded: Dataset, name: str = "x") -> str:
    return next(column.kind for column in loaded.columns if column.name == name)


# Files


def test_the_class_none_is_a_class_unless_missing_names_it() -> None:
    loaded = load(CASES / "sleep.csv", target="disorder")
    assert loaded.classes == ("Insomnia", "None", "Sleep Apnea")
    assert len(loaded.train_targets) + len(loaded.test_targets) == 374
    assert "column 'disorder': 219 cells are 'None', read as the text 'None'; --missing None reads them as missing" in (
        loaded.notes
    )
    named = load(CASES / "sleep.csv", target="disorder", missing="None, NA")
    assert named.classes == ("Insomnia", "Sleep Apnea")
    assert named.notes[0].startswith("219 rows left out, without a value of disorder")
    assert next(column for column in named.columns if column.name == "occupation").missing == 142


def test_decimal_commas_are_numbers() -> None:
    loaded = load(CASES / "deccomma.csv", target="cls")
    assert (loaded.classes, loaded.shape) == (("0", "1"), (2,))
    assert loaded.notes == ("numbers with a decimal comma: len, wid",)
    assert [5.7, -0.5928] in np.concatenate([loaded.train_inputs, loaded.test_inputs]).tolist()
    assert load(CASES / "deccomma.csv", target="wid", drop_columns="cls").outline.task == "regression"


def test_one_bad_cell_does_not_remove_a_column() -> None:
    loaded = load(CASES / "bad.csv", target="cls")
    assert loaded.shape == (2,)
    assert "column 'a': 1 cell is not a number and counts as missing: '#DIV/0!' in line 9" in loaded.notes


def test_a_note_is_one_line_whatever_the_cell_holds(tmp_path: Path) -> None:
    rows = [*(f"{i},{'ab'[i % 2]}" for i in range(40)), '"no\nnumber\there",a']
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    (note,) = load(tmp_path / "t.csv", target="y").notes
    assert note == r"column 'x': 1 cell is not a number and counts as missing: 'no\nnumber\there' in line 42"


def test_trailing_blanks_make_no_class() -> None:
    loaded = load(CASES / "trail.csv", target="cls")
    assert loaded.classes == ("no", "yes")
    assert loaded.notes[0] == "blanks around texts are dropped, which makes some of them equal: cls"


def test_quoted_names_with_separators() -> None:
    assert load(CASES / "qhead.csv", target="y").shape == (2,)
    loaded = load(CASES / "qhead.csv", target="Width, cm", drop_columns='"Length, cm"')
    assert [column.inputs for column in loaded.columns] == [(), (), ("y",)]
    assert load(CASES / "qhead.csv", target="y", drop_columns=["Length, cm"]).shape == (1,)


def test_time_stamps_keep_their_seconds() -> None:
    loaded = load(CASES / "unix.csv", target="y")
    assert loaded.train_inputs.dtype == np.float64
    assert len(np.unique(np.r_[loaded.train_inputs, loaded.test_inputs][:, 0])) > 100


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(tmp_path: Path, separator: str) -> None:
    cells = ["0.5", "1.5", "a, b; c | d"]
    path = made(tmp_path, cells, separator)
    assert [column.name for column in load(path, target="y").columns] == ["x", "z", "y"]
    path.write_text(f"sep={separator}\n" + path.read_text() + separator.join("1234") + "\n")
    with pytest.raises(InputError, match=f"line {N + 3}: 4 fields"):
        load(path, target="y")


def test_names_with_commas_need_no_quotes_in_a_semicolon_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Length, cm;Width, cm;y\n" + "".join(f"{i},5;{i % 7},2;{i % 2}\n" for i in range(N)))
    assert [column.name for column in load(path, target="y").columns] == ["Length, cm", "Width, cm", "y"]


# Cells


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("1.5", PERIOD, 1.5), ("1,5", COMMA, 1.5), ("1,5", PERIOD, None), ("1.5", COMMA, None),
        ("1,234", PERIOD, 1234), ("1,234", COMMA, 1.234), ("0,123", PERIOD, None), ("1234,567", PERIOD, None),
        ("1,234,567.8", PERIOD, 1234567.8), ("1.234.567,8", COMMA, 1234567.8), ("1,23,456", PERIOD, None),
        ("1 234", PERIOD, 1234), ("1\u202f234,5", COMMA, 1234.5), ("1'234.5", PERIOD, 1234.5),
        ("1 234'567", PERIOD, None),
        ("12 %", PERIOD, 12), ("12%", COMMA, 12), ("$1,200", PERIOD, 1200), ("-$5", PERIOD, -5), ("5 €", PERIOD, 5),
        ("−3.5", PERIOD, -3.5), ("--3", PERIOD, None), ("-$-3", PERIOD, None), ("+1e-3", PERIOD, 0.001),
        ("1,5e3", COMMA, 1500), (".5", PERIOD, 0.5), ("5.", PERIOD, 5), (".", PERIOD, None), ("1_000", PERIOD, None),
        ("12.05.20", PERIOD, None), ("12.05.20", COMMA, None), ("0x10", PERIOD, None), ("-inf", PERIOD, -np.inf),
        ("1" + " " * 10_000 + "x", PERIOD, None),
    ],
)  # fmt: skip
def test_a_text_means_one_number_or_none(text: str, decimal: str, number: float | None) -> None:
    np.testing.assert_equal(parse_number(text, decimal), np.nan if number is None else number)


@pytest.mark.parametrize(
    ("cells", "numbers", "note"),
    [
        (["1,234", "1,234.5"], [1234, 1234.5], "numbers with thousands separators: x"),
        (["1.234", "1,5"], [1234, 1.5], "numbers with a decimal comma: x"),
        (["1.234", "1.5"], [1.234, 1.5], ""),
        (["12 %", "3%"], [12, 3], "numbers with percent signs, which are ignored: x"),
        (["$12", "3"], [12, 3], "numbers with currency signs in some of their cells, which are ignored: x"),
        (["−12", "3"], [-12, 3], "numbers with the minus sign −: x"),
        (["NA", "1", "nan", "2"], [np.nan, 1, np.nan, 2], "NA, nan means missing in a column of numbers: x"),
        (["?", "1,5", "2,5"], [np.nan, 1.5, 2.5], "? means missing in a column of numbers: x"),
        (["9007199254740993", "1"], [2.0**53, 1],
         "whole numbers with too many digits for float64 are rounded: x"),
        (["007", "+5", "1e2"], [7, 5, 100], LEADING_ZEROS),
        (["−01", "1,005.5"], [-1, 1005.5], LEADING_ZEROS),
        (["0", "0.5", "100"], [0, 0.5, 100], ""),
        (["$5", "€6", "$7"], [5, 6, 7],
         "numbers with signs of different currencies ($, €), which are ignored: x"),
    ],
)  # fmt: skip
def test_numbers_and_what_is_said(tmp_path: Path, cells: list[str], numbers: list[float], note: str) -> None:
    np.testing.assert_equal(column_of(tmp_path, cells), numbers)
    notes = load(tmp_path / "t.csv", target="y").notes
    assert note in notes if note else notes == ()


def test_an_ambiguous_number_follows_the_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for other, expected in (("0,5", 1234.0), ("0.5", 1.234)):
        path.write_text("x;w;y\n" + "".join(f"1.{234 + i};{other}{i};{'ab'[i % 2]}\n" for i in range(N)))
        loaded = load(path, target="y")
        assert min(loaded.train_inputs[:, 0].min(), loaded.test_inputs[:, 0].min()) == expected


@pytest.mark.parametrize(("cells", "separator"), [(["1,234", "5,678"], ","), (["1.234", "5.678"], ";")])
def test_an_ambiguous_number_alone_is_refused(tmp_path: Path, cells: list[str], separator: str) -> None:
    path = made(tmp_path, cells, separator)
    with pytest.raises(
        InputError, match=r"line 2, column 'x': '1.234' could be 1\.234 or 1234, and no other number in the file shows"
    ):
        load(path, target="y")
    assert load(path, target="y", drop_columns="x").shape == (1,)


def test_a_column_is_numbers_from_95_percent_on(tmp_path: Path) -> None:
    cells = [str(i) for i in range(N)]
    loaded = load(made(tmp_path, ["", "x", "-", *cells[3:]]), target="y")
    assert kind_of(loaded) == "text"
    assert (
        "column 'x' is text: 94.9 % of its cells are numbers, fewer than 95 %; the first exception is 'x' in line 3"
        in loaded.notes
    )
    assert "column 'x': 1 cell is '-', read as the text '-'; --missing - reads them as missing" in loaded.notes
    loaded = load(tmp_path / "t.csv", target="y", missing="-")
    assert kind_of(loaded) == "number" and loaded.columns[0].missing == 3
    loaded = load(made(tmp_path, ["x", "?", *cells[2:]]), target="y")
    assert kind_of(loaded) == "number" and loaded.columns[0].missing == 2


def test_text_stays_text(tmp_path: Path) -> None:
    loaded = load(made(tmp_path, ["NA", "null", "nan", "?", "", "red"]), target="y")
    inputs = loaded.columns[0].inputs
    assert inputs == ("x = ?", "x = NA", "x = nan", "x = null", "x = red", "x is missing")
    assert "dates, read as text: x" in load(made(tmp_path, ["2020-01-31", "2020-02-01"]), target="y").notes
    truth = load(made(tmp_path, ["True", "False"]), target="z", drop_columns="y")
    assert (kind_of(truth), truth.columns[0].inputs) == ("yes or no", ("x",))


def test_missing_names_texts_and_numbers(tmp_path: Path) -> None:
    path = made(tmp_path, ["-999", "-999.0", "5", "none"])
    loaded = load(path, target="y", missing=["-999", "none", "nowhere"])
    assert loaded.columns[0].missing == 3 * N // 4
    assert "--missing: no cell is 'nowhere'" in loaded.notes
    assert RunSpec.parse({"data": str(path), "target": "y", "missing": "None"}).settings()["missing"] == "None"
    with pytest.raises(InputError, match="missing"):
        RunSpec.parse({"data": str(path), "target": "y", "missing": ["None", True]})


def test_copies_of_rows_stay_together(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{i % 25},{'rgb'[i % 3]},name {i},{int(i % 25 > 9)}" for i in range(300)]
    path.write_text("\n".join(["x,c,name,y", *lines, "0,r,other,1"]) + "\n")
    loaded = load(path, target="y", test=0.3)
    train, test = ({tuple(row) for row in part.tolist()} for part in (loaded.train_inputs, loaded.test_inputs))
    assert not train & test and len(train) + len(test) == 75
    assert "225 rows are exact copies of others; copies are kept in the same part" in loaded.notes
    assert "5 rows have equal inputs but different labels" in loaded.notes


def test_a_majority_class_is_said_of_the_chosen_classes() -> None:
    everything = load(CASES / "sleep.csv", target="disorder")
    assert everything.notes[-1] == "always answering 'None' would be right for 58.7 % of the test examples"
    chosen = load(CASES / "sleep.csv", target="disorder", classes="none,insomnia")
    share = 100 * np.mean(chosen.test_targets == 0)
    assert chosen.notes[-1] == f"always answering 'None' would be right for {share:.1f} % of the test examples"
    assert not any("always" in note for note in load(CASES / "deccomma.csv", target="cls").notes)


# What is said on the command line


def test_info_lists_every_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [
        f"{i},{'' if i % 4 == 0 else i},{'rg'[i % 2]},same,n{i},{'yes' if i % 5 else 'no'},{i}" for i in range(150)
    ]
    path.write_text("\n".join([",age,colour,const,name,y,out", *lines]) + "\n")
    words = ("data", "info", path, "--target", "y", "--drop-columns", "out")
    printed = json.loads(succeeds(*words, "--json"))
    rows = {column["name"]: (column["kind"], column["missing"], column["inputs"], column["left_out"])
            for column in printed["columns"]}  # fmt: skip
    assert rows == {
        "": ("number", 0, [], "it has no name"),
        "age": ("number", 38, ["age", "age is missing"], ""),
        "colour": ("text", 0, ["colour = g", "colour = r"], ""),
        "const": ("text", 0, [], "the same in every training row"),
        "name": ("text", 0, [], "text of over 100 different values"),
        "y": ("text", 0, [], "the target"),
        "out": ("number", 0, [], "by --drop-columns"),
    }
    assert printed["majority"] == {"class": "yes", "test_share": printed["balance"]["test"]["yes"] / 30}
    shown = succeeds(*words)
    assert "2: age, age is missing" in shown and "none: the same in every training row" in shown
    assert "always answering 'yes' would be right for 80.0 % of the test examples" in shown


def test_a_list_of_names_that_is_none_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path, ["1", "2"])
    assert "drop_columns" in error_of("data", "info", path, "--target", "y", "--drop-columns", 'x,"z')
