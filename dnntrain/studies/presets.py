"""Presets: studies written as YAML. Some come with dnntrain; users write their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean, nearest
from dnntrain.studies.preset_reader import Preset
from dnntrain.studies.study import Study
from dnntrain.studies.yaml_document import Document

LARGEST_FILE = 1 << 20


def shipped_presets() -> dict[str, Path]:
    """The presets that come with dnntrain, by name. They lie in the package, or next to it in a checkout."""
    package = Path(__file__).parents[1]
    folder = package / "presets" if (package / "presets").is_dir() else package.parent / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_preset(name: str) -> Path:
    """Find a preset by its path, or a shipped one by its name.

    Raises:
        InputError: If there is none; the message suggests the nearest name.
    """
    path, shipped = Path(name), shipped_presets()
    if path.is_file():
        return path
    if path.parent == Path(".") and path.stem in shipped and path.suffix in ("", ".yaml", ".yml"):
        return shipped[path.stem]
    if path.suffix in (".yaml", ".yml") or path.parent != Path("."):
        near = nearest(path.stem, shipped)
        meant = f"; did you mean the preset '{near[0]}', which comes with dnntrain?" if near else ""
        raise InputError(f"{name}: {'is a folder' if path.is_dir() else 'no such file'}{meant}")
    raise InputError(f"no preset '{name}'{did_you_mean(path.stem, shipped, 'dnntrain presets')}")


def preset_text(name: str) -> tuple[Path, str]:
    """A preset's file and its text.

    Raises:
        InputError: If there is no such preset, or its file cannot be read.
    """
    path = find_preset(name)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE} bytes: no preset")
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def load_preset(
    name: str,
    overrides: Mapping[str, Any] | None = None,
    home: DataLocation | None = None,
    *,
    given_as: str = "--set",
) -> Study:
    """Read a preset.

    Args:
        name: The preset's file, or the name of one that comes with dnntrain.
        overrides: Settings that replace those of the preset's base.
        home: Where data sets are found.
        given_as: What error messages call the overrides.

    Raises:
        InputError: If there is no such preset or something in it is wrong; the message names file, line and key.
    """
    path, text = preset_text(name)
    return read_preset(text, str(path), overrides, home, given_as=given_as)


def read_preset(
    text: str,
    where: str,
    overrides: Mapping[str, Any] | None = None,
    home: DataLocation | None = None,
    *,
    given_as: str = "--set",
) -> Study:
    """Read a preset's text; `where` names it in errors. See `load_preset`."""
    return read_document(Document.read(text, where), overrides, home, given_as=given_as)


def read_document(
    document: Document,
    overrides: Mapping[str, Any] | None = None,
    home: DataLocation | None = None,
    *,
    given_as: str = "--set",
) -> Study:
    """Read a preset that is parsed already. See `load_preset`."""
    with document.at():
        return Preset(document, dict(overrides or {}), home, given_as).study()


def read_values(
    content: Mapping[str, Any], where: str, aliases: Mapping[str, str], home: DataLocation | None = None
) -> Study:
    """Read a preset's keys from Python values instead of YAML.

    Args:
        content: The preset's keys with Python values.
        where: What the values were given to, for error messages.
        aliases: Keys that the caller knows by another name.
        home: Where data sets are found.

    Raises:
        InputError: If something is wrong; the message names the key.
    """
    document = Document(where, content, content, aliases=aliases)
    with document.at():
        return Preset(document, {}, home).study()
