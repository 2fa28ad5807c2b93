"""The command line: assembles the commands, and turns errors into one message and an exit code.

Results go to stdout, progress, warnings and errors to stderr.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated, NoReturn

import typer

from dnntrain import __version__
from dnntrain.cli.ablate import ablate
from dnntrain.cli.data import data_app
from dnntrain.cli.report import report
from dnntrain.cli.runs import runs_app
from dnntrain.cli.techniques import techniques
from dnntrain.cli.train import train
from dnntrain.cli.transfer import transfer
from dnntrain.config.keys import flag
from dnntrain.config.renamed import NEW_KEYS
from dnntrain.errors import DnntrainError
from dnntrain.utils.user_dirs import provide_caches

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, ablate, transfer, report, techniques):
    app.command()(command)
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")

# some releases of typer bring their own copy of click, others use the installed one
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
ClickException: type[Exception] = typer.BadParameter.__mro__[2]

RENAMED_OPTIONS = {"--ladder": "--strategies", "--curve": "--train-sizes", "--compare": "--against"} | {
    flag(old): flag(new) for old, new in NEW_KEYS.items()
}
"""Options that had another name."""


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
) -> None:
    """Find out which training techniques really help on your network and data, and by how much.

    Every arm of an ablation is trained over several seeds, and all runs of a kind are trained together.
    """
    if version:
        typer.echo(f"dnntrain {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> int:
    """Run the command line and return its exit code. Expected errors become one message on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows '?', not a traceback
    try:
        provide_caches()
        return app(standalone_mode=False) or 0
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


def usage_message(error: Exception) -> str:
    """A usage error with the help command to see, or with the new name of an option that was renamed."""
    context = getattr(error, "ctx", None)
    option = str(getattr(error, "option_name", ""))
    new = RENAMED_OPTIONS.get(option)
    if context and new in {name for parameter in context.command.params for name in parameter.opts}:
        return f"{option}: renamed to {new}"
    where = f" (see {context.command_path} --help)" if context else ""
    return click_message(error).rstrip(".") + where


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
