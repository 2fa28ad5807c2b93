"""README tells the truth: the presets, commands, flags and exit codes that it names are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dnntrain.studies.presets import load_preset, shipped_presets
from tests.support.command import succeeds

README = (Path(__file__).parent.parent / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip() for line in re.findall(r"^dnntrain .*$", README.replace("\\\n", " "), re.MULTILINE)
]
GROUPS = ("data", "runs")
"""Commands that have commands of their own."""


def command_of(line: str) -> tuple[str, ...]:
    """The words that name the command."""
    words = line.split()[1:3]
    return tuple(words if words[0] in GROUPS else words[:1])


@pytest.mark.parametrize("preset", shipped_presets())
def test_every_preset_stands_in_the_readme_with_its_question(preset: str) -> None:
    assert f"| `{preset}` | {load_preset(preset).question} |" in README


@pytest.mark.parametrize("command", sorted({command_of(line) for line in COMMANDS}), ids=" ".join)
def test_every_flag_of_the_readme_exists(command: tuple[str, ...]) -> None:
    known = succeeds(*command, "--help", COLUMNS="200")
    for line in COMMANDS:
        if command_of(line) == command:
            flags = [word for word in shlex.split(line.split("|")[0]) if word.startswith("--")]
            assert all(flag in known for flag in flags), line


def test_the_readme_shows_every_command() -> None:
    assert {line.split()[1] for line in COMMANDS} >= {
        "train",
        "ablate",
        "transfer",
        "report",
        "techniques",
        "data",
        "runs",
    }
