"""The boundary that calls from Python cross: arguments are checked by their types, and errors name them.

The command line calls the same functions, but parses its own arguments, and calls them by their flags. So messages are
written for the command line, and are put in Python's terms here.
"""

from __future__ import annotations

import inspect
import numbers
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dnntrain.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
FLAG = re.compile(r"`[^`]*`|(?<![\w-])--(no-)?([a-z][a-z-]*[a-z])")
"""A flag, or a command in backquotes, in which flags stay."""
RENAMED_FLAGS = {"from": "source"}
"""Flags whose argument has another name, since theirs is a keyword of Python."""
WORDS: Mapping[Any, str] = {str: "text", Path: "a path", bool: "True or False", int: "a whole number",
                            float: "a number", NoneType: "None"}  # fmt: skip
SETTINGS_BY_NAME = "a dict of settings by name, such as {'elu': {'act': 'elu'}}"
EXPECTED = {
    "arms": SETTINGS_BY_NAME,
    "factors": SETTINGS_BY_NAME,
    "metric": "a name, such as val_acc or macro_f1",
    "progress": "'auto', True, False, or a StudyCallback",
}
"""What certain parameters take, where their types say too little."""
LONGEST_VALUE = 80
"""Characters of a value that a message still shows; of longer ones it names the type."""


def python_call(function: F) -> F:
    """Check the arguments of a function by their annotations, and name them as Python does in its errors.

    Raises:
        InputError: An argument has the wrong type; otherwise whatever the function raises.
    """
    signature = inspect.signature(function)
    # what is returned need not be imported
    parameters = SimpleNamespace(__annotations__={**function.__annotations__})
    parameters.__annotations__.pop("return", None)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:  # as Python words it, without the frames of this module
            raise TypeError(f"{function.__name__}() {error}") from None
        hints = get_type_hints(parameters, function.__globals__)
        for name, value in given.items():
            if name in hints and signature.parameters[name].kind not in VARIADIC:
                check_type(name, value, hints[name])
        try:
            return function(*args, **kwargs)
        except InputError as error:
            error.args = (FLAG.sub(python_name, str(error)),)
            raise

    return called  # type: ignore[return-value]


def warn_caller(message: str) -> None:
    """Warn at the line of the user's code that called dnntrain, however many of its own functions are in between."""
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "dnntrain":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def python_name(flag: re.Match[str]) -> str:
    """The argument that a flag stands for: --allow-partial → allow_partial, --no-predictions → predictions=False."""
    if flag[2] is None:
        return flag[0]
    name = RENAMED_FLAGS.get(flag[2], flag[2]).replace("-", "_")
    return f"{name}=False" if flag[1] else name


def check_type(name: str, value: object, hint: Any) -> None:
    """Raise InputError unless a value has the type that the annotation says."""
    if not has_type(value, hint):
        shown = repr(value)
        if len(shown) > LONGEST_VALUE or "\n" in shown:
            shown = f"of type {type(value).__name__}"
        raise InputError(f"{name} {shown}: must be {EXPECTED.get(name) or in_words(hint)}")


def has_type(value: object, hint: Any) -> bool:
    """Whether a value has an annotated type. NumPy's numbers are numbers; True and False are none."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        return True
    if origin in (Union, UnionType):
        return any(has_type(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if hint in (int, float):
        return isinstance(value, numbers.Integral if hint is int else numbers.Real) and not isinstance(value, bool)
    if origin is None:
        return isinstance(value, hint)
    if not isinstance(value, origin) or isinstance(value, str | bytes):
        return False
    if isinstance(value, Mapping):
        return all(has_type(key, inner[0]) and has_type(each, inner[-1]) for key, each in value.items())
    # what can be read only once is read by the function
    return not isinstance(value, Collection) or all(has_type(each, inner[0]) for each in value)


def in_words(hint: Any) -> str:
    """An annotated type in words: 'text, a number, or None'."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        *first, last = dict.fromkeys(map(in_words, inner))
        return f"{', '.join(first)}{',' if len(first) > 1 else ''} or {last}" if first else last
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is not None and issubclass(origin, Mapping):
        return "a dict"
    if origin is not None:
        words = in_words(inner[0])
        return f"a list of {words.removeprefix('a ')}{'s' if words.startswith('a ') else ''}"
    return WORDS.get(hint, f"a {getattr(hint, '__name__', hint)}")
