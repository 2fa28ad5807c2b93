"""Data from a function of the user's: what it may return, what is made of that, and when it is called."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import pytest

from dnntrain.data import DataLocation, Dataset, find_source
from dnntrain.errors import InputError

HEAD = """
import numpy as np, torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

def arrays(n=40, m=20, shape=(4,), **_):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + m, *shape)).astype(np.float32)
    return x[:n], np.arange(n) % 3, x[n:], np.arange(m) % 3

def tensors(*parts):
    return [torch.from_numpy(part) for part in parts]
"""

Load = Callable[..., Dataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads the data that a function with this body returns; each call with the body counts in the file `calls`."""

    def loaded(body: str, arguments: str = "", **options: Any) -> Dataset:
        calls = f"with open({str(tmp_path / 'calls')!r}, 'a') as file: file.write('x')"
        text = f"{HEAD}\ndef load(k=1):\n    {calls}\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        (tmp_path / "mydata.py").write_text(text)
        given = f"module:{tmp_path / 'mydata.py'}:load" + (f":{arguments}" if arguments else "")
        return find_source(given, options).load(options.get("location") or DataLocation(tmp_path / "home"))

    return loaded


def calls(tmp_path: Path) -> int:
    path = tmp_path / "calls"
    return len(path.read_text()) if path.exists() else 0


# What is returned

NAMED = "x, y, tx, ty = arrays()\n"
ITEMS = NAMED + "train, test = TensorDataset(*tensors(x, y)), TensorDataset(*tensors(tx, ty))\n"


@pytest.mark.parametrize(
    "body",
    [
        "return arrays()",
        "return list(arrays())",
        "return tensors(*arrays())",
        NAMED + "return {'y_test': ty, 'y_train': y, 'x_train': x, 'x_test': tx}",
        NAMED + "return x.tolist(), y.tolist(), tx.tolist(), ty.tolist()",
        ITEMS + "return train, test",
        NAMED + "return x, np.eye(3)[y], tx, np.eye(3)[ty]",
        NAMED + "return x, y[:, None], tx, ty[:, None]",
    ],
)
def test_everything_that_may_be_returned_is_the_same(body: str, load: Load) -> None:
    loaded, plain = load(body), load("return arrays()")
    assert (loaded.name, loaded.classes, loaded.shape) == ("mydata.py:load", ("0", "1", "2"), (4,))
    assert (len(loaded.train_inputs), len(loaded.test_inputs), loaded.n_validation) == (40, 20, 0)
    np.testing.assert_array_equal(loaded.test_inputs, plain.test_inputs)
    np.testing.assert_array_equal(loaded.test_targets, plain.test_targets)


@pytest.mark.parametrize(
    "body",
    [
        NAMED + "return x[10:], y[10:], tx, ty, x[:10], y[:10]",
        NAMED + "return dict(x_train=x[10:], y_train=y[10:], x_test=tx, y_test=ty, x_val=x[:10], y_val=y[:10])",
        ITEMS + "return torch.utils.data.Subset(train, range(10, 40)), torch.utils.data.Subset(train, range(10)), test",
    ],
)
def test_a_validation_part_of_their_own(body: str, load: Load) -> None:
    loaded = load(body)
    assert loaded.n_validation == 10
    everything = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded.train_inputs[-10:], everything[:10])


@pytest.mark.parametrize(
    ("x", "kind", "shape"),
    [
        ("np.ones((n, 1, 28, 28), np.float64)", "numbers", (1, 28, 28)),  # kept as they are, unlike in an .npz file
        ("np.ones((n, 4, 5, 3), np.float32)", "numbers", (4, 5, 3)),
        ("torch.ones(n, 7, 5, dtype=torch.bfloat16)", "numbers", (7, 5)),
        ("np.ones((n, 7), bool)", "numbers", (7,)),
        ("np.arange(n * 6).reshape(n, 6)", "tokens", (6,)),
        ("torch.arange(n * 6, dtype=torch.int32).reshape(n, 2, 3)", "tokens", (2, 3)),
        ("np.arange(n * 30, dtype=np.uint8).reshape(n, 6, 5)", "images", (6, 5)),
        ("np.arange(n * 60).astype(np.uint8).reshape(n, 4, 5, 3)", "images", (3, 4, 5)),
    ],
)
def test_the_type_says_what_inputs_are(x: str, kind: str, shape: tuple[int, ...], load: Load) -> None:
    loaded = load(f"make = lambda n: {x}\nreturn make(40), np.arange(40) % 2, make(30), np.arange(30) % 2")
    assert (loaded.kind, loaded.shape) == (kind, shape)


