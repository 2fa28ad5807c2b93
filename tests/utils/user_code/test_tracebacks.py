"""Tracebacks are cut to the user's own frames."""

import runpy

import pytest

from dnntrain.utils.user_code.tracebacks import cut_traceback, user_frames

SOURCE = """import json
def inner():
    json.loads("{")
def outer():
    inner()
outer()
"""


def raised(path):
    with pytest.raises(Exception) as caught:  # noqa: PT011 (any kind of error)
        runpy.run_path(str(path))
    return caught.value


def test_only_the_users_frames_are_left(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    error = raised(file)
    for hint in (str(file), str(tmp_path)):
        assert [(frame.lineno, frame.name) for frame in user_frames(error, hint)] == [
            (6, "<module>"),
            (5, "outer"),
            (3, "inner"),
        ]
    text = cut_traceback(error, str(file))
    assert text.startswith(f'  File "{file}", line 6, in <module>\n    outer()\n')
    assert text.splitlines()[-1].startswith("json.decoder.JSONDecodeError: ")
    assert "runpy" not in text and "decoder.py" not in text


def test_without_a_hint_the_frames_of_libraries_are_left_out(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    names = {frame.filename for frame in user_frames(raised(file))}
    assert names == {str(file), __file__}


def test_the_frames_of_a_named_package_are_the_users(tmp_path):
    import json

    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    frames = user_frames(raised(file), json.__path__[0])
    assert [frame.name for frame in frames] == ["loads", "decode", "raw_decode"]


def test_a_syntax_error_names_its_own_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("x = 1\ny = (\n")
    text = cut_traceback(raised(file), str(file))
    assert f'File "{file}", line 2' in text and text.splitlines()[-1].startswith("SyntaxError: ")
