"""References to the user's own code: how they are written, what they load, what identifies them, what errors say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dnntrain.errors import InputError
from dnntrain.utils.user_code.arguments import split_arguments
from dnntrain.utils.user_code.reference import CodeReference, code_of, pinned
from tests.support.command import environment

NET = """
import helper
from lib.inner import DEEP
print("on stdout")
VALUE = 3
class Net:
    def __init__(self, width, depth=2, num_classes=None):
        import late
        self.given = (width, depth, num_classes)
        self.imported = (helper.NAME, DEEP, late.LATE)
    @classmethod
    def small(cls):
        return cls(1)
def fails(x=1):
    raise ValueError(f"not {x}")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return furnished(tmp_path, monkeypatch)


def furnished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "lib").mkdir()
    (folder / "mynet.py").write_text(NET)
    (folder / "helper.py").write_text("NAME = 'mine'\n")
    (folder / "late.py").write_text("LATE = 5\n")
    (folder / "unused.py").write_text("raise SystemExit('imported')\n")
    (folder / "lib" / "inner.py").write_text("DEEP = 1\n")
    monkeypatch.chdir(folder)
    return folder


def reference(text: str) -> CodeReference:
    return CodeReference.parse(text)


# The text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mynet.py:Net", ("mynet.py", "Net", "")),
        ("a/b/mynet.py:Net.small", ("a/b/mynet.py", "Net.small", "")),
        ("torchvision.models:resnet18:n={classes}", ("torchvision.models", "resnet18", "n={classes}")),
        ("mynet.py:Net:url='http://a:1/,b',k=[1, 2]", ("mynet.py", "Net", "url='http://a:1/,b',k=[1, 2]")),
    ],
)  # fmt: skip
def test_a_reference_is_read_and_written(text: str, parts: tuple[str, str, str]) -> None:
    read = reference(text)
    assert (read.module, read.name, read.arguments) == parts
    assert str(read) == text and reference(str(read)) == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no module"),
        ("mynet.py", "names no callable in it"),
        ("mynet.py:", "names no callable in it"),
        (":Net", "names no module"),
        ("my net:Net", "'my net' is neither a .py file nor a package's name"),
        ("mynet.py:Net()", "'Net()' is no name of a class or function"),
        ("mynet.py:Net:64", "'64' is not of the form name=value"),
        ("mynet.py:Net:a=1,,b=2", "'' is not of the form"),
        ("mynet.py:Net:a=1,a=2", "'a' is given twice"),
        ("mynet.py:Net:a=[1", "has a bracket without its partner"),
        ("mynet.py:Net:a='1", "has a quote without its partner"),
    ],
)
def test_a_wrong_reference_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        reference(text)


def test_arguments_are_split_at_commas_outside_quotes_and_brackets() -> None:
    text = r"""a=1, b='x,y',c=[1, (2, 3)],d="it's",e='\',',f=plain text"""
    expected = {"a": "1", "b": "'x,y'", "c": "[1, (2, 3)]", "d": '"it\'s"', "e": r"'\','", "f": "plain text"}
    assert split_arguments(text) == expected


# Loading and calling


def test_a_call_gets_literals_text_placeholders_and_filled_parameters(folder: Path) -> None:
    net = reference("mynet.py:Net:width={classes},depth=relu").call({"classes": 10}, {"num_classes": 7, "other": 1})
    assert net.given == (10, "relu", 7)
    assert reference("mynet.py:Net:width=[1, None],num_classes=3").call({}, {"num_classes": 7}).given == (
        [1, None],
        2,
        3,
    )
    assert reference("mynet.py:Net.small").call({}, {}).given == (1, 2, None)


