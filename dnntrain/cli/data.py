"""`dnntrain data`: lists, downloads and inspects data sets."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.text import Text

from dnntrain.cli import completion
from dnntrain.cli.options import AsJson, DataDir, Mirror, add_options
from dnntrain.cli.spec_options import spec_options
from dnntrain.config.spec import RunSpec
from dnntrain.data import KINDS, SOURCES, DataLocation, Dataset, DataSource, find_source, options
from dnntrain.data.balance import class_counts, majority
from dnntrain.data.dataset import Targets, join_names
from dnntrain.data.in_memory import MEMORY
from dnntrain.data.source import DECODED, FileSource
from dnntrain.data.tabular import Table
from dnntrain.data.user_callable import CALLED
from dnntrain.errors import InputError
from dnntrain.transfer_learning.feature_cache import FeatureCache
from dnntrain.utils.console import show
from dnntrain.utils.files import write_errors
from dnntrain.utils.text_layout import TextTable
from dnntrain.utils.words import count_noun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

data_app = typer.Typer(
    help="""List, download and inspect data sets, including your own.

    Examples:
        dnntrain data list
        dnntrain data info houses.csv --target price
    """
)

SourceName = Annotated[
    str,
    typer.Argument(
        metavar="NAME|PATH",
        autocompletion=completion.one_of(SOURCES),
        help="a data set's name, or the path of your own data",
    ),
]

BAR = 24
"""Width of the longest bar, in characters."""
MOST_CLASSES = 30
"""The most classes that are listed; the rest are counted."""
SAMPLES = 10
"""Images per class on a sheet."""


@data_app.command("list")
def list_sources(data_dir: DataDir = None) -> None:
    """List the data sets and whether they are on this machine.

    Examples:
        dnntrain data list
        dnntrain data list --data-dir data/
    """
    home = DataLocation.at(data_dir)
    rows = []
    for name, source in SOURCES.items():
        found = source().find(home)
        where = str(found[0].parent) if found else f"not here: dnntrain data fetch {name} ({source.size})"
        rows.append([name, source.summary, where])
    show(TextTable("", ["name", "what", "where"], rows, wraps=frozenset({"what", "where"})))
    show(Text("your own: " + "; ".join(kind.summary for kind in KINDS)))
    typer.echo(f"folder: {home.folder}")


@data_app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(autocompletion=completion.one_of(SOURCES), help=f"one of {', '.join(SOURCES)}")
    ],
    data_dir: DataDir = None,
    mirror: Mirror = None,
) -> None:
    """Download a data set unless it is on this machine already, and check it.

    Examples:
        dnntrain data fetch fashion-mnist
        dnntrain data fetch cifar10 --data-dir data/
    """
    source = find_source(name)
    home = home_of(source, data_dir, mirror)
    dataset = source.load(home)  # decodes the data too, so that damage shows now
    typer.echo(f"{name}: {dataset.fingerprint} in {source.files(home)[0].parent}")


@data_app.command()
@add_options(settings=spec_options(options()))
def info(
    name: SourceName,
    settings: dict[str, Any],
    data_dir: DataDir = None,
    mirror: Mirror = None,
    as_json: AsJson = False,
) -> None:
    """Show a data set's shape, classes, class balance, fingerprint and license.

    Examples:
        dnntrain data info fashion-mini
        dnntrain data info houses.csv --target price --json
    """
    source = chosen_source(name, settings)
    home = home_of(source, data_dir, mirror)
    if isinstance(source, Table) and source.target is None and not as_json:
        show_columns(source, name, home)
        return
    dataset = source.load(home)
    if as_json:
        typer.echo(json.dumps(dataset.description() | details(dataset), indent=1))
        return
    for label, text in facts(source, home, dataset):
        typer.echo(f"{label + ':':<13}{text}")
    if dataset.columns:
        show(column_table(dataset))
    if dataset.classes:
        show(class_table(dataset))


@data_app.command("show")
@add_options(settings=spec_options(options()))
def show_samples(
    name: SourceName,
    settings: dict[str, Any],
    data_dir: DataDir = None,
    mirror: Mirror = None,
    png: Annotated[Path, typer.Option(metavar="FILE", help="file to write")] = Path("samples.png"),
) -> None:
    """Write sample images of every class to a PNG file.

    Examples:
        dnntrain data show photos/ --png photos.png
        dnntrain data show fashion-mini
    """
    source = chosen_source(name, settings)
    dataset = source.load(home_of(source, data_dir, mirror))
    if not dataset.is_image:
        raise InputError(f"{name}: no images to show; `dnntrain data info {name}` says what is in it")
    if png.suffix.lower() != ".png":
        raise InputError(f"--png {png}: must end in .png")
    with write_errors(png):
        sheet(dataset).savefig(png, dpi=100)
    typer.echo(f"{png}: {SAMPLES} images of each of {len(dataset.classes[:MOST_CLASSES])} classes")


@data_app.command()
def cache(
    data_dir: DataDir = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="delete the cached files; they are computed again when needed")
    ] = False,
) -> None:
    """Show or clear the cache: decoded data, what functions returned, data from Python, and pretrained features.

    Examples:
        dnntrain data cache
        dnntrain data cache --clear
    """
    home = DataLocation.at(data_dir)
    features, folders = FeatureCache(home), [home.folder / name for name in (DECODED, CALLED, MEMORY)]
    entries = [(entry.path, entry.bytes) for entry in features.entries()]
    entries += [(path, size_of(path)) for folder in folders for path in sorted(folder.glob("[!.]*")) if path.is_dir()]
    for path, size in entries:
        typer.echo(f"{size / 1e6:10,.1f} MB  {path}")
    typer.echo(f"{sum(size for _, size in entries) / 1e6:10,.1f} MB  total in {home.folder}")
    if clear:
        features.clear()
        for folder in folders:
            with write_errors(folder):
                shutil.rmtree(folder, ignore_errors=True)
        typer.echo("cleared")


def show_columns(table: Table, name: str, home: DataLocation) -> None:
    """Print a table's columns where none is named to be predicted, and what to type next."""
    (path,) = table.files(home)
    columns, command = table.cells(path), shlex.join(["dnntrain", "data", "info", name])
    typer.echo(f"{name}: {count_noun(columns.rows, 'row')}, {count_noun(len(columns.names), 'column')}")
    typer.echo(f"columns: {', '.join(columns.names)}")
    typer.echo(f"next, with the column to be predicted: {command} --target COLUMN")


