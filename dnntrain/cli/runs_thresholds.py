"""`dnntrain runs thresholds`: proposes thresholds for gradient clipping."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import AsJson, Out
from dnntrain.config.keys import flag
from dnntrain.errors import InputError
from dnntrain.store.run_names import named_folder
from dnntrain.store.studies import RUNS, is_study, open_store, open_study
from dnntrain.utils.console import show
from dnntrain.utils.fields import format_value
from dnntrain.utils.text_layout import TextTable

if TYPE_CHECKING:
    from dnntrain.analysis.thresholds import ProposedThresholds


def thresholds(
    name: Annotated[str, typer.Argument(autocompletion=completion.runs, help="a run, or a study for each of its arms")],
    out: Out = RUNS,
    as_json: AsJson = False,
) -> None:
    """Propose thresholds for gradient clipping from the gradients of healthy runs.

    A threshold is at a quantile of what each kind of clipping compares with it, at the steps at which the runs measured
    their gradients. Runs that are not healthy do not count, since clipping is to leave healthy gradients alone.

    Examples:
        dnntrain runs thresholds exploding
        dnntrain runs thresholds exploding --json
    """
    from dnntrain.analysis.thresholds import propose_thresholds

    store = open_store(out)
    folder = named_folder(name, store)
    runs: dict[str, list[str]] = {}
    if is_study(folder):
        study = open_study(folder).runs
        for arm, run in zip(study["arm"], study["run"], strict=True):
            runs.setdefault(str(arm), []).append(str(run))
    else:
        runs[f"run {folder.name}"] = [folder.name]
    found = {arm: propose_thresholds(map(store.read, ids)) for arm, ids in runs.items()}
    proposed = {arm: each for arm, each in found.items() if each}
    if not proposed:
        raise InputError(f"{name}: no healthy run that recorded its gradients (older versions did not)")
    if as_json:
        typer.echo(json.dumps({arm: asdict(each) for arm, each in proposed.items()}, indent=1))
        return
    for arm, each in proposed.items():
        show(thresholds_table(arm, each))
    if others := [arm for arm in found if arm not in proposed]:
        show(f"Without a healthy run that recorded its gradients: {', '.join(others)}.")
    for line in preset_lines(next(iter(proposed.values()))):
        typer.echo(line)


def preset_lines(proposed: ProposedThresholds) -> list[str]:
    """How a preset tries the thresholds of the first kind of clipping; nothing unless there are several to try."""
    kind, values = next(iter(proposed.by_kind.items()))
    numbers = list(dict.fromkeys(format_value(each.value) for each in values))  # neighboring quantiles may round to one
    return [f"To try them in a preset: by {kind}: {{{kind}: {{tune: [{', '.join(numbers)}]}}}}"] if numbers[1:] else []


def thresholds_table(arm: str, proposed: ProposedThresholds) -> TextTable:
    """A row for each quantile, with the flag of each kind of clipping and the share of steps that it would clip."""
    columns = [
        [f"{format_value(each.value)} clips {100 * each.clips:.2g} %" for each in values]
        for values in proposed.by_kind.values()
    ]
    quantiles = [f"{100 * each.quantile:g} %" for each in next(iter(proposed.by_kind.values()))]
    headings = ["steps below", *map(flag, proposed.by_kind)]
    runs = f"{proposed.runs} healthy run{'' if proposed.runs == 1 else 's'}"
    title = f"{arm}: {runs}, {proposed.steps:,} measured steps"
    return TextTable(title, headings, [list(row) for row in zip(quantiles, *columns, strict=True)])
