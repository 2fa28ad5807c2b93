"""`dnntrain runs export`: writes a recorded run's model for use without dnntrain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli.options import DataDir
from dnntrain.cli.run_options import RUNS
from dnntrain.data import DataLocation
from dnntrain.inference.exporters.registry import EXPORTERS, find_exporter

FORMATS = ", ".join(f"{name} ({exporter.summary})" for name, exporter in EXPORTERS.items())


def export(
    run: Annotated[str, typer.Argument(help="a run's id or folder, or a study for its best run by validation")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=FORMATS)],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="new folder to write; by default RUN-FORMAT")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", metavar="DIR", help="folder where runs are recorded")] = RUNS,
    data_dir: DataDir = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="run the recorded code (module:…) if the code here is another")
    ] = False,
) -> None:
    """Export a run's model to a folder: plain torch, safetensors or ONNX.

    The model takes raw inputs, fills and scales them itself, and gives the recorded test metrics without dnntrain.
    """
    from dnntrain.inference.exporters.folder import write_export
    from dnntrain.inference.exporters.plain_model import plain_model
    from dnntrain.store.run_store import RunStore
    from dnntrain.transfer_learning.resolve import resolve_run

    exporter = find_exporter(to)
    store, run_id = resolve_run(run, RunStore(runs))
    model = plain_model(run_id, store, DataLocation.at(data_dir), trust_code=trust_code)
    folder = out or Path(f"{run_id}-{to}")
    write_export(model, exporter, folder)
    typer.echo(str(folder))
