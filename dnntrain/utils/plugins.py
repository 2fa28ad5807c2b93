"""Plug-ins: techniques, metrics, executors and the like that others declare, in installed packages and in files.

A package names its modules by entry points. Each registry has a group of entry points, and calls `load_plugins` at the
end of its import, so that what plug-ins declare comes after dnntrain's own. A file is named by `--plugin`, by the
variable DNNTRAIN_PLUGINS, by a preset, or in `load_plugin`. Its code is read once, and runs as it was read, in workers
too: unpickling a `Plugin` loads it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from dnntrain.errors import InputError
from dnntrain.utils.torch_start import complete_torch
from dnntrain.utils.user_code.imports import import_code, package_name
from dnntrain.utils.user_code.reference import LOADED, CodeReference
from dnntrain.utils.user_code.sources import UserCode, read_code
from dnntrain.utils.user_code.tracebacks import user_frames

REGISTRIES = {
    "dnntrain.metrics": "dnntrain.metrics",
    "dnntrain.techniques": "dnntrain.techniques",
    "dnntrain.executors": "dnntrain.executors.registry",
    "dnntrain.exporters": "dnntrain.inference.exporters.registry",
    "dnntrain.trackers": "dnntrain.trackers.registry",
}
"""The module that imports the plug-ins of each group of entry points, from the lowest layer."""

VARIABLE = "DNNTRAIN_PLUGINS"
"""The environment variable with files, separated as in PATH."""

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=Any)


class PluginError(InputError):
    """A plug-in that cannot be loaded."""


@dataclass(frozen=True)
class Plugin:
    """A module that declares techniques, metrics, or the like."""

    module: str
    """The file as it was named, 'plugins/hardtanh.py', or the module that an entry point names, 'softstep.metrics'."""
    root: str
    """The top-level package of its modules in this process."""
    code: UserCode | None = None
    """The sources of a file, and those of a package that runs from its source folder; None for an installed one."""
    package: str = ""
    """Name and version of the package, 'softstep 1.0'; empty for a file."""

    def __str__(self) -> str:
        return self.package or self.module

    @property
    def file(self) -> Path | None:
        """Its file; None for a package's."""
        return Path(self.code.folder, self.code.entry) if self.code and not self.package else None

    @property
    def version(self) -> str:
        """What changes when its code does."""
        return self.code.digest if self.code else self.package

    def __reduce__(self) -> tuple[Callable[..., Plugin], tuple[Any, ...]]:
        return (restored, (self.module, self.code, self.version)) if self.package else (load_code, (self.code,))


_loaded: dict[str, Plugin] = {}
"""The plug-ins of this process, by module, in the order in which they were loaded."""
_registries: dict[str, MutableMapping[str, Any]] = {}
"""What plug-ins add to, by group."""
_caches: list[Any] = []


def cached(function: F) -> F:
    """`functools.cache` for what follows from the registries. Loading a plug-in clears it."""
    _caches.append(cache(function))
    return cast("F", _caches[-1])


def loaded_plugins() -> tuple[Plugin, ...]:
    """The plug-ins of this process."""
    return tuple(_loaded.values())


def plugin_of(declared: type) -> Plugin | None:
    """The plug-in that declares a class; None for dnntrain's own, and for one of a script or notebook."""
    root = declared.__module__.partition(".")[0]
    return next((plugin for plugin in _loaded.values() if plugin.root == root), None)


def plugin_references(declared: type) -> tuple[CodeReference, ...]:
    """The reference to a class that a plug-in declares, whose `identity` is part of a run's; empty for any other."""
    plugin = plugin_of(declared)
    if plugin is None:
        return ()
    return (CodeReference(declared.__module__ if plugin.package else plugin.module, declared.__qualname__),)


def declared_by(declared: type) -> str:
    """Who declares a class, for messages: 'dnntrain', 'plug-in hardtanh.py', or its module."""
    plugin = plugin_of(declared)
    top = declared.__module__.partition(".")[0]
    return f"plug-in {plugin}" if plugin else top if top == __name__.partition(".")[0] else declared.__module__


def registrar(kind: str, registry: MutableMapping[str, Any]) -> Callable[[C], C]:
    """A class decorator that makes a class known under its `name`.

    Args:
        kind: What the classes are, for messages: 'executor'.
        registry: What it adds to. A name that exists already is a TypeError.
    """

    def register(declared: C) -> C:
        if declared.name in registry:
            other = declared_by(registry[declared.name])
            raise TypeError(f"two {kind}s are named {declared.name!r}; the other one is in {other}")
        registry[declared.name] = declared
        return declared

    return register


@cache
def entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    """The entry points of all groups, sorted by package and name, so that the order of a catalogue is always the same.

    They are looked up once.
    """
    found = importlib.metadata.entry_points()
    chosen = [entry for group in REGISTRIES for entry in found.select(group=group)]
    return tuple(sorted(chosen, key=lambda entry: (entry.dist.name if entry.dist else "", entry.name)))


