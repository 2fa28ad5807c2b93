"""Classes and functions without a file of their own: sent by value, identified by the source of all that is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dnntrain.errors import InputError
from dnntrain.utils.user_code.reference import CodeReference, code_of, pinned, reference_of
from tests.support.command import environment

PATH = str(Path(__file__).parents[3])

SCRIPT = """
import pickle, sys
import helper
from dnntrain.utils.user_code.reference import code_of, reference_of

WIDTH = 4
def square(x):
    return x * x
STEPS = [square]

class Base:
    def scaled(self):
        return WIDTH * helper.scale(self.depth)

class Net(Base):
    def __init__(self, depth):
        self.depth = depth
        super().__init__()
    def __call__(self, steps=STEPS):
        return [step(self.scaled()) for step in steps]

net = reference_of(Net, {"depth": 3})
with open(sys.argv[1], "wb") as file:
    pickle.dump((net, code_of([net])), file)
print(net.identity(), net.call({}, {})())
"""

HELPER = "FACTOR = 10\ndef scale(x):\n    return FACTOR * x\n"

ELSEWHERE = """
import pickle, sys
from dnntrain.errors import InputError
from dnntrain.utils.user_code.reference import pinned
with open(sys.argv[1], "rb") as file:
    net, codes = pickle.load(file)
try:
    net.load()
except InputError as error:
    print("refused" if "another Python process" in str(error) else error)
with pinned(codes):
    print(net.identity(), net.call({}, {})())
"""

NOTEBOOK = """
import linecache, sys
import __main__
from dnntrain.utils.user_code.reference import reference_of

def cell(number, text):
    # as IPython does it
    name = f"<ipython-input-{number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), __main__.__dict__)

cell(1, "SIZE = 2\\nclass Other:\\n    pass\\n\\nclass Net:\\n    def __init__(self):\\n        self.size = SIZE\\n")
first = reference_of(Net)
cell(2, "def load():\\n    return SIZE")
assert reference_of(Net) == first and reference_of(load).call({}, {}) == 2
cell(3, "class Net:\\n    def __init__(self):\\n        self.size = SIZE + 1\\n")
second = reference_of(Net)
assert second != first and (first.call({}, {}).size, second.call({}, {}).size) == (2, 3)
SIZE = 5
assert reference_of(Net) != second
print(first.sources()["__main__.py"].decode())
"""


def python(program: str, *words: str, cwd: Path, name: str = "script.py") -> str:
    (cwd / name).write_text(program)
    env = environment(PYTHONPATH=PATH)
    done = subprocess.run([sys.executable, name, *words], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What identifies the script's class."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "helper.py").write_text(HELPER)
    return python(SCRIPT, "sent", cwd=folder).split()[0]


def test_a_class_of_a_script_is_the_same_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "elsewhere").mkdir()
    here = python(SCRIPT, "sent", cwd=tmp_path)
    there = python(ELSEWHERE, "../sent", cwd=tmp_path / "elsewhere")  # without helper.py
    assert there == f"refused\n{here}" and here.endswith(f" [{(4 * 10 * 3) ** 2}]\n")


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("", "", False),
        ("# a comment outside", "# another", False),
        ("WIDTH = 4", "WIDTH = 5", True),
        ("return x * x", "return x + x", True),
        ("def scaled(self):", "def scaled(self, unused=1):", True),
        ("self.depth = depth", "self.depth = depth + 1", True),
        ("net = ref", "Net.width = 1\nnet = ref", True),
        ("net = ref", "Net.scaled = lambda self: 1\nnet = ref", True),
    ],
)
def test_all_that_is_sent_identifies_a_class(
    identity: str, tmp_path: Path, before: str, after: str, changes: bool
) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    found = python(SCRIPT.replace(before, after), "sent", cwd=tmp_path).split()[0]
    assert (found != identity) == changes


def test_an_own_module_that_a_class_uses_identifies_it(identity: str, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER.replace("10", "11"))
    assert python(SCRIPT, "sent", cwd=tmp_path).split()[0] != identity


def test_a_notebooks_classes_have_a_source(tmp_path: Path) -> None:
    said = python(NOTEBOOK, cwd=tmp_path)
    assert "class Net:" in said and "SIZE = 2" in said and "Other" not in said


def test_a_callable_of_a_module_is_imported_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "importable.py").write_text("class Net:\n    pass\n\n\ndef make():\n    return lambda: 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    importable = importlib.import_module("importable")
    monkeypatch.setitem(sys.modules, "importable", importable)
    net = reference_of(importable.Net, {"text": "a'b\",", "numbers": [1, 2.5, None]})
    assert (net.module, net.name) == (f"{tmp_path}/importable.py", "Net")
    assert reference_of(CodeReference.parse(str(net)).load()).module == net.module
    own = reference_of(importable.make())
    assert own.module.startswith("__main__@") and own.call({}, {}) == 3
    with pinned(code_of([own])):
        assert own.call({}, {}) == 3
    assert str(reference_of(np.linalg.norm)) == "numpy.linalg:norm"


@pytest.mark.parametrize(
    ("value", "arguments", "said"),
    [
        (3, {}, "neither a class nor a function"),
        (Path.cwd, {"x": object()}, "must be literals"),
    ],
)
def test_what_cannot_be_referred_to_is_refused(value: object, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        reference_of(value, arguments)  # type: ignore[arg-type]


def test_a_callable_without_source_is_refused() -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec("def made(): pass", namespace)
    with pytest.raises(InputError, match=r"made: its source cannot be read.*move it to a \.py file"):
        reference_of(namespace["made"])  # type: ignore[arg-type]
