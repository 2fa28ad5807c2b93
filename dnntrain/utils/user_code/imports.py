"""Imports user code from its sources in memory, so that what runs is what was read.

The files of one `UserCode` become the modules of a package of their own, whose name holds their digest. So modules of
the same name in two folders, or two versions of one file, never meet. `sys.path` stays as it is: the import statements
in these modules look at their own files first, also when a function runs them later.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.abc import MetaPathFinder, SourceLoader
from pathlib import Path
from types import ModuleType

from dnntrain.utils.torch_start import complete_torch
from dnntrain.utils.torchvision_compat import import_torchvision
from dnntrain.utils.user_code.sources import UserCode, places

PREFIX = "user_code_"
"""The start of the names of packages that hold user code."""


def is_own(module: str) -> bool:
    """Whether an imported module's name is that of user code."""
    return module.startswith(PREFIX)


def package_name(code: UserCode) -> str:
    """The name of the package of a code's modules. The folder counts, since they may read files next to their own."""
    return f"{PREFIX}{hashlib.sha256((code.folder + code.digest).encode()).hexdigest()[:16]}"


def import_code(code: UserCode) -> ModuleType:
    """Import the module; the same object each time. What it prints goes to stderr."""
    importer = next((found for found in sys.meta_path if isinstance(found, CodeImporter) and found.holds(code)), None)
    if importer is None:
        importer = CodeImporter(code)
        sys.meta_path.append(importer)
    return import_module(importer.entry)


def import_module(name: str) -> ModuleType:
    """Import a module that may need torchvision. What it prints goes to stderr."""
    complete_torch()
    with redirect_stdout(sys.stderr):
        try:
            return importlib.import_module(name)
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise
        import_torchvision()
        return importlib.import_module(name)


class CodeImporter(MetaPathFinder, SourceLoader):  # type: ignore[misc]  # typeshed's own bases disagree
    """Finds and loads the modules of one `UserCode`."""

    def __init__(self, code: UserCode) -> None:
        self.code = code
        self.package = package_name(code)
        name = code.entry.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.entry = f"{self.package}.{name}"

    def holds(self, code: UserCode) -> bool:
        """Whether these are the same files from the same folder."""
        return (self.code.folder, self.code.digest) == (code.folder, code.digest)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module of this code; None for all others."""
        if fullname != self.package and not fullname.startswith(f"{self.package}."):
            return None
        name = self._inner(fullname)
        file = self.code.find(name)
        if file is None:
            if not self._is_folder(name):
                return None
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        spec = importlib.util.spec_from_file_location(fullname, Path(self.code.folder, file), loader=self)
        if spec and spec.submodule_search_locations:
            spec.submodule_search_locations = []  # or Python would look into the folder before it asks this finder
        return spec

    def get_filename(self, fullname: str) -> str:
        return str(Path(self.code.folder, self.code.find(self._inner(fullname)) or ""))

    def get_data(self, path: str | bytes) -> bytes:
        return self.code.files[Path(str(path)).relative_to(self.code.folder).as_posix()]

    def exec_module(self, module: ModuleType) -> None:
        # all functions of the module get these builtins, so their import statements end in `_import` as well
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        super().exec_module(module)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """The `import` statement: an absolute import looks at this code first."""
        top = name.partition(".")[0]
        candidates = () if level else places(name, self.code.entry)
        # if the first part is own code, then so is the rest, or it does not exist
        found = next((p for p in candidates if self._is_own(p) or self._is_own(p.removesuffix(name) + top)), None)
        if found is None:
            return _builtin_import(name, globals, locals, fromlist, level)
        module = importlib.import_module(f"{self.package}.{found}")
        if fromlist:
            return _builtin_import(module.__name__, globals, locals, fromlist, 0)
        return sys.modules[module.__name__.removesuffix(name) + top]  # `import a.b` binds a

    def _is_own(self, name: str) -> bool:
        return self.code.find(name) is not None or self._is_folder(name)

    def _is_folder(self, name: str) -> bool:
        """Whether the name is the package of all this code, or a folder in it."""
        return not name or any(file.startswith(f"{name.replace('.', '/')}/") for file in self.code.files)

    def _inner(self, fullname: str) -> str:
        return fullname.removeprefix(self.package).removeprefix(".")


_builtin_import: Callable[..., ModuleType] = builtins.__import__
