"""The command line: assembles the commands, and turns errors into one message and an exit code.

Results go to stdout, progress, warnings and errors to stderr.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dnntrain import __version__
from dnntrain.cli.help import ELSEWHERE, HelpfulCommand, HelpfulGroup, opening_sentence, show_everything
from dnntrain.errors import DnntrainError, InputError, nearest
from dnntrain.utils.plugins import load_all, loaded_plugins
from dnntrain.utils.user_dirs import provide_caches

COMMANDS = {
    "train": "train",
    "lr-find": "lr_find",
    "ablate": "ablate",
    "transfer": "transfer",
    "predict": "predict",
    "report": "report",
    "watch": "watch",
    "compare": "compare",
    "techniques": "techniques",
    "presets": "presets_app",
    "init": "init",
    "docs": "docs",
    "data": "data_app",
    "runs": "runs_app",
}
"""The name in `dnntrain.cli.COMMAND` of each command: a function, or an app with commands of its own."""


class CommandTable(Mapping[str, Any]):
    """The commands by name. Each is imported when it is looked up, because some take a second to import."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            attribute = COMMANDS[name]
            command = getattr(importlib.import_module(module_of(name)), attribute)
            loaded: Any
            if isinstance(command, typer.Typer):
                command.info.cls = HelpfulGroup
                for info in command.registered_commands:
                    info.cls = HelpfulCommand
                loaded = typer.main.get_group(command)
            else:
                alone = typer.Typer(add_completion=False)
                alone.command(name, cls=HelpfulCommand)(command)
                loaded = typer.main.get_command(alone)
            loaded.name = name
            self._loaded[name] = loaded
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(HelpfulGroup):
    """A group whose commands are those of `CommandTable`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": CommandTable()})
        self._everywhere = [option for option in self.params if vars(option).get("rich_help_panel") == ELSEWHERE]

    def listed(self, context: Any) -> list[tuple[str, str]]:
        return [(name, opening_sentence(text_in_source(name))) for name in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, which has the options of all commands too."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and self._everywhere[0] not in command.params:
            for each in (command, *getattr(command, "commands", {}).values()):
                each.params += self._everywhere
        return command


def module_of(command: str) -> str:
    """The module of a command."""
    return f"dnntrain.cli.{command.replace('-', '_')}"


def text_in_source(command: str) -> str:
    """A command's help, from its source: importing all commands takes as long as everything else together."""
    spec = importlib.util.find_spec(module_of(command))
    assert spec is not None and spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == COMMANDS[command]:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            given = {keyword.arg: keyword.value for keyword in node.value.keywords}
            if ast.unparse(node.targets[0]) == COMMANDS[command] and "help" in given:
                return inspect.cleandoc(ast.literal_eval(given["help"]))
    raise AssertionError(f"{command} has no text")


