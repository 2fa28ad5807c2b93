"""The fields of `RunOptions` as options of the commands that train."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.help import WHERE
from dnntrain.cli.options import DataDir, Mirror, Out, keyword, under
from dnntrain.executors.registry import EXECUTORS, option_fields
from dnntrain.studies.execution import DEVICES, RunOptions
from dnntrain.utils.fields import field_extra

RUN_OPTIONS: dict[str, Any] = {
    "out": Out,
    "workers": Annotated[
        int | None,
        typer.Option("--workers", "-j", metavar="N", min=1, max=1024, help="worker processes; by default one per core"),
    ],
    "device": Annotated[
        str,
        typer.Option(
            metavar="NAME", autocompletion=completion.one_of(DEVICES), help=f"device to train on: {', '.join(DEVICES)}"
        ),
    ],
    "compile": Annotated[
        bool, typer.Option("--compile", help="fuse the operations of a step with torch.compile, for long studies")
    ],
    "executor": Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.one_of(EXECUTORS),
            help=f"where runs are trained: {' or '.join(f'{name} ({e.summary})' for name, e in EXECUTORS.items())}",
        ),
    ],
    "data_dir": DataDir,
    "mirror": Mirror,
    "join": Annotated[bool, typer.Option("--join", help="share the work with a process that is training this study")],
    "checkpoint_every": Annotated[
        int | None, typer.Option(metavar="N", min=1, help="epochs between checkpoints; by default one a minute")
    ],
    "predictions": Annotated[
        bool,
        typer.Option(
            "--predictions/--no-predictions",
            help="whether to record what each run predicts for validation and test examples",
        ),
    ],
    "drop_seeds": Annotated[
        bool, typer.Option("--yes", help="let a finished study have fewer seeds than before, without asking")
    ],
    "reload_data": Annotated[
        bool,
        typer.Option("--reload-data", help="call the function that --data names again"),
    ],
}
"""The fields of `RunOptions` as command-line options."""


def run_options() -> list[inspect.Parameter]:
    """An option for each field of `RunOptions`, and for each option of an executor. `--help` names all but `--out`."""
    own = [keyword(f.name, RUN_OPTIONS[f.name], f.default) for f in fields(RunOptions) if f.name in RUN_OPTIONS]
    own += [
        keyword(
            name, Annotated[str | None, typer.Option(help=field.description, metavar=field_extra(field, "metavar"))]
        )
        for name, field in option_fields().items()
    ]
    return [option if option.name == "out" else under(WHERE, option) for option in own]


def read_run_options(values: dict[str, Any]) -> RunOptions:
    """The values of `run_options` as one object."""
    executor_options = {name: values[name] for name in option_fields() if name in values}
    return RunOptions(
        **{name: value for name, value in values.items() if name in RUN_OPTIONS}, executor_options=executor_options
    )
