"""`dnntrain runs export`: writes a recorded run's model for use without dnntrain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import DataDir, Runs, TrustCode
from dnntrain.data import DataLocation
from dnntrain.inference.exporters.registry import EXPORTERS, find_exporter
from dnntrain.store.studies import RUNS

FORMATS = ", ".join(f"{name} ({exporter.summary})" for name, exporter in EXPORTERS.items())


def export(
    run: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.runs, help="a run's id or folder, or a study for its best run by validation"
        ),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", autocompletion=completion.one_of(EXPORTERS), help=FORMATS)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="new folder to write; by default RUN-FORMAT")
    ] = None,
    runs: Runs = RUNS,
    data_dir: DataDir = None,
    trust_code: TrustCode = False,
) -> None:
    """Export a run's model to a folder: plain torch, safetensors or ONNX.

    The model takes raw inputs, fills and scales them itself, and gives the recorded test metrics without dnntrain.

    Examples:
        dnntrain runs export vanishing --to torch
        dnntrain runs export vanishing --to onnx -o model
    """
    from dnntrain.inference.choice import choose_runs
    from dnntrain.inference.exporters.folder import write_export
    from dnntrain.inference.exporters.plain_model import plain_model
    from dnntrain.store.run_store import RunStore

    exporter = find_exporter(to)
    store, [run_id], words = choose_runs(run, RunStore(runs))
    model = plain_model(run_id, store, DataLocation.at(data_dir), trust_code=trust_code)
    folder = out or Path(f"{run_id}-{to}")
    write_export(model, exporter, folder)
    typer.echo(f"exported {words}", err=True)
    typer.echo(str(folder))