def test_what_a_file_imports_from_its_folder_is_found_then_and_later(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(sys.path)
    assert reference("mynet.py:Net:width=1").call({}, {}).imported == ("mine", 1, 5)
    assert sys.path == before and not {"helper", "late", "lib", "mynet"} & set(sys.modules)
    assert capsys.readouterr() == ("", "on stdout\n")
    assert not list(folder.rglob("__pycache__"))


def test_the_same_file_is_loaded_once_and_an_edited_one_again(folder: Path) -> None:
    net = reference("mynet.py:Net")
    first = net.load()
    os.utime(folder / "helper.py", (1, 1))
    assert net.load() is first and reference(f"{folder}/mynet.py:Net").load() is first
    (folder / "helper.py").write_text("NAME = 'edit'\n")  # as long as before, and within the same second
    assert net.load() is not first
    assert net.call({}, {"width": 1}).imported == ("edit", 1, 5)


def test_modules_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(f"NAME = '{name}'\n")
        text = "import helper\ndef first(): return helper.NAME\ndef later():\n import helper\n return helper.NAME\n"
        (tmp_path / name / "net.py").write_text(text)
    functions = [reference(f"{tmp_path}/{name}/net.py:{which}") for which in ("first", "later") for name in ("a", "b")]
    assert [each.call({}, {}) for each in functions] == ["a", "b", "a", "b"]
    loaded = [each.load() for each in functions]
    assert [function() for function in loaded] == ["a", "b", "a", "b"]


def test_a_file_of_a_package_imports_from_all_of_it(tmp_path: Path) -> None:
    files = {
        "nets/__init__.py": "KIND = 'nets'\n",
        "nets/small/__init__.py": "",
        "nets/small/net.py": "from . import blocks\nfrom .. import KIND\nfrom nets.tools import TOOL\n"
        "import near, json\n"
        "import nets.small.blocks as again\n"
        "def make(): return KIND, TOOL, blocks.WIDTH, near.NEAR, again is blocks, json.dumps(1)\n",
        "nets/small/blocks.py": "WIDTH = 4\n",
        "nets/small/json.py": "raise ValueError('shadows the standard library')\n",
        "nets/small/near.py": "NEAR = 1\n",
        "nets/tools.py": "TOOL = 'tool'\n",
        "outside.py": "raise ValueError\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    make = reference(f"{tmp_path}/nets/small/net.py:make")
    assert make.call({}, {}) == ("nets", "tool", 4, 1, True, "1")
    assert set(make.sources()) == set(files) - {"outside.py", "nets/small/json.py"}


def test_a_package_that_is_installed_has_no_sources_and_its_version_counts() -> None:
    dumps = reference("safetensors.numpy:save")
    assert dumps.sources() == {} and code_of([dumps]) == ()
    assert len({reference(text).identity() for text in ("safetensors.numpy:save", "json:dumps", "json:loads")}) == 3
    assert reference("json:dumps:obj=[1]").call({}, {}) == "[1]"
    with pytest.raises(InputError) as caught:  # in one line, without the package's frames
        reference("json:loads:s=x").call({}, {})
    assert str(caught.value).startswith("json:loads: fails when called with (s='x'): JSONDecodeError: Expecting value")
    assert "\n" not in str(caught.value)


def test_a_path_may_begin_with_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert reference("~/mynet.py:Net:width=1").sources() == reference("mynet.py:Net").sources()


# What identifies code


def test_the_identity_covers_sources_name_and_arguments_only(folder: Path, tmp_path_factory: pytest.TempPathFactory,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    net = reference("mynet.py:Net:width=1,depth=2")
    first = net.identity()
    assert sorted(net.sources()) == ["helper.py", "late.py", "lib/inner.py", "mynet.py"]
    assert net.sources()["helper.py"] == b"NAME = 'mine'\n"
    (folder / "mynet.py").touch()
    (folder / "unused.py").write_text("1")
    assert net.identity() == reference(f"{folder}/mynet.py:Net:depth=2, width=1").identity() == first
    assert reference("mynet.py:Net:width=2,depth=2").identity() != first
    assert reference("mynet.py:fails:width=1,depth=2").identity() != first
    other = furnished(tmp_path_factory.mktemp("other"), monkeypatch)
    assert reference("mynet.py:Net:width=1,depth=2").identity() == first
    (other / "late.py").write_text("LATE = 6\n")
    assert net.identity() != first


def test_pinned_code_is_used_whatever_becomes_of_the_files(folder: Path) -> None:
    net = reference("mynet.py:Net:width=1")
    before, codes = net.identity(), code_of([net, net])
    for file in folder.rglob("*.py"):
        file.unlink()
    with pinned(codes):
        assert net.identity() == before and len(net.sources()) == 4
        assert net.call({}, {}).imported == ("mine", 1, 5)
    with pytest.raises(InputError, match="no such file"):
        net.identity()


# Errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mynt.py:Net", "mynt.py: no such file; did you mean 'mynet.py'?"),
        ("./lib:Net", "lib: is a folder"),
        (f"{'x' * 3000}.py:Net", "x.py: File name too long"),
        ("mynet.py:Nte", "mynet.py: has no 'Nte'; did you mean 'Net'?"),
        ("mynet.py:VALUE", "mynet.py:VALUE: not a class or function, but of type int"),
        ("mynet.py:Net", "mynet.py:Net: needs width; write :width=VALUE after it"),
        ("mynet.py:Net:wdth=1", "mynet.py:Net: has no parameter 'wdth'; did you mean 'width'?"),
        ("mynet.py:Net.small:a=1", "has no parameter 'a'; it takes no arguments"),
        ("mynet.py:Net:width=true", "write True, False or None as Python does"),
        ("mynet.py:Net:width=010", "'010' is not a plain number; write 10"),
        ("mynet.py:Net:width={clases}", "nothing is known for '{clases}' here; did you mean 'classes'?"),
        ("mynett:Net", "no package 'mynett' is installed; pip install mynett"),
        ("mynet:Net", "write mynet.py"),
        ("json.decodr:x", "no module 'decodr' in json; did you mean 'decoder'?"),
        ("json:dumsp", "json: has no 'dumsp'; did you mean 'dump'?"),
    ],
)
def test_errors_say_what_would_be_right(folder: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        reference(text).call({"classes": 2}, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import helper\nx = (1\ndef Net(): pass\n", r"bad.py:2: no valid Python"),
        ("import helper\nprint(undefined)\n", r"bad.py: cannot be imported\n  File .*bad.py\", line 2.*\nNameError"),
        ("import einopz\n", r"bad.py:1: no package 'einopz' is installed; pip install einopz"),
        ("\nimport helpr\n", r"bad.py:2: no package 'helpr' is installed; did you mean 'helper'\?"),
        ("from .helpr import NAME\n", r"bad.py:1: no file helpr.py to import; did you mean 'helper'\?"),
        ("import sys\nsys.exit(3)\n", r"bad.py: cannot be imported\n.*\nSystemExit: 3"),
    ],
)
def test_a_file_that_does_not_import_is_shown_with_its_line(folder: Path, text: str, said: str) -> None:
    (folder / "bad.py").write_text(text)
    with pytest.raises(InputError) as caught:
        reference("bad.py:Net").load()
    assert re.search(said, str(caught.value), re.DOTALL), caught.value
    assert "importlib" not in str(caught.value) and "imports.py" not in str(caught.value)


def test_an_error_of_a_call_is_shown_with_the_users_frames_only(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        reference("mynet.py:fails:x=2").call({}, {})
    first, *frames, last = str(caught.value).splitlines()
    assert first == "mynet.py:fails: fails when called with (x=2)" and last == "ValueError: not 2"
    assert len(frames) == 2 and f'"{folder}/mynet.py", line 15, in fails' in frames[0]


def test_references_need_no_torch(folder: Path) -> None:
    program = (
        "import sys\nfrom dnntrain.utils.user_code.reference import CodeReference\n"
        "net = CodeReference.parse('mynet.py:Net')\nnet.identity(); net.load()\nprint('torch' in sys.modules)"
    )
    env = environment(PYTHONPATH=str(Path(__file__).parents[3]))
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_file_in_a_package_imports_installed_packages(tmp_path: Path) -> None:
    folder = tmp_path / "nets" / "small"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").write_text("")
    (folder / "net.py").write_text("import numpy as np\n\ndef zeros() -> object:\n    return np.zeros(2)\n")
    reference = CodeReference.parse(f"{folder / 'net.py'}:zeros")
    assert list(reference.call({}, {})) == [0.0, 0.0]