def size_of(folder: Path) -> int:
    """Total size of the files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def chosen_source(name: str, settings: dict[str, Any]) -> DataSource:
    """The data source with these options, validated like the settings of a run."""
    return RunSpec.parse({"data": name} | settings).source


def home_of(source: DataSource, data_dir: str | None, mirror: str | None) -> DataLocation:
    """Where the source's data are. Raises InputError for a mirror if the source is never downloaded."""
    if mirror is not None and not source.size:
        raise InputError(f"--mirror {mirror}: {source.display_name()} is not downloaded")
    return DataLocation.at(data_dir, mirror)


def facts(source: DataSource, home: DataLocation, dataset: Dataset) -> list[tuple[str, str]]:
    """Labels and texts that describe a data set."""
    files = source.files(home)
    place = source.path if isinstance(source, FileSource) else files[0] if len(files) == 1 else files[0].parent
    own = f", the last {dataset.n_validation:,} of them for validation" if dataset.n_validation else ""
    rows = [
        ("data", f"{dataset.name} ({source.summary})"),
        ("task", dataset.outline.task),
        ("examples", f"{len(dataset.train_targets):,} training{own}, {len(dataset.test_targets):,} test"),
        ("shape", f"{' × '.join(map(str, dataset.shape))} ({dataset.outline.n_features:,} inputs)"),
        ("inputs", f"tokens from 0 to {dataset.n_tokens - 1:,}" if dataset.is_tokens else dataset.kind),
        ("fingerprint", dataset.fingerprint),
        ("license", dataset.license),
        ("where", str(place)),
    ]
    if not dataset.classes:
        rows.append(("target", spread_of(dataset.train_targets)))
    return rows + [("note", note) for note in dataset.notes]


def spread_of(targets: Targets) -> str:
    """Range, mean and standard deviation of a numeric target."""
    from dnntrain.reporting.formatting import figure  # imports pandas

    spread = float(targets.std())
    ends = " to ".join(f"{float(end):,.12g}" for end in (targets.min(), targets.max()))
    return f"{ends}, mean {figure(float(targets.mean()), spread)}, deviation {figure(spread, spread)}"


def details(dataset: Dataset) -> dict[str, Any]:
    """Examples per class in each part, the majority class, and a table's columns, for JSON."""
    found: dict[str, Any] = {}
    if dataset.classes:
        name, share = majority(dataset)
        parts = {"train": dataset.train_targets, "test": dataset.test_targets}
        found["balance"] = {part: class_counts(targets, dataset.classes) for part, targets in parts.items()}
        found["majority"] = {"class": name, "test_share": share}
    if dataset.columns:
        found["columns"] = [column._asdict() for column in dataset.columns]
    return found


def column_table(dataset: Dataset) -> TextTable:
    """The columns of a tabular data set: their kinds, missing values and the inputs made from them."""
    rows = []
    for number, column in enumerate(dataset.columns, 1):
        inputs = column.left_out and f"none: {column.left_out}"
        if column.inputs:
            inputs = f"{len(column.inputs)}: {join_names(list(column.inputs))}"
        rows.append([column.name or f"(no. {number})", column.kind, f"{column.missing:,}", inputs])
    return TextTable("", ["column", "kind", "missing", "inputs"], rows, frozenset({"missing"}))


def class_table(dataset: Dataset) -> TextTable:
    """The classes with their numbers and counts of examples."""
    train, test = details(dataset)["balance"].values()
    rows = []
    for number, name in enumerate(dataset.classes[:MOST_CLASSES]):
        bar = "━" * round(BAR * train[name] / max(train.values()))
        rows.append([name, str(number), f"{train[name]:,}", f"{test[name]:,}", bar])
    if len(dataset.classes) > MOST_CLASSES:
        rows.append([f"and {len(dataset.classes) - MOST_CLASSES} more", "", "", "", ""])
    return TextTable("", ["class", "no.", "training", "test", ""], rows, frozenset({"no.", "training", "test"}))


def sheet(dataset: Dataset) -> Figure:
    """The first training images of each class, one row per class."""
    from matplotlib.figure import Figure

    names = dataset.classes[:MOST_CLASSES]
    figure = Figure(figsize=(SAMPLES + 2.0, len(names) + 0.2), layout="constrained")
    axes = figure.subplots(len(names), SAMPLES, squeeze=False)
    for number, name in enumerate(names):
        images = dataset.train_inputs[np.flatnonzero(dataset.train_targets == number)[:SAMPLES]]
        for axis in axes[number]:
            axis.set_axis_off()
        for axis, image in zip(axes[number], images, strict=False):
            color = image.ndim == 3
            axis.imshow(np.moveaxis(image, 0, 2) if color else image, cmap=None if color else "gray")
        axes[number][0].text(-0.2, 0.5, name, transform=axes[number][0].transAxes, ha="right", va="center")
    return figure
