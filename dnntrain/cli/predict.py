"""`dnntrain predict`: what a recorded run, or a study's ensemble, predicts for new data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import DataDir, Runs, TrustCode
from dnntrain.cli.outputs import save
from dnntrain.errors import InputError

if TYPE_CHECKING:
    from dnntrain.inference.prediction import Predicted


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|STUDY", autocompletion=completion.runs, help="a run, or a study, whose best run predicts"
        ),
    ],
    data: Annotated[Path, typer.Argument(help="new data: a table, an .npz file, an image, or a folder of images")],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE", help="file to write the predictions to, as CSV; - for stdout")
    ] = "-",
    proba: Annotated[bool, typer.Option("--proba", help="add a column with the probability of each class")] = False,
    ensemble: Annotated[
        bool,
        typer.Option("--ensemble", help="average over all seeds of the arm, and add their spread"),
    ] = False,
    arm: Annotated[
        str | None, typer.Option(metavar="ARM", help="an arm of the study; by default the best by validation")
    ] = None,
    runs: Runs = Path("runs"),
    data_dir: DataDir = None,
    trust_code: TrustCode = False,
) -> None:
    """Predict new data with a recorded run, and read them as the run read its own.

    A row for each example goes to stdout or to a file. If the data have the target, the metrics go to stderr.

    Examples:
        dnntrain predict vanishing photos/ --proba -o predictions.csv
        dnntrain predict vanishing new.npz --arm elu --ensemble
    """
    from dnntrain.data import DataLocation
    from dnntrain.inference.choice import choose_runs
    from dnntrain.inference.prediction import predict_examples
    from dnntrain.inference.recorded import RecordedModel
    from dnntrain.store.run_store import RunStore
    from dnntrain.utils.words import count_noun

    if out != "-" and Path(out).resolve() == data.resolve():
        raise InputError(f"--out {out}: would replace the data that are read; name another file")
    store, ids, words = choose_runs(run, RunStore(runs), arm, ensemble)
    home = DataLocation.at(data_dir)
    models = [RecordedModel.load(store, each, home, trust_code) for each in ids]
    predicted = predict_examples(models, data, proba, progress=True)
    typer.echo(f"predicted by {words}", err=True)
    for line in (*predicted.notes, *metric_line(predicted, models[0].info.task)):
        typer.echo(line, err=True)
    save(predicted.frame.to_csv(index=False, float_format="%.9g"), out, count_noun(len(predicted.frame), "row"))


def metric_line(predicted: Predicted, task: str) -> list[str]:
    """The metrics on one line; none where the data have no target."""
    from dnntrain.metrics import METRICS
    from dnntrain.reporting.formatting import number

    if not predicted.metrics:
        return []
    shown = [
        f"{METRICS[name].label} {number(value, f'test_{name}')} {METRICS[name].unit_of(task)}".rstrip()
        for name, value in predicted.metrics.items()
    ]
    return [f"{', '.join(shown)} ({predicted.n_labeled:,} examples with a target)"]
