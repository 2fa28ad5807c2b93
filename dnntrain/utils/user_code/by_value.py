"""Callables without a file to import: classes and functions of a notebook or of the script that is running.

They are sent to other processes by value, with cloudpickle. What identifies them is the source of all that is sent: the
callable, the functions, classes and values of `__main__` that it refers to, and those that these refer to.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import io
import linecache
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from dnntrain.errors import InputError
from dnntrain.utils.user_code.sources import UserCode, installed_as, read_code

MAIN = "__main__"
"""Modules of callables that are sent by value are named `__main__@`, then the first digits of what identifies them."""

_sent: dict[str, UserCode] = {}
"""What was made a reference in this process, by module."""
_callables: dict[str, Callable[..., Any]] = {}
"""By digest. Unpickling a class where it was defined would replace its methods by copies with globals of their own."""


def by_value(function: Callable[..., Any], parts: Sequence[tuple[str, Any]] | None = None) -> UserCode:
    """Pickle a callable with all that it refers to, and keep it for references of this process.

    Args:
        function: A class or function, or an object that can be called.
        parts: The values by name that identify the object, with all that they refer to. By default the callable itself,
            which then has to be a class or function.

    Raises:
        InputError: The source of something that would be sent is not known, or it cannot be pickled.
    """
    import cloudpickle

    name = getattr(function, "__qualname__", type(function).__name__)
    sources, modules = _sources([(name, function)] if parts is None else parts)
    text = "\n\n".join(sources) + "\n"
    try:
        with _sent_by_value(modules):
            pickled: bytes = cloudpickle.dumps(function)
    except (Exception, SystemExit) as error:  # whatever the user's objects raise
        raise InputError(f"{name}: cannot be sent to a worker ({type(error).__name__}: {error}); "
                         "move it to a .py file") from None  # fmt: skip
    module = f"{MAIN}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    code = UserCode(module, str(Path.cwd()), f"{MAIN}.py", {f"{MAIN}.py": text.encode()}, pickled)
    _sent[module], _callables[code.digest] = code, function
    return code


def sent_code(module: str) -> UserCode:
    """The code of `__main__@…`; InputError unless it was made a reference in this process."""
    if module not in _sent:
        raise InputError(f"{module}: this class or function was defined in another Python process; define it again")
    return _sent[module]


def unpickle(code: UserCode) -> Callable[..., Any]:
    """The callable; the same object each time, and the original in the process that it comes from."""
    if code.digest not in _callables:
        _callables[code.digest] = pickle.loads(code.pickled)
    return _callables[code.digest]


@contextmanager
def _sent_by_value(modules: list[ModuleType]) -> Iterator[None]:
    """Send the user's own modules along, which other machines do not have."""
    import cloudpickle

    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _sources(parts: Sequence[tuple[str, Any]]) -> tuple[list[str], list[ModuleType]]:
    """The sources of all that is sent with some values, in a fixed order, and the user's modules among it."""
    sources: set[str] = set()
    modules: dict[str, ModuleType] = {}
    seen: dict[tuple[str, int], Any] = {}  # holds the objects, so that no id is used again
    todo = list(parts)
    while todo:
        name, value = todo.pop()
        if (name, id(value)) in seen:
            continue
        seen[name, id(value)] = value
        is_code = isinstance(value, FunctionType | type)
        module = value if isinstance(value, ModuleType) else sys.modules.get(value.__module__) if is_code else None
        if module is not None and module.__name__ != MAIN and "<locals>" not in getattr(value, "__qualname__", ""):
            if own := _users_module(module):
                modules[own.__name__] = own
                sources.add(f"# {module.__name__}: {read_code(module.__name__, Path(str(module.__file__))).digest}")
        elif is_code:
            sources.add(_source(value))
            todo += _referenced(value)
        elif module is None:
            text, found = _fingerprint(name, value)
            sources.add(f"{name} = {text}")
            todo += found
    return sorted(sources), list(modules.values())


def _users_module(module: ModuleType) -> ModuleType | None:
    """The top-level module if a module is the user's own file; None for what is installed."""
    top = module.__name__.partition(".")[0]
    if not getattr(module, "__file__", None) or top == __name__.partition(".")[0] or installed_as(top):
        return None
    return sys.modules.get(top)


def _referenced(value: FunctionType | type) -> list[tuple[str, Any]]:
    """The values that a function or class refers to, by name."""
    if isinstance(value, FunctionType):
        names = sorted(_global_names(value.__code__))
        found = [(name, value.__globals__[name]) for name in names if name in value.__globals__]
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            with suppress(ValueError):  # empty until the name is bound
                found.append((name, cell.cell_contents))
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return found + [(f"{value.__qualname__}, default {number}", each) for number, each in enumerate(defaults)]
    found = [(base.__name__, base) for base in value.__mro__[1:]]
    for name, member in vars(value).items():
        is_property = isinstance(member, property)
        for each in (member.fget, member.fset) if is_property else (getattr(member, "__func__", member),):
            if not isinstance(each, FunctionType):
                if not name.startswith("__") and _literal(each):  # may have been set after the class was made
                    found.append((f"{value.__qualname__}.{name}", each))
            elif each.__qualname__.startswith(f"{value.__qualname__}."):
                found += _referenced(each)  # its source is part of the class's
            else:
                found.append((name, each))
    return found


def _global_names(code: CodeType) -> set[str]:
    """The global names that a function's code reads, functions within it included."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_global_names(part) for part in code.co_consts if isinstance(part, CodeType)))


def _fingerprint(name: str, value: Any) -> tuple[str, list[tuple[str, Any]]]:
    """What identifies a value (its text or a digest of its pickle), and the functions and classes that it holds."""
    if text := _literal(value):
        return text, []
    found: list[tuple[str, Any]] = []

    class Pickler(pickle.Pickler):
        def reducer_override(self, part: Any) -> Any:
            if not isinstance(part, FunctionType | type) or part.__module__ == "builtins":
                return NotImplemented
            found.append((part.__name__, part))
            return str, (part.__qualname__,)  # stands for it, since its source counts

    content = io.BytesIO()
    try:
        Pickler(content, protocol=5).dump(value)
    except (Exception, SystemExit) as error:  # whatever the user's objects raise
        raise InputError(f"{name}: a {type(value).__name__} cannot be sent to a worker ({error})") from None
    return f"{type(value).__name__} {hashlib.sha256(content.getvalue()).hexdigest()}", found


def _literal(value: Any) -> str:
    """The text of a value that is a literal; empty for others."""
    text = repr(value)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ""
    return text


def _source(value: FunctionType | type) -> str:
    """The source text of a function or class; InputError where there is none."""
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        pass
    # before Python 3.13, inspect does not find a notebook's classes, but their methods know their cell
    methods = [each for each in vars(value).values() if isinstance(each, FunctionType)]
    for code in (each.__code__ for each in methods if each.__qualname__.startswith(f"{value.__qualname__}.")):
        cell = "".join(linecache.getlines(code.co_filename))
        for node in ast.walk(ast.parse(cell)):
            if not isinstance(node, ast.ClassDef) or node.name != value.__name__:
                continue
            if node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
                return ast.get_source_segment(cell, node) or ""
    raise InputError(f"{value.__qualname__}: its source cannot be read, so nothing can tell when it changes; "
                     "move it to a .py file")  # fmt: skip
