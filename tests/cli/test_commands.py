"""Commands are imported when they are called: the list of commands is right, and none loads what another needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dnntrain.cli.main import COMMANDS, app
from tests.support.command import dnntrain, environment, succeeds

LIGHT = ("report", "compare")
TRAINING = ("dnntrain.executors.base", "dnntrain.config.spec", "dnntrain.data", "torch", "matplotlib", "jinja2")


def test_the_help_lists_every_command_with_its_own_first_line() -> None:
    printed = " ".join(succeeds("--help", COLUMNS="200").split())
    group = typer.main.get_command(app)
    assert list(group.commands) == [*COMMANDS]  # type: ignore[attr-defined]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.name == name and command.help
        assert f"{name} {' '.join(command.help.split())[:40]}" in printed
        assert f"dnntrain {name} " in " ".join(succeeds(name, "--help", COLUMNS="200").split())


def test_every_file_of_a_command_is_listed() -> None:
    from dnntrain import cli

    helpers = {
        "main",
        "help",
        "completion",
        "options",
        "outputs",
        "plan",
        "run_options",
        "spec_options",
        "power",
        "__init__",
    }
    of_groups = {"evaluate", "export", "runs_list", "runs_thresholds", "runs_time", "track"}
    files = {path.stem for path in Path(cli.__path__[0]).glob("*.py")}
    assert files - helpers - of_groups == {name.replace("-", "_") for name in COMMANDS}


def test_unknown_commands_are_refused_with_the_nearest() -> None:
    refused = dnntrain("comapre")
    assert refused.returncode == 2 and "No such command 'comapre'. Did you mean 'compare'" in refused.stderr


@pytest.mark.parametrize("command", LIGHT)
def test_what_only_reads_imports_nothing_that_trains(command: str) -> None:
    script = (
        f"import sys; from dnntrain.__main__ import main; sys.argv = ['dnntrain', {command!r}, '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"assert not set({TRAINING!r}) & set(sys.modules), set({TRAINING!r}) & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