def test_whole_numbers_are_numbers_on_request(load: Load) -> None:
    loaded = load(
        "x = np.arange(360).reshape(60, 6)\nreturn x[:40], np.arange(40) % 2, x[40:], np.arange(20) % 2",
        inputs="numbers",
    )
    assert loaded.kind == "numbers" and loaded.train_inputs.dtype == np.float64


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ("np.arange(n) % 3 + 7", ("7", "8", "9")),
        ("np.array(['dog', 'cat'] * n)[:n]", ("cat", "dog")),
        ("['dog', 'cat'] * (n // 2)", ("cat", "dog")),
        ("np.arange(n) % 2 == 0", ("False", "True")),
        ("(np.arange(n) % 3) * 1.0", ()),  # floats are numbers, however few
        ("torch.arange(n) / 7", ()),
    ],
)
def test_the_type_says_what_targets_are(y: str, classes: tuple[str, ...], load: Load) -> None:
    loaded = load(f"x, _, tx, _ = arrays()\nmake = lambda n: {y}\nreturn x, make(40), tx, make(20)")
    assert loaded.classes == classes and loaded.outline.task == ("classification" if classes else "regression")


def test_options_of_the_data(load: Load, tmp_path: Path) -> None:
    body = "x, y, tx, ty = arrays()\nx[3, 1] = np.nan\nreturn x, y, tx, ty"
    assert "x_train, x_test: 1 value missing (nan); replaced by the column's mean" in load(body).notes
    assert load(body, classes="2,0").classes == ("2", "0")
    assert load(body, task="regression").classes == ()
    assert calls(tmp_path) == 1  # options read again what was returned


IMAGES = """
from PIL import Image
class Pictures:
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i): return Image.new(MODE, (6, 5), i), ("cat", "dog")[i % 2]
return Pictures(40), Pictures(20)
"""


