"""The user's own code that recorded runs used: a folder of source files for each version, shared by all its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dnntrain.errors import InputError
from dnntrain.store.records import CodeRecord, RunRecord
from dnntrain.utils.files import atomic_file
from dnntrain.utils.user_code.reference import CodeReference
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
    codes: dict[str, UserCode] = {}
    for each in (each for each in record.code if each.digest):
        reference = CodeReference.parse(each.reference)
        try:
            local = reference.code()
        except InputError:
            local = None
        if local and local.digest == each.digest:
            codes[reference.module] = local
        elif trust_code:
            codes[reference.module] = read_kept_code(folder, each)
        else:
            now = "is different now" if local else "is not here"
            raise InputError(
                f"run {record.run} was trained with code from {reference.module}, which {now}; look at "
                f"{folder / each.digest} and run that with --trust-code (trust_code=True in Python)"
            )
    return tuple(codes.values())


def unused_code(folder: Path, records: Sequence[RunRecord]) -> list[Path]:
    """The folders of code that none of these runs used."""
    used = {each.digest for record in records for each in record.code}
    return sorted(path for path in folder.glob("*") if path.name not in used)
