"""The examples of the page about plug-ins run as written, outside of the source tree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import dnntrain
from dnntrain.nn.layer import autograd_vjp
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.activations import Activation
from dnntrain.utils.plugins import load_plugin, loaded_plugins, unload
from tests.docs.blocks import blocks, words_of, write_files
from tests.support.command import environment
from tests.support.users import COMMANDS


@pytest.mark.extras  # takes long
def test_the_commands_run(tmp_path: Path) -> None:
    write_files("plugins", tmp_path)
    commands = [words_of(c)[1:] for block in blocks("plugins") if block.language == "console" for c in block.commands]
    commands = [[*words, "--workers", "1"] if words[0] == "train" else words for words in commands]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(commands)], cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(dnntrain.__file__).parents[1])), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.count("exit code 0\n") == len(commands) > 1, done.stdout + done.stderr
    for shown in ("hard_tanh", "min(max(z, -1), 1)", "hardtanh.py", "worst_recall", "bottleneck:width=8"):
        assert shown in done.stdout


def test_the_faster_gradient_is_that_of_autograd(tmp_path: Path) -> None:
    recipe, faster = [block.text for block in blocks("plugins") if block.language == "python"][:2]
    (tmp_path / "hardtanh.py").write_text(recipe + "\n" + faster)
    before = loaded_plugins()
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