def test_items_may_be_pictures_with_named_classes(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    for mode, shape in (("L", (5, 6)), ("RGB", (3, 5, 6))):
        loaded = load(IMAGES.replace("MODE", repr(mode)))
        assert (loaded.kind, loaded.shape, loaded.classes) == ("images", shape, ("cat", "dog"))
    with pytest.raises(InputError, match=r"item 0: its input is an image of mode RGBA; must be L \(gray\) or RGB"):
        load(IMAGES.replace("MODE", "'RGBA'"))
    assert capsys.readouterr().out == ""


def test_long_data_sets_show_progress(
    load: Load, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dnntrain.data.images.PROGRESS_THRESHOLD", 30)
    load(ITEMS + "return train, test")
    assert capsys.readouterr().err == "reading 40 items of mydata.py:load: train\n"


# What is refused

REFUSED = {
    "None": ("return None", ["returned None", "must return (x_train, y_train, x_test, y_test)"]),
    "one array": ("return arrays()[0]", ["returned float32 of shape (40, 4)"]),
    "inputs and targets": (
        "return arrays()[:2]",
        ["returned a tuple of 2 (float32 of shape (40, 4), int64 of shape (40,))", "a pair (train, test)"],
    ),
    "five arrays": ("return (*arrays(), 3)", ["returned a tuple of 5 (float32 of shape (40, 4)"]),
    "generator": ("return (part for part in arrays())", ["returned a generator; return all examples at once"]),
    "generators": (
        "return (i for i in [1]), (i for i in [1])",
        ["a tuple of 2 (a generator, a generator); return all examples at once"],
    ),
    "loaders": (
        ITEMS + "return DataLoader(train), DataLoader(test)",
        ["a tuple of 2 (a DataLoader, a DataLoader); return the data set that it loads"],
    ),
    "iterable": (
        "class Stream(IterableDataset):\n  def __iter__(self): yield 1, 1\n  def __len__(self): return 1\n"
        "return Stream(), Stream()",
        ["(a Stream, a Stream); its items have no numbers; return a map-style data set"],
    ),
    "one data set": (ITEMS + "return train", ["returned a TensorDataset"]),
    "four data sets": (ITEMS + "return train, test, train, test", ["returned a tuple of 4 (a TensorDataset"]),
    "unknown key": (
        "return dict(zip(['x_trian', 'y_train'], arrays()))",
        ["the key 'x_trian'; did you mean 'x_train'?"],
    ),
    "missing key": (NAMED + "return dict(x_train=x, y_train=y, x_test=tx)", ["returned a dict without y_test"]),
    "half a part": (NAMED + "return dict(x_train=x, y_train=y, x_test=tx, y_test=ty, x_val=x)", ["without y_val"]),
    "lengths": (
        NAMED + "return x, y[:5], tx, ty",
        ["returned x_train of shape (40, 4) and y_train of shape (5,); must have equally many examples"],
    ),
    "a number": (NAMED + "return x, 3, tx, ty", ["y_train of shape ()"]),
    "empty": (NAMED + "return x, y, tx[:0], ty[:0]", ["x_test of shape (0, 4)"]),
    "shapes": (NAMED + "return x, y, tx[:, :3], ty", ["x_train, x_test: examples of shapes (4,), (3,)"]),
    "objects": (
        NAMED + "return x, np.array([*'ab'] * 20, object), tx, ty",
        ["returned y_train is object of shape (40,) of Python objects", "array.astype(str) makes names text"],
    ),
    "ragged": (NAMED + "return [[1], [1, 2]] * 20, y, tx, ty", ["returned x_train cannot become an array"]),
    "infinite": (NAMED + "x[3] = np.inf\nreturn x, y, tx, ty", ["a value is infinite"]),
    "missing targets": (NAMED + "y = y * 1.0\ny[2] = np.nan\nreturn x, y, tx, ty", ["1 of 60 values are missing"]),
    "too many classes": (
        "x, _, tx, _ = arrays()\nreturn x, np.arange(40), tx, np.arange(20)",
        ["40 different values in 60 examples are not classes; task regression predicts the number"],
    ),
    "one class": (NAMED + "return x, y * 0, tx, ty * 0", ["fewer than two classes"]),
    "names": ("return (np.array([['a'] * 4] * 40), *arrays()[1:])", ["x_train, x_test: both text and numbers"]),
    "flat bytes": (
        "x = np.ones((60, 9), np.uint8)\nreturn x[:40], np.arange(40) % 2, x[40:], np.arange(20) % 2",
        ["uint8 of shape (60, 9) are not images; return float32 for numbers, or int64 for tokens"],
    ),
    "negative": (
        "x = np.arange(60).reshape(30, 2) - 1\nreturn x[:20], x[:20, 0] % 3, x[20:], x[20:, 0] % 3",
        ["whole numbers from -1 to 58; tokens are indices"],
    ),
    "scales": (
        "x, y, tx, ty = arrays()\nreturn (x * 0 + 200).round(), y, tx * 0 + .5, ty",
        ["parts on different scales"],
    ),
    "several targets": ("x, y, tx, ty = arrays()\nreturn x, x, tx, tx", ["several targets per example"]),
    "multi-label": (
        "x, y, tx, ty = arrays()\nreturn x, np.ones((40, 3)), tx, np.ones((20, 3))",
        ["float64 of shape (60, 3): multi-label targets are not supported"],
    ),
    "items of three": (
        "x, y, tx, ty = tensors(*arrays())\nreturn TensorDataset(x, y, y), TensorDataset(tx, ty, ty)",
        ["mydata.py:load: train: item 0 is a tuple of 3 (float32 of shape (4,), int64 of shape (), int64 of shape ())"],
    ),
    "items of several shapes": (
        "class Rows:\n  def __len__(self): return 9\n  def __getitem__(self, i): return np.ones(1 + i // 4), i % 2\n"
        "return Rows(), Rows()",
        ["train: item 4: its input is float64 of shape (2,), and that of item 0 float64 of shape (1,)"],
    ),
    "sequences as targets": (
        "class Rows:\n  def __len__(self): return 9\n  "
        "def __getitem__(self, i): return np.ones(3), [1] * (1 + i // 4)\nreturn Rows(), Rows()",
        ["train: item 4: its target is int64 of shape (2,), and that of item 0 int64 of shape (1,)", "one per item"],
    ),
    "failing items": (
        "class Rows:\n  def __len__(self): return 9\n  def __getitem__(self, i): return [1, 2][i]\n"
        "return Rows(), Rows()",
        ["train: item 0 is an int; must be a pair (input, target)"],
    ),
}


@pytest.mark.parametrize(("body", "said"), REFUSED.values(), ids=REFUSED)
def test_wrong_returns_are_named(body: str, said: list[str], load: Load, tmp_path: Path) -> None:
    for _ in range(2):  # nothing of it is kept
        with pytest.raises(InputError) as caught:
            load(body)
        for part in ("mydata.py:load", *said):
            assert part in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 2
    assert calls(tmp_path) == 2
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_errors_show_the_users_frames_only(load: Load) -> None:
    rows = (
        "class Rows:\n  def __len__(self): return 9\n  def __getitem__(self, i): return {}[i], 1\nreturn Rows(), Rows()"
    )
    for body, start in (
        ("raise KeyError('lost')", "mydata.py:load"),
        (rows, "mydata.py:load: train: item 0 cannot be read"),
    ):
        with pytest.raises(InputError) as caught:
            load(body)
        text = str(caught.value)
        assert start in text and "KeyError" in text and "mydata.py" in text and "user_callable.py" not in text


@pytest.mark.parametrize("given", ["module:", "module:mydata.py", "module:my data:load", "module:mydata.py:a b"])
def test_references_are_checked(given: str) -> None:
    with pytest.raises(InputError):
        find_source(given)


def test_a_missing_file_or_function(tmp_path: Path) -> None:
    (tmp_path / "mydata.py").write_text("def load(n): return n\n")
    for name, said in (("mydata.py:loda", "'loda'"), ("nothing.py:load", "nothing.py"), ("mydata.py:load", "needs n")):
        with pytest.raises(InputError, match=said):
            find_source(f"module:{tmp_path / name}").load(DataLocation(tmp_path / "home"))


# When it is called

BODY = "return arrays(n=40 + k)"


def test_it_is_called_once_for_each_code_and_arguments(load: Load, tmp_path: Path) -> None:
    first = load(BODY)
    again = load(BODY)
    assert calls(tmp_path) == 1 and first.fingerprint == again.fingerprint
    assert isinstance(again.train_inputs, np.memmap)  # shared with other processes
    assert len(load(BODY, "k=2").train_inputs) == 42 and calls(tmp_path) == 2
    edited = load(f"# edited\n{BODY}")
    assert calls(tmp_path) == 3 and edited.fingerprint == first.fingerprint  # the same data are the same
    load(BODY)
    assert calls(tmp_path) == 3  # the former text is known


def test_it_is_called_again_on_request(load: Load, tmp_path: Path) -> None:
    home = DataLocation(tmp_path / "home")
    body = "import os\nn = os.path.getsize(__file__.replace('mydata.py', 'calls'))\nreturn arrays(n=40 + n)"
    assert len(load(body).train_inputs) == 41
    anew = replace(home, called_after=time())
    assert [len(load(body, location=where).train_inputs) for where in (home, anew, anew, home)] == [41, 42, 42, 42]


def test_the_fingerprint_is_that_of_the_contents(load: Load) -> None:
    prints = [load(f"x, y, tx, ty = arrays()\n{change}\nreturn x, y, tx, ty").fingerprint
              for change in ("", "x[0, 0] += 1", "y[0] = 2", "ty[0] = 2", "x = x.astype(float)")]  # fmt: skip
    assert len(set(prints)) == 5
