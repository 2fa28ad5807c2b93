"""Reads the source files of user code without running them: a file, and all files near it that it imports."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path, PurePosixPath

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.user_dirs import expanded


@dataclass(frozen=True, eq=False)
class UserCode:
    """The source files of one module and of those that it imports, as they were read. It can be pickled and sent."""

    module: str
    """How references name the module: 'mynet.py', 'nets.mynet'."""
    folder: str
    """The absolute folder that the files were read from. It may not exist on another machine."""
    entry: str
    """The module's own file, relative to the folder: 'mynet.py', 'nets/mynet.py'."""
    files: Mapping[str, bytes]
    """Content by relative path, in order of path."""
    pickled: bytes = b""
    """A callable that is sent by value; the files hold its source for people to read."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and their relative paths, in hexadecimal."""
        digest = hashlib.sha256(self.entry.encode())
        for path, content in self.files.items():
            digest.update(b"\0" + path.encode() + b"\0" + hashlib.sha256(content).digest())
        return digest.hexdigest()

    def find(self, module: str) -> str | None:
        """The file of a module that is named by its place below the folder: 'nets.mynet' → 'nets/mynet.py'."""
        path = module.replace(".", "/")
        return next((file for file in (f"{path}/__init__.py", f"{path}.py") if file in self.files), None)


def read_code(module: str, file: Path) -> UserCode:
    """Read a file and the files that it imports from its folder, directly or through others.

    A file of a package may import from the whole package. Imports within functions count too; names that are put
    together at run time cannot be found.

    Args:
        module: How the reference names the file.
        file: The Python file.

    Raises:
        InputError: There is no such file, or one of the files is not Python; names file and line.
    """
    try:
        path = expanded(str(file)).resolve()
        is_there = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long; before Python 3.13, a link to itself
        raise InputError(f"{file}: {getattr(error, 'strerror', 'a symbolic link that leads to itself')}") from None
    if not is_there:
        near = did_you_mean(path.name, [found.name for found in path.parent.glob("*.py")])
        raise InputError(f"{file}: {'is a folder' if path.is_dir() else f'no such file{near}'}")
    if path.suffix != ".py" or "." in path.stem:
        raise InputError(f"{file}: a Python file is named like mynet.py, with no other dot")
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    files: dict[str, bytes] = {}
    entry = path.relative_to(root)
    # next to installed packages, only the file's own one is the user's code
    own = entry.parts[0].removesuffix(".py") if any(root.glob("*.dist-info")) else None
    todo = [entry.as_posix(), *(f"{parent}/__init__.py" for parent in PurePosixPath(entry).parents[:-1])]
    while todo:
        relative = todo.pop()
        if relative in files:
            continue
        try:
            files[relative] = (root / relative).read_bytes()
            imports = _imports(files[relative], relative, entry.as_posix())
        except OSError as error:
            raise InputError(f"{root / relative}: cannot be read ({error.strerror})") from None
        except SyntaxError as error:
            raise InputError(f"{root / relative}:{error.lineno or 1}: no valid Python ({error.msg})") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{root / relative}: no valid Python ({error})") from None
        todo += [file for name in imports if own in (None, name.split(".")[0]) for file in _files_of(name, root)]
    return UserCode(module, str(root), entry.as_posix(), dict(sorted(files.items())))


@lru_cache(maxsize=1024)
def _imports(source: bytes, file: str, entry: str) -> tuple[str, ...]:
    """Every name that a file may import from its folder, as a module's place below that folder."""
    package = list(PurePosixPath(file).parts[:-1])
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [place for alias in node.names for place in places(alias.name, entry)]
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1]
            relative = ".".join([*parent, *(node.module or "").split(".")]).strip(".")
            bases = (relative,) if node.level else places(node.module or "", entry)
            names += [f"{base}.{alias.name}".strip(".") for base in bases for alias in node.names]
    return tuple(dict.fromkeys(names))


def places(name: str, entry: str) -> tuple[str, ...]:
    """Where an absolute import may find a module below the folder, in order.

    A script imports from its own folder, and a module of a package from the folder that holds the package. Some files
    are used in both ways.
    """
    package = ".".join(PurePosixPath(entry).parts[:-1])
    is_standard = name.partition(".")[0] in sys.stdlib_module_names
    return (name,) if not package or is_standard else (name, f"{package}.{name}")


def _files_of(name: str, root: Path) -> Iterator[str]:
    """The files that an import of the module runs, packages above it included."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = "/".join(parts[:end])
        found = next((file for file in (f"{path}/__init__.py", f"{path}.py") if (root / file).is_file()), None)
        if found:
            yield found


def source_file(module: str) -> Path | None:
    """The file of a module, without importing it. None for what is installed or comes with Python.

    Args:
        module: A dotted name.

    Raises:
        InputError: There is no such module.
    """
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        here = f" (if your file {top}.py is meant, write {top}.py)" if Path(f"{top}.py").is_file() else ""
        raise InputError(f"no package '{top}' is installed; pip install {top}{here}")
    if installed_as(top):
        return None
    path = Path(spec.submodule_search_locations[0] if spec.submodule_search_locations else spec.origin or "")
    for part in rest:
        path = next((found for found in (path / part, path / f"{part}.py") if found.exists()), path / part)
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        near = [found.stem for found in path.parent.glob("*.py")]
        raise InputError(f"no module '{module}' in {path.parent}{did_you_mean(path.name, near)}")
    return file


def installed_as(top: str) -> str:
    """Name and version of what a top-level module was installed with; empty if it is the user's own code."""
    spec = importlib.util.find_spec(top)
    if spec is None:
        return ""
    origin = Path(next(filter(None, (spec.origin, *(spec.submodule_search_locations or ()))), ""))
    for name in sorted(set(_distributions().get(top, ()))):
        distribution = importlib.metadata.distribution(name)
        if origin.is_relative_to(Path(str(distribution.locate_file("")))):  # else it runs from its sources
            return f"{name} {distribution.version}"
    is_standard = spec.origin in ("built-in", "frozen") or top in sys.stdlib_module_names
    return f"python {platform.python_version()}" if is_standard else ""


_distributions = cache(importlib.metadata.packages_distributions)
