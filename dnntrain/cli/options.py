"""Options that several commands share, and the decorator that adds groups of options to a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.errors import InputError

if TYPE_CHECKING:
    from dnntrain.studies.build import StudyRequest

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="folder where runs and studies are recorded")]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="folder where runs and studies are recorded")]
TrustCode = Annotated[
    bool,
    typer.Option("--trust-code", help="run the recorded code if your module or plug-in has changed or is missing"),
]
DataDir = Annotated[str | None, typer.Option(metavar="DIR", help="folder with data sets; downloads go there")]
Mirror = Annotated[str | None, typer.Option(metavar="URL|DIR", help="where to download from instead")]
Plan = Annotated[
    bool, typer.Option("--plan", help="print the arms, what is recorded, and the time that the rest takes, then exit")
]
Seeds = Annotated[str | None, typer.Option(help="how many seeds (5), or which ones (3,7 or 10-14)")]
UntilResolved = Annotated[
    bool,
    typer.Option("--until-resolved", help="add seeds until every arm is better, worse or equivalent, at most 20"),
]
MaxSeeds = Annotated[int | None, typer.Option(metavar="N", help="the most seeds of --until-resolved")]
Delta = Annotated[
    str | None, typer.Option(help="smallest difference that matters: 0.3pp, 2% of the baseline's mean, or a number")
]
Name = Annotated[str | None, typer.Option(help="the study's name; derived from the settings by default")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TRACKER[:WHERE]", help="log the study while it trains: tensorboard, wandb or mlflow; repeatable"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]

Command = Callable[..., None]


def read_study_request(
    seeds: str | None, until_resolved: bool, max_seeds: int | None, delta: str | None
) -> StudyRequest:
    """The options for seeds and δ as one object; InputError where they contradict each other."""
    from dnntrain.studies.build import StudyRequest
    from dnntrain.studies.study import UNTIL_RESOLVED

    if until_resolved and seeds is not None:
        raise InputError(
            f"--seeds {seeds}: not with --until-resolved, which takes the seeds 0, 1, 2, … as it needs them"
        )
    return StudyRequest(UNTIL_RESOLVED if until_resolved else seeds, max_seeds, delta=delta)


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
