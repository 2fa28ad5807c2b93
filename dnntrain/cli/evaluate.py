"""`dnntrain runs evaluate`: predictions of recorded runs, alone and averaged by Monte Carlo dropout and ensembles."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import AsJson, DataDir, Out, TrustCode
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.store.code import runnable_code
from dnntrain.store.records import RunRecord
from dnntrain.store.run_names import named_arms, named_runs
from dnntrain.store.run_store import RunStore
from dnntrain.store.studies import RUNS, open_store
from dnntrain.utils.console import show
from dnntrain.utils.user_code.reference import pinned

EVALUATED, HAD_ALL, WITHOUT_DROPOUT, UNFINISHED = "evaluated", "had predictions", "without dropout", "diverged"
"""What became of a run."""


def evaluate(
    names: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=completion.runs, help="studies or runs; by default all"),
    ] = None,
    mc: Annotated[
        int | None,
        typer.Option("--mc", metavar="T", min=1, max=10_000,
                     help="average over T passes with dropout on, and compare weight scaling, Monte Carlo dropout and "
                          "an ensemble of each arm's seeds"),
    ] = None,
    as_json: AsJson = False,
    out: Out = RUNS,
    data_dir: DataDir = None,
    trust_code: TrustCode = False,
) -> None:  # fmt: skip
    """Predict held-out examples with recorded weights, for runs without predictions. Nothing is trained.

    A run whose predictions do not give its recorded metrics is named, and keeps none.

    Examples:
        dnntrain runs evaluate
        dnntrain runs evaluate overfitting --mc 100
    """
    if mc is None and as_json:
        raise InputError("--json: is for the table of --mc")
    if mc is not None and not names:
        raise InputError("--mc: needs the names of studies or runs")
    store = open_store(out)
    runs = named_runs(names, store)
    counts, problems = evaluate_runs(runs, store, DataLocation.at(data_dir), mc, trust_code)
    others = [f"{counts[what]} {what}" for what in (HAD_ALL, WITHOUT_DROPOUT, UNFINISHED) if counts[what]]
    typer.echo("; ".join([f"{counts[EVALUATED]} of {len(runs)} runs evaluated", *others]), err=as_json)
    if problems:
        raise InputError("\n".join(problems))
    if mc is None:
        return
    if counts[WITHOUT_DROPOUT] + counts[UNFINISHED] == len(runs):
        reason = "has dropout, so all passes of each would predict the same" if counts[WITHOUT_DROPOUT] else "finished"
        raise InputError(f"--mc: none of these runs {reason}")
    print_scores(names or [], store, mc, as_json)


def evaluate_runs(
    runs: list[str], store: RunStore, home: DataLocation, samples: int | None, trust_code: bool
) -> tuple[Counter[str], list[str]]:
    """Make the predictions that runs lack; returns how many runs came to each end, and the errors."""
    from dnntrain.executors.environment import prepare_this_process

    prepare_this_process()  # as a worker's, so that the predictions have the bits that training would have written
    from dnntrain.executors.worker import cached_dataset

    counts, problems, loaded = Counter[str](), list[str](), set[str]()
    for run in runs:
        try:
            record = store.read(run)
            has_all = all(has_predictions(store, run, each) for each in {None, samples})
            if record.status != "finished" or has_all:
                counts[UNFINISHED if record.status != "finished" else HAD_ALL] += 1
                continue
            code = runnable_code(store.code, record, trust_code=trust_code)
            if (version := {each.digest for each in code}) != loaded:
                loaded = version
                cached_dataset.cache_clear()  # the same reference may mean other code in the next run
            with pinned(code):
                counts[evaluate_run(record, store, home, samples)] += 1
        except InputError as error:
            problems.append(f"run {run}: {error}")
    return counts, problems


def evaluate_run(record: RunRecord, store: RunStore, home: DataLocation, samples: int | None) -> str:
    """Make the predictions that a run lacks; returns what became of it."""
    from dnntrain.executors.worker import cached_dataset
    from dnntrain.transfer_learning.evaluation import evaluate_record, sample_record

    dataset = cached_dataset(RunSpec.from_record(record.settings).source, home)
    if not has_predictions(store, record.run):
        store.write_predictions(record.run, evaluate_record(record, dataset, store, home))
    if samples is not None and not has_predictions(store, record.run, samples):
        averaged = sample_record(record, dataset, store, home, samples)
        if averaged is None:
            return WITHOUT_DROPOUT
        store.write_predictions(record.run, averaged, samples)
    return EVALUATED


def has_predictions(store: RunStore, run: str, samples: int | None = None) -> bool:
    """Whether a run has predictions that can be read, with all that metrics may ask for."""
    try:
        predictions = store.predictions(run, samples)
        return predictions is not None and predictions.is_complete
    except InputError:
        return False


def print_scores(names: list[str], store: RunStore, samples: int, as_json: bool) -> None:
    """Print how good the averaged predictions of studies and runs are."""
    from dnntrain.analysis.averaged_predictions import score_arm
    from dnntrain.reporting.averaged_predictions import scores_notes, scores_table, scores_to_json

    studies = {
        study: [score for arm, runs in arms.items() for score in score_arm(arm, runs, store, samples)]
        for study, arms in named_arms(names, store).items()
    }
    if as_json:
        typer.echo(scores_to_json(studies, samples), nl=False)
        return
    for study, scores in studies.items():
        show(scores_table(f"{study}, {samples} passes with dropout on", scores))
    for note in scores_notes([score for scores in studies.values() for score in scores]):
        show(note)
