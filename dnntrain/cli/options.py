"""Options that several commands share, and the decorator that adds groups of options to a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from dnntrain.errors import InputError
from dnntrain.executors.registry import EXECUTORS, option_fields
from dnntrain.studies.execution import DEVICES, RunOptions
from dnntrain.utils.fields import field_extra

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="folder where runs and studies are recorded")]
DataDir = Annotated[str | None, typer.Option(metavar="DIR", help="folder with data sets; downloads go there")]
Mirror = Annotated[str | None, typer.Option(metavar="URL|DIR", help="where to download from instead")]
Plan = Annotated[bool, typer.Option("--plan", help="print the arms and the number of runs, then exit")]
Seeds = Annotated[str | None, typer.Option(help="how many seeds (5), or which ones (3,7 or 10-14)")]
Name = Annotated[str | None, typer.Option(help="the study's name; derived from the settings by default")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]

RUNS = RunOptions().out

RUN_OPTIONS: dict[str, Any] = {
    "out": Out,
    "workers": Annotated[int | None, typer.Option(min=1, max=1024, help="worker processes; by default one per core")],
    "device": Annotated[str, typer.Option(help=f"device to train on: {', '.join(DEVICES)}")],
    "executor": Annotated[
        str,
        typer.Option(
            help=f"where runs are trained: {' or '.join(f'{name} ({e.summary})' for name, e in EXECUTORS.items())}"
        ),
    ],
    "data_dir": DataDir,
    "mirror": Mirror,
    "join": Annotated[bool, typer.Option("--join", help="share the work with a process that is training this study")],
    "checkpoint_every": Annotated[
        int | None, typer.Option(metavar="EPOCHS", min=1, help="epochs between checkpoints; by default one a minute")
    ],
    "predictions": Annotated[
        bool,
        typer.Option(
            "--predictions/--no-predictions",
            help="whether to record what each run predicts for validation and test examples",
        ),
    ],
}
"""The fields of `RunOptions` as command-line options."""

Command = Callable[..., None]


def run_options() -> list[inspect.Parameter]:
    """An option for each field of `RunOptions`, and for each option of an executor."""
    own = [keyword(f.name, RUN_OPTIONS[f.name], f.default) for f in fields(RunOptions) if f.name in RUN_OPTIONS]
    return own + [
        keyword(
            name, Annotated[str | None, typer.Option(help=field.description, metavar=field_extra(field, "metavar"))]
        )
        for name, field in option_fields().items()
    ]


def read_run_options(values: dict[str, Any]) -> RunOptions:
    """The values of `run_options` as one object."""
    executor_options = {name: values[name] for name in option_fields() if name in values}
    return RunOptions(
        **{name: value for name, value in values.items() if name in RUN_OPTIONS}, executor_options=executor_options
    )


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A keyword-only parameter, which Typer turns into an option."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def add_options(**groups: Iterable[inspect.Parameter]) -> Callable[[Command], Command]:
    """Add groups of options to a command.

    Args:
        groups: The options of each group. The command receives a group as one dictionary, under the group's name;
            options that were not given and default to None are left out.
    """

    def decorate(command: Command) -> Command:
        members = {group: [*options] for group, options in groups.items()}
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name not in members]

        def wrapper(**given: Any) -> None:
            grouped = {}
            for group, options in members.items():
                values = {option.name: given.pop(option.name) for option in options}
                grouped[group] = {name: value for name, value in values.items() if value is not None}
            command(**given, **grouped)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters += [option for options in members.values() for option in options]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        return wrapper

    return decorate


def refuse_given(context: typer.Context, names: Collection[str], why: str) -> None:
    """Raise InputError if one of these parameters was given on the command line, where it would be ignored."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise InputError(f"{[*parameter.opts, *parameter.secondary_opts][0]}: {why}")
