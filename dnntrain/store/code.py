"""The user's own code that recorded runs used: a folder of source files for each version, shared by all its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dnntrain.errors import InputError
from dnntrain.store.records import CodeRecord, RunRecord
from dnntrain.utils.files import atomic_file
from dnntrain.utils.plugins import load_code, loaded_plugins
from dnntrain.utils.user_code.reference import CodeReference, is_file
from dnntrain.utils.user_code.sources import UserCode

PICKLE = "value.pickle"
"""Next to the source of a callable that is sent by value."""


def write_code(folder: Path, codes: Iterable[UserCode]) -> None:
    """Keep code, unless it is there already."""
    for code in codes:
        for path, content in kept_files(code).items():
            file = folder / code.digest / path
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(file) as scratch:
                    scratch.write_bytes(content)


def kept_files(code: UserCode) -> dict[str, bytes]:
    """All files that are kept of some code, by relative path."""
    return dict(code.files) | ({PICKLE: code.pickled} if code.pickled else {})


def read_kept_code(folder: Path, record: CodeRecord) -> UserCode:
    """Read the code of a run back.

    Raises:
        InputError: It is not there, or was changed since it was written.
    """
    home = (folder / record.digest).resolve()
    files = {path.relative_to(home).as_posix(): path.read_bytes() for path in sorted(home.rglob("*.py"))}
    pickled = (home / PICKLE).read_bytes() if (home / PICKLE).is_file() else b""
    module = CodeReference.parse(record.reference).module
    code = UserCode(module, str(home), record.entry, dict(sorted(files.items())), pickled)
    if code.digest != record.digest:
        raise InputError(f"{home}: {'changed since it was written' if files else 'the code of this run is missing'}")
    return code


def runnable_code(folder: Path, record: RunRecord, *, trust_code: bool) -> tuple[UserCode, ...]:
    """The code of a recorded run, if it may be run: what lies here is the same, or the recorded code is trusted.

    Args:
        folder: Where code is kept.
        record: The run.
        trust_code: Whether to run the recorded code where the local one differs or is missing.

    Raises:
        InputError: The code may not be run, or cannot be read.
    """
    plugins = recorded_plugins(folder, record, trust_code=trust_code)
    own = {CodeReference.parse(each.reference).module: each for each in record.code if each.digest and not each.plugin}
    return (*plugins, *(_runnable(folder, record, each, trust_code) for each in own.values()))


def recorded_plugins(folder: Path, record: RunRecord, *, trust_code: bool = False) -> tuple[UserCode, ...]:
    """Load the plug-ins that declare what a run uses, unless they are loaded, so that its settings can be read.

    Args: as in `runnable_code`.

    Returns:
        The code of those that are files.

    Raises:
        InputError: A plug-in is not installed here, or its code may not be run, or it cannot be loaded.
    """
    plugins = {CodeReference.parse(each.reference).module: each for each in record.code if each.plugin}
    codes, roots = [], {plugin.root for plugin in loaded_plugins()}
    for module, each in plugins.items():
        if not is_file(module) and module.partition(".")[0] not in roots:
            what = each.package or module
            raise InputError(f"run {record.run} was trained with the plug-in {what}, which is not here; install it")
        if each.digest:
            codes.append(_runnable(folder, record, each, trust_code))
        if is_file(module):
            load_code(codes[-1])
    return tuple(codes)


def _runnable(folder: Path, record: RunRecord, code: CodeRecord, trust_code: bool) -> UserCode:
    """The local code if it is the recorded one, else the recorded one if that is trusted."""
    reference = CodeReference.parse(code.reference)
    if loaded := next((plugin.code for plugin in loaded_plugins() if plugin.version == code.digest), None):
        return loaded
    try:
        local = reference.code()
    except InputError:
        local = None
    if local and local.digest == code.digest:
        return local
    if trust_code:
        return read_kept_code(folder, code)
    what = f"the plug-in {reference.module}" if code.plugin else f"code from {reference.module}"
    now = "is different now" if local else "is not here"
    load = f"load it with --plugin {Path(reference.module).name}, or " if code.plugin and not local else ""
    raise InputError(
        f"run {record.run} was trained with {what}, which {now}; {load}look at {folder / code.digest} and run that "
        "with --trust-code"
    )


def unused_code(folder: Path, records: Sequence[RunRecord]) -> list[Path]:
    """The folders of code that none of these runs used."""
    used = {each.digest for record in records for each in record.code}
    return sorted(path for path in folder.glob("*") if path.name not in used)
