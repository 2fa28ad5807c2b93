"""What a shell completes: names of techniques, data sets, presets, studies, runs and metrics.

Where nothing matches, the shell completes files. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

Complete = Callable[[str], list[str]]
"""The values of an option or argument. Typer leaves out those that begin in another way than what is typed."""


def one_of(names: Iterable[str]) -> Complete:
    """Completes these names."""

    def complete(incomplete: str) -> list[str]:
        return [*names]

    return complete


def setting_values(key: str) -> Complete:
    """Completes the values of a run's setting."""

    def complete(incomplete: str) -> list[str]:
        return known_values(key)

    return complete


def assignments(incomplete: str) -> list[str]:
    """KEY=VALUE of a run's settings."""
    from dnntrain.config.spec import flat_keys

    keys = [key for key in flat_keys() if key != "seed"]  # --seeds gives the seeds
    key, equals, _ = incomplete.partition("=")
    if not equals:
        return [f"{each}=" for each in keys]
    return [f"{key}={value}" for value in known_values(key)] if key in keys else []


def known_values(key: str) -> list[str]:
    """The names that a setting may have; none for one of numbers or free text."""
    from dnntrain.config.spec import choice_keys, flat_keys
    from dnntrain.data import SOURCES

    if slot := choice_keys().get(key):
        return slot.names()
    return [*SOURCES] if key == "data" else [*words(flat_keys()[key].annotation)]


def words(annotation: Any) -> Iterator[str]:
    """The words of a Literal, anywhere in a type."""
    for part in get_args(annotation):
        yield from [str(part)] if get_origin(annotation) is Literal else words(part)


def techniques(incomplete: str) -> list[str]:
    """Every technique, and the settings that choose among some."""
    from dnntrain.config.spec import choice_keys
    from dnntrain.techniques import CATALOGUE

    return [*choice_keys(), *CATALOGUE]


def metrics(incomplete: str) -> list[str]:
    """Every metric of every part, such as val_acc."""
    from dnntrain.metrics import metric_columns

    return metric_columns()


def methods(incomplete: str) -> list[str]:
    """The ways to compare arms."""
    from dnntrain.statistics.estimates import METHODS

    return [*METHODS]


def presets(incomplete: str) -> list[str]:
    """The presets that come with dnntrain."""
    from dnntrain.studies.presets import shipped_presets

    return [*shipped_presets()]


def studies(context: typer.Context, incomplete: str) -> list[str]:
    """The studies in the folder of --out or --runs."""
    from dnntrain.store.studies import recorded_studies

    return [folder.name for folder in recorded_studies(folder_of(context))]


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """The studies, and the ids of the runs, in the folder of --out or --runs."""
    from dnntrain.store.run_store import RunStore

    return [*studies(context, incomplete), *RunStore(folder_of(context)).run_ids()]


def sources(context: typer.Context, incomplete: str) -> list[str]:
    """What a transfer can start from: recorded runs and pretrained networks."""
    from dnntrain.transfer_learning.image_models import ARCHITECTURES

    return [*runs(context, incomplete), *ARCHITECTURES]


def folder_of(context: typer.Context) -> Path:
    """The folder that the command line names so far, or the default one."""
    return Path(context.params.get("runs") or context.params.get("out") or "runs")
