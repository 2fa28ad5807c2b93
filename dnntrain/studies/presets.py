"""Presets: studies written as YAML, shipped with dnntrain or a file of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.studies.preset_reader import Preset
from dnntrain.studies.study import Study
from dnntrain.studies.yaml_document import Document

LARGEST_FILE = 1 << 20


def shipped_presets() -> dict[str, Path]:
    """The presets that come with dnntrain, by name: inside the package where installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    folder = package / "presets" if (package / "presets").is_dir() else package.parent / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_preset(name: str) -> Path:
    """The preset of that path, or the shipped one of that name; InputError with the nearest name otherwise."""
    path, shipped = Path(name), shipped_presets()
    if path.is_file():
        return path
    if path.parent == Path(".") and path.stem in shipped and path.suffix in ("", ".yaml", ".yml"):
        return shipped[path.stem]
    raise InputError(f"no preset '{name}'{did_you_mean(path.stem, shipped)}")


def load_preset(name: str, overrides: Mapping[str, Any] | None = None, home: DataLocation | None = None) -> Study:
    """The study that a preset describes, its base changed by `overrides`; raises InputError with file and line."""
    path = find_preset(name)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE} bytes: no preset")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return read_preset(text, str(path), overrides, home)


def read_preset(
    text: str, where: str, overrides: Mapping[str, Any] | None = None, home: DataLocation | None = None
) -> Study:
    """The study that a preset's text describes; `where` names it in errors."""
    document = Document.read(text, where)
    with document.at():
        return Preset(document, dict(overrides or {}), home).study()
