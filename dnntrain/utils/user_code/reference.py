"""References to the user's own code: `mynet.py:Net:width=64` or `torchvision.models:resnet18:num_classes={classes}`.

A file's code runs as it was read, and so does a package that is not installed but lies somewhere as source files. While
`pinned` holds, references mean the code that was read before, whatever has become of the files.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Self

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.user_code.arguments import read_argument, split_arguments
from dnntrain.utils.user_code.by_value import MAIN, by_value, sent_code, unpickle
from dnntrain.utils.user_code.imports import import_code, import_module, is_own
from dnntrain.utils.user_code.sources import UserCode, installed_as, read_code, source_file
from dnntrain.utils.user_code.tracebacks import cut_traceback, user_frames

LONGEST_HINT = 200
"""Characters of a list of known names that an error message still shows."""


@dataclass(frozen=True)
class CodeReference:
    """A callable of the user's, by file or package, with arguments for it.

    Nothing is read before `sources` or `identity`, and nothing runs before `load` or `call`.
    """

    module: str
    """'mynet.py', '/abs/mynet.py' or 'torchvision.models'."""
    name: str
    """The callable's name in the module: 'Net', or 'Net.small' for a class method."""
    arguments: str = ""
    """'width=64,depth=3'. Values are Python literals, else text, and may hold placeholders like {classes}."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `FILE.py:NAME[:arguments]` or `PACKAGE.MODULE:NAME[:arguments]`.

        Raises:
            InputError: The text has another form. Whether there is such a file is not looked at.
        """
        module, _, rest = (part.strip() for part in text.partition(":"))
        name, _, arguments = (part.strip() for part in rest.partition(":"))
        form = "write FILE.py:NAME or PACKAGE.MODULE:NAME, and :argument=value,… if there are any"
        if not module or not name:
            raise InputError(f"'{text}' names no {'callable in it' if module else 'module'}; {form}")
        if not (is_file(module) or is_by_value(module) or all(map(str.isidentifier, module.split(".")))):
            raise InputError(f"'{module}' is neither a .py file nor a package's name; {form}")
        if not all(map(str.isidentifier, name.split("."))):
            raise InputError(f"'{name}' is no name of a class or function; {form}")
        try:
            split_arguments(arguments)
        except InputError as error:
            raise InputError(f"{module}:{name}: {error}") from None
        return cls(module, name, arguments)

    def __str__(self) -> str:
        return ":".join(filter(None, (self.module, self.name, self.arguments)))

    def code(self) -> UserCode | None:
        """The code that is meant: the pinned one, that of a loaded plug-in, or that of the file as it is now.

        None for an installed package.

        Raises:
            InputError: There is no such file or package, or a file is not Python.
        """
        if known := _pinned.get().get(self.module) or LOADED.get(self.module):
            return known
        if is_by_value(self.module):
            return sent_code(self.module)
        file = Path(self.module) if is_file(self.module) else source_file(self.module)
        return None if file is None else read_code(self.module, file)

    def sources(self) -> dict[str, bytes]:
        """The module's file, and the files that it imports from its folder, by relative path. Nothing is run.

        Empty for an installed package.

        Raises:
            InputError: See `code`.
        """
        code = self.code()
        return dict(code.files) if code else {}

    def identity(self) -> str:
        """SHA-256, in hexadecimal, of what decides the result of a call: sources, name and arguments.

        The place of the folder does not count. An installed package counts with its name and version.

        Raises:
            InputError: See `code`.
        """
        code = self.code()
        origin = code.digest if code else f"{self.module} of {installed_as(self.module.partition('.')[0])}"
        content = [origin, self.name, sorted(split_arguments(self.arguments).items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def load(self) -> Callable[..., Any]:
        """Import the callable; the same object as long as its code is the same. What it prints goes to stderr.

        Raises:
            InputError: The module cannot be found or imported, or holds no such callable; with file and line, and the
                user's part of the traceback.
        """
        code = self.code()
        try:
            if code and code.pickled:
                return unpickle(code)
            module = import_code(code) if code else import_module(self.module)
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(self._import_problem(error, code)) from None
        found: Any = module
        for part in self.name.split("."):
            if not hasattr(found, part):
                held = {k: v for k, v in getattr(found, "__dict__", {}).items() if callable(v) and k[0] != "_"}
                own = [name for name, value in held.items() if getattr(value, "__module__", "") == module.__name__]
                raise InputError(f"{self.module}: has no '{part}'{_hint(part, own or held)}")
            found = getattr(found, part)
        if not callable(found):
            raise InputError(f"{self.module}:{self.name}: not a class or function, but of type {type(found).__name__}")
        return found  # type: ignore[no-any-return]

    def call(self, placeholders: Mapping[str, Any], fill: Mapping[str, Any]) -> Any:
        """Call it with its arguments.

        Args:
            placeholders: Values of `{classes}` and the like.
            fill: Values for parameters of these names that the callable has and the arguments do not give.

        Returns:
            What the callable returns.

        Raises:
            InputError: The module cannot be loaded, the arguments do not fit the callable's signature, or it raises;
                then with the user's part of the traceback.
        """
        function, keywords = self.load(), self.keywords(placeholders, fill)
        try:
            with redirect_stdout(sys.stderr):
                return function(**keywords)
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            shown = ", ".join(f"{key}={value!r}" for key, value in keywords.items())
            # the frames of an installed package are not the user's
            what = f"\n{cut_traceback(error, self._home())}" if self.code() else f": {type(error).__name__}: {error}"
            raise InputError(f"{self.module}:{self.name}: fails when called with ({shown}){what}") from None

    def keywords(self, placeholders: Mapping[str, Any], fill: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that `call` calls it with, by name; InputError if they do not fit its signature."""
        function = self.load()
        try:
            given = {k: read_argument(v, placeholders) for k, v in split_arguments(self.arguments).items()}
            return _with_filled(function, given, fill)
        except InputError as error:
            raise InputError(f"{self.module}:{self.name}: {error}") from None

    def _home(self) -> str | None:
        """The folder of the code, for tracebacks."""
        if code := self.code():
            return None if code.pickled else code.folder
        spec = importlib.util.find_spec(self.module.partition(".")[0])
        return next(iter(spec.submodule_search_locations or ()), None) if spec else None

    def _import_problem(self, error: BaseException, code: UserCode | None) -> str:
        """Why the module cannot be imported, as an error message."""
        frames = user_frames(error, self._home())
        where = f"{self.module}:{frames[-1].lineno}" if len(frames) == 1 else self.module
        if not isinstance(error, ModuleNotFoundError) or not error.name:
            return f"{self.module}: cannot be imported\n{cut_traceback(error, self._home())}"
        beside = [file.stem for file in Path(code.folder, code.entry).parent.glob("*.py")] if code else []
        package, _, missing = error.name.rpartition(".")
        if code and is_own(error.name):
            return f"{where}: no file {missing}.py to import{_hint(missing, beside)}"
        if package in sys.modules:
            there = [found.name for found in pkgutil.iter_modules(getattr(sys.modules[package], "__path__", []))]
            return f"{where}: no module '{missing}' in {package}{_hint(missing, there)}"
        top = error.name.partition(".")[0]
        meant = did_you_mean(top, beside)
        near = meant if meant.startswith("; did") else ""
        return f"{where}: no package '{top}' is installed{near or f'; pip install {top}'}"


_pinned: ContextVar[dict[str, UserCode]] = ContextVar("pinned", default={})  # noqa: B039 (never changed in place)

LOADED: dict[str, UserCode] = {}
"""The code of the plug-ins that this process has imported, by module: what references to them mean, unless another code
is pinned."""


@contextmanager
def pinned(codes: Iterable[UserCode]) -> Iterator[None]:
    """Let references to these modules mean this code, instead of what the files hold now."""
    token = _pinned.set(_pinned.get() | {code.module: code for code in codes})
    try:
        yield
    finally:
        _pinned.reset(token)


def reference_of(function: Callable[..., Any], arguments: Mapping[str, Any] | None = None) -> CodeReference:
    """Refer to a class or function that Python code holds.

    One from a module is referred to by its file or package, and imported from there again. One from a notebook, from
    the running script, or from within a function is sent by value, and its module is named `__main__@…`.

    Args:
        function: The class or function.
        arguments: Literals such as numbers, text and lists, by parameter.

    Raises:
        InputError: It is no class or function, its source cannot be read, or an argument is not a literal.
    """
    given = arguments or {}
    texts = [f"{name}={value!r}" for name, value in given.items()]
    try:
        if any(ast.literal_eval(repr(value)) != value for value in given.values()):
            raise ValueError
    except (ValueError, SyntaxError):
        raise InputError(f"arguments must be literals such as numbers and text, not {', '.join(texts)}") from None
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", None) or MAIN
    file = getattr(sys.modules.get(module), "__file__", None)
    if name.replace(".", "").isidentifier() and module != MAIN and file:
        where = module if installed_as(module.partition(".")[0]) else file
    elif isinstance(function, type | FunctionType):
        where = by_value(function).module
        name = function.__name__ if function.__name__.isidentifier() else "function"  # a lambda
    else:
        raise InputError(f"{function!r} is neither a class nor a function; write a function that returns what is meant")
    return CodeReference.parse(":".join((where, name, ",".join(texts))))


def code_of(references: Iterable[CodeReference]) -> tuple[UserCode, ...]:
    """The code that references mean now, each module once. Installed packages have none to send."""
    found = {reference.module: reference.code() for reference in references}
    return tuple(code for code in found.values() if code)


def is_file(module: str) -> bool:
    """Whether a reference's module is a file, as `mynet.py`, and not a package's name."""
    return module.endswith(".py") or "/" in module


def is_by_value(module: str) -> bool:
    """Whether a reference's module is `__main__@…`, that of a callable that is sent by value."""
    return re.fullmatch(rf"{MAIN}@[0-9a-f]{{8}}", module) is not None


def _with_filled(function: Callable[..., Any], given: dict[str, Any], fill: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a call, checked against the signature where the callable shows one."""
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):
        return given
    named = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in given:
            if name not in named:
                takes = _hint(name, named) if named else "; it takes no arguments"
                raise InputError(f"has no parameter '{name}'{takes}")
    keywords = {name: fill[name] for name in named if name in fill} | given
    missing = [name for name, p in named.items() if p.default is p.empty and name not in keywords]
    if missing:
        raise InputError(f"needs {', '.join(missing)}; write {':' if not given else ','}{missing[0]}=VALUE after it")
    return keywords


def _hint(word: str, known: Iterable[str]) -> str:
    """`did_you_mean`, unless that would be a long list."""
    hint = did_you_mean(word, known)
    return hint if len(hint) <= LONGEST_HINT else ""
