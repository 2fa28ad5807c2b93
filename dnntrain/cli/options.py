"""Options that several commands share, and the decorator that adds groups of options to a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from dnntrain.cli import completion
from dnntrain.cli.help import WHERE
from dnntrain.errors import InputError

if TYPE_CHECKING:
    from dnntrain.studies.build import StudyRequest

Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="folder of recorded runs and studies")]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="folder of recorded runs and studies")]
StudyPaths = Annotated[
    list[Path],
    typer.Argument(autocompletion=completion.studies, help="studies by name or folder, or folders of studies"),
]
TrustCode = Annotated[
    bool,
    typer.Option("--trust-code", help="run the recorded code if your module or plug-in has changed or is missing"),
]
DataDir = Annotated[str | None, typer.Option(metavar="DIR", help="folder with data sets; downloads go there")]
Mirror = Annotated[str | None, typer.Option(metavar="URL|DIR", help="where to download from instead")]
Plan = Annotated[
    bool, typer.Option("--plan", help="print the arms, what is recorded, and the time that the rest takes, then exit")
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", "-n", metavar="N", help="how many seeds, or which: 3,7 or 10-14"),
]
UntilResolved = Annotated[
    bool,
    typer.Option(
        "--until-resolved",
        help="add seeds until every arm is resolved, at most 20. Resolved is better, worse or equivalent",
    ),
]
MaxSeeds = Annotated[
    int | None,
    typer.Option(metavar="N", rich_help_panel="Seeds", help="the most seeds of --until-resolved"),
]
Delta = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="smallest difference that matters: 0.3pp, 2% or 0.1. Percent are of the baseline's mean"
    ),
]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="the study's name. By default it follows from the settings")
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TRACKER[:WHERE]",
        rich_help_panel=WHERE,
        help="log the study while it trains: tensorboard, wandb or mlflow; repeatable",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]

Command = Callable[..., None]


def read_study_request(
    seeds: str | None, until_resolved: bool, max_seeds: int | None, delta: str | None
) -> StudyRequest:
    """The options for seeds and δ as one object; InputError where they contradict each other."""
    from dnntrain.studies.build import StudyRequest
    from dnntrain.studies.seeds import UNTIL_RESOLVED

    if until_resolved and seeds is not None:
        raise InputError(
            f"--seeds {seeds}: not with --until-resolved, which takes the seeds 0, 1, 2, … as it needs them"
        )
    return StudyRequest(UNTIL_RESOLVED if until_resolved else seeds, max_seeds, delta=delta)


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A keyword-only parameter, which Typer turns into an option."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def under(heading: str, option: inspect.Parameter) -> inspect.Parameter:
    """The option in the group with this heading, which `--help` only names."""
    kind, declared = get_args(option.annotation)
    info = copy(declared)
    info.rich_help_panel = heading
    return option.replace(annotation=Annotated[kind, info])


def add_options(**groups: Iterable[inspect.Parameter]) -> Callable[[Command], Command]:
    """Add groups of options to a command, in the place where its signature has the group.

    Args:
        groups: The options of each group. The command receives a group as one dictionary, under the group's name;
            options that were not given and default to None are left out.
    """

    def decorate(command: Command) -> Command:
        members = {group: [*options] for group, options in groups.items()}
        declared = inspect.signature(command, eval_str=True).parameters.values()

        def wrapper(**given: Any) -> None:
            grouped = {}
            for group, options in members.items():
                values = {option.name: given.pop(option.name) for option in options}
                grouped[group] = {name: value for name, value in values.items() if value is not None}
            command(**given, **grouped)

        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in declared
            for each in members.get(parameter.name, [parameter])
        ]
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
