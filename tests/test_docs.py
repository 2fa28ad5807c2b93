"""README tells the truth: the presets, commands, flags and exit codes that it names are there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import dnntrain
from dnntrain.nn.layer import autograd_vjp
from dnntrain.studies.presets import load_preset, shipped_presets
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.activations import Activation
from dnntrain.utils.plugins import load_plugin, loaded_plugins, unload
from tests.support.command import environment, succeeds
from tests.support.users import COMMANDS as RUN_COMMANDS

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
    known = succeeds(*command, "--help-all")
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


PLUGINS = (Path(dnntrain.__file__).parent / "docs" / "plugins.md").read_text()


def code_blocks(text: str, language: str = "") -> list[str]:
    """The code of a page in one language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for named, code in blocks if named == language]


def run_commands(text: str, folder: Path, *more: str) -> str:
    """What the commands of a page print when they run in a folder, one after the other."""
    lines = [line for block in code_blocks(text) for line in block.splitlines() if line.startswith("dnntrain")]
    commands = [[*shlex.split(line, comments=True)[1:], *(more if " train " in line else ())] for line in lines]
    done = subprocess.run(
        [sys.executable, "-c", RUN_COMMANDS, json.dumps(commands)], cwd=folder,
        env=environment(PYTHONPATH=str(Path(dnntrain.__file__).parents[1])), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.count("exit code 0\n") == len(commands) > 1, done.stdout + done.stderr
    return done.stdout


def test_the_recipe_of_the_readme_works_outside_of_the_source_tree(tmp_path: Path) -> None:
    section = README.split("## Adding a technique")[1].split("\n## ")[0]
    recipe, faster = code_blocks(section, "python")
    (tmp_path / "hardtanh.py").write_text(recipe)
    shown = run_commands(section, tmp_path, "--epochs", "1", "--hidden", "8", "--train-size", "500")
    assert "hard_tanh" in shown and "min(max(z, -1), 1)" in shown and "hardtanh.py" in shown
    before = loaded_plugins()
    (tmp_path / "hardtanh.py").write_text(recipe + "\n" + faster)
    load_plugin(tmp_path / "hardtanh.py")
    try:
        activation = CATALOGUE["hard_tanh"]()
        assert isinstance(activation, Activation)
        assert activation.to_torch((10,), {}).code == "nn.Hardtanh()"
        z = torch.linspace(-3, 3, 50).reshape(1, 5, 10)
        value, vjp = activation.value_and_vjp(z.clone())
        expected, by_autograd = autograd_vjp(activation, z)
        np.testing.assert_allclose(value, expected)
        np.testing.assert_allclose(vjp(torch.ones_like(z))[0], by_autograd(torch.ones_like(z))[0])
    finally:
        for plugin in set(loaded_plugins()) - set(before):
            unload(plugin)


def test_the_examples_of_the_page_about_plugins_run_as_written(tmp_path: Path) -> None:
    for block in code_blocks(PLUGINS, "python"):
        (tmp_path / block.split("\n")[0].removeprefix("# ")).write_text(block)
    shown = run_commands(PLUGINS, tmp_path, "--hidden", "8", "--train-size", "500", "--workers", "1")
    assert "worst_recall" in shown and "bottleneck:width=8" in shown
