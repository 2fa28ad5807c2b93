"""What a user wants to know of each shipped preset before training it, and copies of presets to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.store.progress import read_progress
from dnntrain.studies.feasibility import predicted_duration
from dnntrain.studies.preset_design import DESIGN_OF, FACTORS
from dnntrain.studies.preset_settings import CODE
from dnntrain.studies.presets import preset_text, read_document, shipped_presets
from dnntrain.studies.study import check_name
from dnntrain.studies.yaml_document import Document
from dnntrain.utils.files import write_atomic, write_errors


class ListedPreset(NamedTuple):
    """A preset in the list."""

    name: str
    question: str
    data: list[str]
    """The data sets that it needs, or the code that comes with it and makes them."""
    missing: list[str]
    """Those of them that are not on this machine."""
    seconds: float | None
    """Roughly how long it trains here. None if that is known only once its code or another network is loaded."""
    done: str
    """How far the study of this name is: yes, no, now (in training), or how many runs are recorded."""


def listed_presets(out: Path, workers: int, home: DataLocation) -> list[ListedPreset]:
    """The shipped presets. The code that some of them bring is not run.

    Args:
        out: The folder in which studies are looked for.
        workers: How many populations train at the same time.
        home: Where data sets are kept.
    """
    return [listed_preset(path, out, workers, home) for path in shipped_presets().values()]


def listed_preset(path: Path, out: Path, workers: int, home: DataLocation) -> ListedPreset:
    """One preset. See `listed_presets`."""
    document = Document.read(path.read_text(encoding="utf-8"), str(path))
    question, done = document.text("question", ""), study_state(out / document.text("name", path.stem))
    if code := [value.split(":")[1] for value in leaves(document.content) if value.startswith(CODE)]:
        return ListedPreset(path.stem, question, [*dict.fromkeys(code)], [], None, done)
    study = read_document(document, home=home)
    sources = {arm.spec.data: arm.spec.source for arm in study.arms}
    missing = [name for name, source in sources.items() if not source.find(home)]
    reuses = any(arm.spec.reuse_from for arm in study.arms)
    seconds = None if reuses else predicted_duration(study, workers, home)
    return ListedPreset(path.stem, question, [*sources], missing, seconds, done)


def leaves(content: object) -> Iterator[str]:
    """All texts in nested mappings and lists."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in content.values() if isinstance(content, Mapping) else content:
            yield from leaves(each)


def study_state(folder: Path) -> str:
    """See `ListedPreset.done`."""
    if progress := read_progress(folder):
        if progress.is_training:
            return "now"
        if len(progress.recorded) < progress.planned:
            return f"{len(progress.recorded)}/{progress.planned}"
    return "yes" if (folder / "study.json").is_file() else "no"


def shown_preset(name: str) -> tuple[Path, str]:
    """The file and the text of a preset that is shown or copied, which may be the user's own.

    Raises:
        InputError: There is no such preset, or the file is no preset.
    """
    path, text = preset_text(name)
    keys = (FACTORS, *DESIGN_OF)
    if not Document.read(text, str(path)).content.keys() & set(keys):
        raise InputError(f"{path}: not a preset; it has none of the keys {', '.join(keys)} (see dnntrain docs presets)")
    return path, text


def copy_preset(name: str, target: Path) -> list[Path]:
    """Copy a preset and the code that it uses, so that the copy can be changed.

    The copy's study is named after the file, so that it is not taken for the preset's own.

    Args:
        name: A shipped preset, or the path of one.
        target: The file to write, or a folder.

    Returns:
        The files that were written, the preset first. A file of code that is there already, unchanged, is none.

    Raises:
        InputError: There is no such preset, a file exists already, or its name is none for a study.
    """
    path, text = shown_preset(name)
    target = target / path.name if target.is_dir() else target
    if target.suffix not in (".yaml", ".yml"):
        raise InputError(f"{target}: a preset's file ends in .yaml")
    if target.stem != path.stem:
        text = re.sub(r"^name:.*$", f"name: {check_name(target.stem, 'name')}", text, count=1, flags=re.M)
    code = [file for file in sorted(path.parent.glob("*.py")) if re.search(rf"\b{re.escape(file.name)}\b", text)]
    copies = {target: text} | {target.parent / file.name: file.read_text(encoding="utf-8") for file in code}
    new = {file: content for file, content in copies.items() if not is_same(file, content)}
    if taken := next((file for file in new if file.exists()), target if target not in new else None):
        raise InputError(f"{taken}: exists already; name another file: dnntrain presets copy {name} FILE.yaml")
    with write_errors(target):
        for file, content in new.items():
            write_atomic(file, [content])
    return list(new)


def is_same(file: Path, content: str) -> bool:
    """Whether the file has this content."""
    return file.is_file() and file.read_bytes() == content.encode()