app = typer.Typer(
    cls=LazyGroup,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# some releases of typer bring their own copy of click, others use the installed one
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
ClickException: type[Exception] = typer.BadParameter.__mro__[2]

RENAMED_OPTIONS = {"--ladder": "--strategies", "--curve": "--train-sizes", "--compare": "--against"}
"""Options that had another name, without those of renamed settings."""

NEEDLESS_OPTIONS = {
    "--resume": "the same command continues where it stopped",
    "--verbose": "progress goes to stderr",
    "--quiet": "progress goes to stderr; add 2>/dev/null",
    "--keep-if": "`dnntrain compare STUDY --keep-if REQUIREMENT` prints keep, discard or undecided",
    "--require": "`dnntrain report STUDY --require REQUIREMENT` checks a requirement",
}
"""Options that a command needs not, or that another command has, and what to do instead."""


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version and the plug-ins, and exit")] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            metavar="FILE.py",
            expose_value=False,  # `run` takes it from the command line
            rich_help_panel=ELSEWHERE,
            help="load techniques, metrics and the like from a file; repeatable",
        ),
    ] = None,
    help_all: Annotated[
        bool,
        typer.Option(
            "--help-all",
            is_eager=True,
            expose_value=False,
            callback=show_everything,
            rich_help_panel=ELSEWHERE,
            help="describe every option, and exit",
        ),
    ] = False,
) -> None:
    """Find out which training techniques really help on your network and data, and by how much.

    Every arm of an ablation is trained over several seeds, and all runs of a kind are trained together.

    Examples:
        dnntrain ablate vanishing --plan
        dnntrain report runs/vanishing
        dnntrain train --act elu --bn -e 5 -n 3
    """
    if version:
        typer.echo(f"dnntrain {__version__}")
        for name in dict.fromkeys(map(str, loaded_plugins())):
            typer.echo(f"plug-in {name}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> int:
    """Run the command line and return its exit code. Expected errors become one message on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows '?', not a traceback
    try:
        provide_caches()
        files, words = split_plugins(sys.argv[1:])
        load_all(files)  # before any command is imported, whose options and help follow from the catalogue
        return app(words, prog_name="dnntrain", standalone_mode=False) or 0
    except DnntrainError as error:
        fail(str(error), error.exit_code)
    except UsageError as error:
        fail(usage_message(error), 2)
    except ClickException as error:
        fail(click_message(error), getattr(error, "exit_code", 1))
    except typer.Abort:
        raise KeyboardInterrupt from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            exit_on_broken_pipe()
        fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)


def split_plugins(words: list[str]) -> tuple[list[str], list[str]]:
    """The files of `--plugin`, which may stand anywhere on the command line, and the other words.

    Raises:
        InputError: An option has no file.
    """
    end = words.index("--") if "--" in words else len(words)
    files, others, options = [], [], iter(words[:end])
    for word in options:
        option, equals, file = word.partition("=")
        if option != "--plugin":
            others.append(word)
            continue
        file = file if equals else next(options, "")
        if not file:
            raise InputError("--plugin: needs a file, as in --plugin hardtanh.py")
        files.append(file)
    return files, others + words[end:]


def usage_message(error: Exception) -> str:
    """A usage error with the help command to see, or what became of an option that this command does not take."""
    from dnntrain.config.keys import flag
    from dnntrain.config.renamed import NEW_KEYS

    context = getattr(error, "ctx", None)
    option = str(getattr(error, "option_name", ""))
    new = (RENAMED_OPTIONS | {flag(old): flag(new) for old, new in NEW_KEYS.items()}).get(option)
    if context and new in {name for parameter in context.command.params for name in parameter.opts}:
        return f"{option}: renamed to {new}"
    if context and context.command.name == "lr-find":
        from dnntrain.config.range_test import NO_USE, unused_settings

        if option.lstrip("-").removeprefix("no-").replace("-", "_") in unused_settings():
            return f"{option}: {NO_USE}"
    message = click_message(error).rstrip(".")
    if context and (switch := switch_before(message, context.command.params)):
        return f"{switch} takes no value"
    where = f" (see {context.command_path} --help)" if context else ""
    if context and option:
        message = f"No such option: {option}{option_hint(option, context.command.params)}"
    return message + where


def switch_before(message: str, parameters: Sequence[Any]) -> str:
    """The switch that was given a value, where that is the first word too many: `--bn` of `--bn yes`; else empty."""
    extra = re.search(r"unexpected extra argument\S* \((\S+?)[ )]", message)
    switches = {name for each in parameters if getattr(each, "is_flag", False) for name in each.opts}
    words = pairwise(sys.argv)
    return next((first for first, second in words if extra and second == extra[1] and first in switches), "")


def option_hint(option: str, parameters: Sequence[Any]) -> str:
    """The options that an unknown one may mean, as a command has them."""
    if option in NEEDLESS_OPTIONS:
        return f"; {NEEDLESS_OPTIONS[option]}"
    names = [name for each in parameters for name in (*each.opts, *each.secondary_opts) if name.startswith("--")]
    known = {name.lstrip("-").replace("-", "_"): name for name in names}
    if "set" in known:  # a preset's settings are changed with --set
        from dnntrain.config.spec import flat_keys

        known = {key: f"--set {key}=" for key in flat_keys() if key != "seed"} | known
    found = [near.partition("=") for near in nearest(option, known)]
    meant = [
        f"{known[key]}{value or 'VALUE'}" if known[key].endswith("=") else f"{known[key]} {value}".strip()
        for key, _, value in found
    ]
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def click_message(error: Exception) -> str:
    """The message of a click error, with its suggestion, on one line."""
    text: str = error.format_message()  # type: ignore[attr-defined]
    return " ".join(text.split())


def exit_on_broken_pipe() -> NoReturn:
    """Exit when the reader of stdout, such as `head`, has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def fail(message: str, code: int) -> NoReturn:
    """Print the error and exit."""
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)
