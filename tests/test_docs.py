"""README tells the truth: the presets, commands, flags and exit codes that it names are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dnntrain.presets import load_preset, shipped_presets
from tests.command import succeeds

README = (Path(__file__).parent.parent / "README.md").read_text()
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^dnntrain .*$", README, re.MULTILINE)]


@pytest.mark.parametrize("preset", shipped_presets())
def test_every_preset_stands_in_the_readme_with_its_question(preset: str) -> None:
    assert f"| `{preset}` | {load_preset(preset).question} |" in README


@pytest.mark.parametrize("command", ["train", "ablate", "report", "techniques"])
def test_every_flag_of_the_readme_exists(command: str) -> None:
    known = succeeds(command, "--help", COLUMNS="200")
    for line in COMMANDS:
        if line.split()[1] == command:
            flags = [word for word in shlex.split(line.split("|")[0]) if word.startswith("--")]
            assert all(flag in known for flag in flags), line


def test_the_readme_shows_every_command() -> None:
    assert {line.split()[1] for line in COMMANDS} >= {"train", "ablate", "report", "techniques"}