def load_plugins(group: str, registry: MutableMapping[str, Any]) -> None:
    """Import the modules that packages name in a group of entry points. Each registry calls this when it is complete.

    A module that is named in several groups is imported with the highest of them, since it may need all below.

    Args:
        group: One of `REGISTRIES`.
        registry: What the modules add to, by name.

    Raises:
        InputError: A module cannot be imported; names the package, the file and the line.
    """
    _registries[group] = registry
    groups = [*REGISTRIES]
    later = {entry.module for entry in entry_points() if groups.index(entry.group) > groups.index(group)}
    for entry in entry_points():
        if entry.group == group and entry.module not in later:
            _load_entry(entry)


def load_all(files: Iterable[str] = ()) -> None:
    """Load all plug-ins at the start of a program: those of packages, of DNNTRAIN_PLUGINS, and some files.

    Registries come from the lowest, and files last, so that a plug-in may import any part of dnntrain.

    Raises:
        InputError: See `load_plugin`.
    """
    groups = {entry.group for entry in entry_points()}
    for group in REGISTRIES:
        if group in groups:
            importlib.import_module(REGISTRIES[group])
    for file in [*filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)), *files]:
        load_plugin(file)


def load_plugin(path: str | Path) -> None:
    """Load a plug-in from a file. One that has changed since it was loaded replaces what it declared before.

    Args:
        path: A Python file that declares techniques, networks, losses, metrics or executors. Files that it imports
            from its folder count as part of it.

    Raises:
        InputError: If there is no such file, it cannot be imported, or it declares nothing or a name that already
            exists. The message names the file and the line.
    """
    try:
        code = read_code(str(path), Path(path))
    except InputError as error:
        raise PluginError(f"plug-in {error}") from None
    load_code(code)


def load_code(code: UserCode) -> Plugin:
    """Load a plug-in from its sources; see `load_plugin`."""
    plugin = Plugin(code.module, package_name(code), code)
    for other in [other for other in loaded_plugins() if other.file]:
        if other.version == plugin.version:
            return other
        if other.module == plugin.module or other.file == plugin.file:
            unload(other)
    _load(plugin, code.folder, lambda: import_code(code))
    if not any(_is_of(plugin, each) for registry in _registries.values() for each in registry.values()):
        unload(plugin)
        raise PluginError(f"plug-in {plugin}: declares no technique, network, loss, metric, or the like")
    LOADED[code.module] = code
    return plugin


def restored(module: str, code: UserCode | None, version: str) -> Plugin:
    """A package's plug-in in another process, where it has to be of the same version.

    Raises:
        InputError: It is not installed here, or another version of it is.
    """
    entry = next((entry for entry in entry_points() if entry.module == module), None)
    name = module if code else version
    if entry is None:
        raise PluginError(f"plug-in {name}: is not installed on this machine (Python {sys.executable})")
    plugin = _load_entry(entry)
    if plugin.version != version:
        here = "its files have changed since the study began; run it again" if code else f"here it is {plugin}"
        raise PluginError(f"plug-in {name}: {here}")
    return plugin


def _load_entry(entry: importlib.metadata.EntryPoint) -> Plugin:
    """The plug-in that an entry point names, loaded if it is not yet."""
    if entry.module in _loaded:
        return _loaded[entry.module]
    top = entry.module.partition(".")[0]
    spec, library = importlib.util.find_spec(top), entry.dist and Path(str(entry.dist.locate_file("")))
    folder = Path(spec.origin).parent if spec and spec.origin else None
    code = None
    if folder and library and not folder.is_relative_to(library):  # an editable installation
        file = importlib.util.find_spec(entry.module)
        code = read_code(entry.module, Path(file.origin)) if file and file.origin else None
    name = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
    plugin = Plugin(entry.module, top, code, name)
    _load(plugin, str(folder) if folder else None, entry.load)
    return plugin


def _load(plugin: Plugin, folder: str | None, run: Callable[[], object]) -> None:
    """Run a plug-in's module. What a failing one has declared is removed again."""
    _loaded[plugin.module] = plugin
    complete_torch()
    try:
        with redirect_stdout(sys.stderr):
            run()
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        unload(plugin)
        if isinstance(error, PluginError):
            raise
        frames = user_frames(error, folder)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        raise PluginError(f"plug-in {plugin}: cannot be loaded: {_one_line(error)}{where}") from None
    finally:
        for each in _caches:
            each.cache_clear()


def _one_line(error: BaseException) -> str:
    kind = "" if isinstance(error, InputError | TypeError) else f"{type(error).__name__}: "
    return " ".join(f"{kind}{error}".split())


def unload(plugin: Plugin) -> None:
    """Forget a plug-in and all that it declared."""
    for each in _caches:
        each.cache_clear()
    for registry in _registries.values():
        for name in [name for name, each in registry.items() if _is_of(plugin, each)]:
            del registry[name]
    del _loaded[plugin.module]
    LOADED.pop(plugin.module, None)


def _is_of(plugin: Plugin, declared: object) -> bool:
    """Whether a plug-in declares a class, or the class of an object."""
    found = declared if isinstance(declared, type) else type(declared)
    return found.__module__.partition(".")[0] == plugin.root
