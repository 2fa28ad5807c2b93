"""`dnntrain presets`: lists, shows and copies the presets that come with dnntrain."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from dnntrain.cli import completion
from dnntrain.cli.options import AsJson, DataDir, Out
from dnntrain.data import DataLocation
from dnntrain.executors.devices import default_workers
from dnntrain.executors.speed import priced_on
from dnntrain.store.studies import RUNS
from dnntrain.studies.listing import copy_preset, listed_presets, shown_preset
from dnntrain.utils.console import console, show
from dnntrain.utils.text_layout import TextTable
from dnntrain.utils.times import duration
from dnntrain.utils.words import count_noun

presets_app = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=False,
    help="""List, show and copy the presets that come with dnntrain.

    Examples:
        dnntrain presets
        dnntrain presets copy vanishing mine.yaml
    """,
)

PresetName = Annotated[
    str, typer.Argument(autocompletion=completion.presets, help="a preset's name, or its file", metavar="NAME")
]


@presets_app.callback()
def list_presets(context: typer.Context) -> None:
    """List the presets, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        list_all()


@presets_app.command("list")
def list_all(out: Out = RUNS, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the presets: the question, the data, the time to train it here, and whether it is done.

    Examples:
        dnntrain presets list
        dnntrain presets list --json
    """
    workers = default_workers("auto")
    presets = listed_presets(out, workers, DataLocation.at(data_dir))
    if as_json:
        typer.echo(json.dumps([preset._asdict() for preset in presets], indent=1))
        return
    rows = [
        [
            each.name,
            each.question,
            ", ".join(f"{name}{'*' * (name in each.missing)}" for name in each.data),
            "–" if each.seconds is None else duration(each.seconds),
            each.done,
        ]
        for each in presets
    ]
    headings = ["preset", "question", "data", "time", "done"]
    show(TextTable("", headings, rows, frozenset({"time"}), frozenset({"question"})))
    notes = [
        f"time: roughly, with {count_noun(workers, 'worker')} {priced_on()}; –: see `dnntrain ablate NAME --plan`",
        f"done: whether {out} has the study",
        "dnntrain ablate NAME trains a preset, presets show NAME prints it, presets copy NAME copies it",
    ]
    if any(each.missing for each in presets):
        notes.insert(0, "*: not on this machine; see `dnntrain data fetch`")
    show(Text("\n".join(notes)))


@presets_app.command("show")
def show_preset(name: PresetName) -> None:
    """Print a preset's YAML.

    Examples:
        dnntrain presets show vanishing
        dnntrain presets show optimizers
    """
    (_, text), terminal = shown_preset(name), console()
    if not terminal.is_terminal:
        typer.echo(text, nl=False)
        return
    from rich.syntax import Syntax

    terminal.print(Syntax(text, "yaml", background_color="default", word_wrap=True))


@presets_app.command("copy")
def copy(
    name: PresetName,
    file: Annotated[Path | None, typer.Argument(help="the file to write; by default NAME.yaml", metavar="FILE")] = None,
) -> None:
    """Copy a preset, and the code that it uses, to change it. Nothing is overwritten.

    Examples:
        dnntrain presets copy vanishing
        dnntrain presets copy vanishing mine.yaml
    """
    preset, *code = copy_preset(name, file or Path())
    typer.echo(f"{preset}: copied" + "".join(f", with {each}" for each in code))
    typer.echo(f"next: {shlex.join(['dnntrain', 'ablate', str(preset), '--plan'])}")
