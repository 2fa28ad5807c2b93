"""`--help` of every command fits two screens of 80 columns, and `--help-all` describes every option."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from dnntrain.cli import completion
from dnntrain.cli.help import HelpfulGroup, page
from dnntrain.cli.main import app
from dnntrain.studies.presets import shipped_presets
from tests.support.command import dnntrain, environment, succeeds
from tests.support.inline import answer
from tests.support.trial import furnish

LINES, COLUMNS = 60, 80


def contexts(command: Any, parent: Any = None) -> list[Any]:
    """The context of a command and of every command in it, as when its help is shown."""
    own = command.context_class(command, info_name=command.name if parent else "dnntrain", parent=parent)
    inner = [command.get_command(own, name) for name in getattr(command, "commands", {})]
    return [own, *(each for member in inner for each in contexts(member, own))]


ALL = contexts(typer.main.get_command(app))
PARAMETERS = [parameter for each in ALL for parameter in each.command.get_params(each)]
FLAGS = {flag for each in PARAMETERS for flag in (*each.opts, *each.secondary_opts)}


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def plain(context: Any, **how: bool) -> str:
    """A page without styles."""
    return re.sub(r"\x1b\[\d*m", "", page(context, **how))


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_help_fits_two_screens_and_help_all_names_every_option(context: Any) -> None:
    short, full = plain(context), plain(context, everything=True)
    assert len(short.splitlines()) <= LINES
    assert max(map(len, [*short.splitlines(), *full.splitlines()])) <= COLUMNS
    names = [flag for each in context.command.get_params(context) for flag in (*each.opts, *each.secondary_opts)]
    words = set(re.split(r"[\s/,;]+", full))
    assert {name for name in names if name.startswith("-")} <= words
    assert {*re.findall(r"(?<!\S)--[a-z][\w-]*", short)} <= FLAGS, "a flag is broken"


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_every_option_says_in_one_style_what_it_takes(context: Any) -> None:
    for option in context.command.get_params(context):
        if option.param_type_name == "option" and not option.is_flag:
            assert option.metavar and "<" not in option.metavar, option.opts


@pytest.mark.parametrize("context", ALL, ids=lambda context: context.command_path)
def test_examples_are_command_lines_that_parse(context: Any) -> None:
    examples = [line.strip() for line in plain(context).partition("Examples:\n")[2].splitlines()]
    assert len(examples) in (2, 3)
    for example in examples:
        program, *words = shlex.split(example)
        command, parent = ALL[0].command, ALL[0]
        while words and hasattr(command, "commands"):
            command = command.get_command(parent, words.pop(0))
        made = command.make_context(command.name, words, parent=parent)
        assert program == "dnntrain"
        preset = made.params.get("preset")
        assert preset is None or preset.partition("/")[2].removesuffix(".yaml") or preset in shipped_presets()


def test_help_names_the_options_of_groups_and_shows_first_sentences() -> None:
    short, full = succeeds("report", "--help"), succeeds("report", "--help-all")
    assert (
        "repeatable\n" in short and "at most about 2.5" not in short and "at most about 2.5" in " ".join(full.split())
    )
    train = succeeds("train", "--help")
    assert "--epochs, -e N " in train and "(default 10)" in train
    assert "Sharpness-aware minimization: --sam" in train and "--random-erasing-min-area" not in train
    assert "smallest share of the image's area (default 0.02)" in " ".join(succeeds("train", "--help-all").split())


def test_a_command_with_commands_lists_them() -> None:
    assert re.search(r"^  verify +Verify the checksums", succeeds("runs", "--help"), re.MULTILINE)


def test_the_list_of_commands_imports_none_of_them(tmp_path: Path) -> None:
    script = """import sys
from dnntrain.__main__ import main
sys.argv = ["dnntrain", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print(sorted({"numpy", "scipy", "pandas", "torch", "dnntrain.techniques"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.endswith("[]\n")
    root = ALL[0]
    listed = root.command.listed(root)
    imported = HelpfulGroup.listed(root.command, root)
    assert listed == imported and len(listed) > 10


def test_letters_stand_for_the_most_used_options() -> None:
    letters = {
        (context.command.name, letter)
        for context in ALL
        for each in context.command.params
        for letter in each.opts
        if len(letter) == 2
    }
    assert {("train", f"-{letter}") for letter in "bdejno"} <= letters
    assert {("ablate", "-n"), ("ablate", "-o"), ("report", "-m"), ("transfer", "-e"), ("predict", "-o")} <= letters


# Completion


@pytest.mark.parametrize("group", ["runs", "data"])
def test_a_group_alone_prints_its_help(group: str, tmp_path: Path) -> None:
    alone = answer([group], tmp_path)
    assert alone.code == 0 and alone.out.startswith(f"Usage: dnntrain {group}") and not alone.err
    assert alone.out.strip() == answer([group, "--help"], tmp_path).out.strip()


def test_values_complete_by_name() -> None:
    assert "relu" in completion.known_values("act") and "bf16" in completion.known_values("precision")
    assert "random" in completion.known_values("flip") and "fashion-mini" in completion.known_values("data")
    assert completion.known_values("lr") == []
    assert "act=elu" in completion.assignments("act=") and "lr=" in completion.assignments("")


@pytest.mark.parametrize(
    ("words", "expected", "others"),
    [
        (["tra"], {"train", "transfer"}, {"report"}),
        (["train", "--act", "el"], {"elu"}, {"relu"}),
        (["train", "--early-stop-m"], {"--early-stop-metric", "--early-stop-min-delta"}, {"--lr"}),
        (["ablate", "van"], {"vanishing"}, {"exploding"}),
        (["report", "sm"], {"small"}, {"vanishing"}),
        (["runs", "show", "--out", "runs", ""], {"small", "RUN"}, set()),
        (["techniques", "drop"], {"dropout", "drop_path"}, {"bn"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_shell_is_told_what_completes(
    words: list[str], expected: set[str], others: set[str], recorded: tuple[Path, str]
) -> None:
    folder, run = recorded
    found = {*complete(folder, COMP_WORDS=" ".join(["dnntrain", *words]), COMP_CWORD=str(len(words))).split()}
    assert {run if name == "RUN" else name for name in expected} <= found and not others & found


def test_completion_does_without_torch_and_has_a_script_for_every_shell(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom dnntrain.__main__ import main\nsys.argv = ['dnntrain']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nassert not {'torch', 'pandas', 'scipy'} & set(sys.modules)\n"
    )
    asked = {"_DNNTRAIN_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "dnntrain train --optimizer ada"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(**asked), capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert '"adamw"' in done.stdout and "rmsprop" not in done.stdout
    for shell in ("bash", "zsh", "fish"):
        assert "_DNNTRAIN_COMPLETE" in complete(tmp_path, _DNNTRAIN_COMPLETE=f"source_{shell}")


def complete(folder: Path, **env: str) -> str:
    """What the program answers to a shell."""
    asked = {"_DNNTRAIN_COMPLETE": "complete_bash"} | env
    return dnntrain(cwd=folder, **asked).stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a study, and the id of one of its runs."""
    folder = tmp_path_factory.mktemp("recorded")
    return folder, furnish(folder).names[0]
