"""Writes a preset for the user's own data: a base, a baseline and a few arms, with a comment on each line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, DatasetInfo, options
from dnntrain.data.source import FileSource
from dnntrain.metrics import default_metric, metric_of, metrics_of
from dnntrain.studies.feasibility import check_metric_of, check_run
from dnntrain.studies.preset_settings import CODE
from dnntrain.studies.presets import read_preset
from dnntrain.studies.study import Study, check_metric, check_name
from dnntrain.studies.yaml_document import NULL
from dnntrain.utils.user_code.reference import CodeReference, is_file

Line = tuple[str, str]
"""A line of YAML and its comment, which may be empty."""

EXAMPLES_SEEN = 200_000
"""Training examples that a run of a new preset sees, over all epochs."""
MOST_EPOCHS = 100
LEAST_EPOCHS = 5
SMALLEST_IMAGE = 8
"""Height and width from which on convolutions and shifts make sense, in pixels."""


TRAINING = {"optimizer": "adam", "lr": "0.001", "batch_size": "32"}
"""How a new preset trains, with the epochs that follow from the number of examples."""
NETWORK, PHOTO_NETWORK = {"net": "mlp", "hidden": "100,50"}, {"net": "cnn", "hidden": "128"}
"""What it trains, for images large enough for convolutions the second one."""
SHOWN_DEFAULTS = TRAINING | {
    "data": "",  # must be given
    "epochs": f"{LEAST_EPOCHS} to {MOST_EPOCHS}, fewer with more examples",
    **{key: f"{NETWORK[key]}, or {PHOTO_NETWORK[key]} for images" for key in NETWORK},
}
"""All of these in words, for the command's help."""


def new_preset(path: Path, settings: Mapping[str, Any], metric: str | None, home: DataLocation) -> tuple[str, Study]:
    """The text of a preset for some data, and the study that it describes.

    Args:
        path: The file that it will be written to. Paths in it are relative to the file's folder.
        settings: Settings of the base, among them `data`.
        metric: What the arms are compared by; the default of the data's task if None.
        home: Where data sets are kept.

    Raises:
        InputError: A setting is wrong, the data cannot be read, or the file's name is none for a study.
    """
    name = check_name(path.stem, "name")
    outline = RunSpec.parse(settings).source.outline(home)
    metric = check_metric(metric or default_metric(outline.task))
    check_metric_of(metric, outline)
    settings = defaults(settings, outline) | dict(settings)
    spec = RunSpec.parse(settings)
    check_run(spec, outline)
    lines = [
        (f"name: {name}", ""),
        ("question: Which of these techniques helps on my data, and by how much?", ""),
        ("", ""),
        ("base:", "the settings that all arms share; `dnntrain train --help-all` lists them"),
        *base_lines(path, spec, outline, settings),
        ("", ""),
        ("design: list", "each factor is an arm: the base with these settings changed"),
        ("factors:", ""),
        *(indented(f"{arm}: {changes}", comment) for arm, changes, comment in arms(spec, outline)),
        ("baseline: plain", "the arm that the others are compared with"),
        metric_with_others(metric, outline),
        ("seeds: 5", "runs of each arm; `until-resolved` adds seeds until every verdict is clear"),
    ]
    text = "".join(f"{line:<28}  # {comment}\n" if comment else f"{line}\n" for line, comment in lines)
    return text, read_preset(text, str(path), home=home)


def defaults(given: Mapping[str, Any], outline: DatasetInfo) -> dict[str, str]:
    """The base's settings that are written even where the user gives none."""
    network = PHOTO_NETWORK if is_photo(outline) else NETWORK
    epochs = min(max(round(EXAMPLES_SEEN / outline.n_train), LEAST_EPOCHS), MOST_EPOCHS)
    return {
        **({} if "net" in given else network),
        **TRAINING,
        "epochs": str(epochs),
    }


def base_lines(path: Path, spec: RunSpec, outline: DatasetInfo, settings: Mapping[str, Any]) -> list[Line]:
    """The base: the data with its options, the network, and how it is trained."""
    inputs = "tokens" if outline.kind == "tokens" else f"{' × '.join(map(str, outline.shape))} inputs"
    task = f"{len(outline.classes)} classes" if outline.classes else "a number to predict"
    comments = {
        "data": f"{outline.n_train:,} training and {outline.n_test:,} test examples, {inputs}, {task}",
        "target": "the column to predict",
        "net": "mlp, cnn, resnet, or your own: module:FILE.py:CLASS",
        "hidden": "units of the hidden dense layers",
        "optimizer": "`dnntrain techniques` lists them",
        "lr": "`dnntrain lr-find` proposes one",
        "epochs": "early_stop: 5 would end a run when validation no longer improves",
    }
    order = dict.fromkeys(["data", *(key for key in settings if key in options()), *settings])
    return [
        indented(f"{key}: {scalar(located_value(path, key, settings[key], spec))}", comments.get(key, ""))
        for key in order
    ]


def arms(spec: RunSpec, outline: DatasetInfo) -> list[tuple[str, str, str]]:
    """The arms that make sense for the data and the network: name, changes and comment."""
    found = [("plain", "{}", "the base as it is")]
    if spec.net.name == "module":
        found.append(("clipping", "{clipnorm: 1}", "scales down gradients that are larger than this"))
    elif spec.net.name == "resnet":  # has batch norm, and no hidden layers
        found.append(("cutout", "{cutout: 8}", "hides a square of 8 × 8 pixels of each image"))
    elif spec.net.conv_units + len(spec.hidden):
        found.append(("batch norm", "{bn: on}", ""))
    if spec.net.name != "module" and spec.hidden:
        found.append(("dropout", "{dropout: 0.2}", "turns off a fifth of the hidden units at each step"))
    found.append(("weight decay", "{weight_decay: 0.01}", ""))
    if is_photo(outline):
        found.append(("shifts", "{crop: 2}", "images are shifted by up to 2 pixels"))
    found.append(("cosine", "{schedule: cosine}", "the rate falls to 0 along a cosine"))
    return found


def metric_with_others(metric: str, outline: DatasetInfo) -> Line:
    """The metric, with the others that the data's task has."""
    others = [
        each.name
        for each in metrics_of(outline.task)
        if each != metric_of(metric) and not 0 < len(outline.classes) < each.fewest_classes
    ]
    return f"metric: {metric}", f"or {', '.join(others)}"


def is_photo(outline: DatasetInfo) -> bool:
    """Whether the inputs are images that are large enough for convolutions and shifts."""
    return outline.kind == "images" and min(outline.shape[-2:]) >= SMALLEST_IMAGE


def located_value(path: Path, key: str, value: Any, spec: RunSpec) -> str:
    """A setting's text, in which the user's files are found from the preset's folder."""
    text = str(value)
    if key in ("data", "net") and text.startswith(CODE):
        code = CodeReference.parse(text.removeprefix(CODE))
        return f"{CODE}{replace(code, module=relative(path, code.module))}" if is_file(code.module) else text
    if key == "data" and isinstance(spec.source, FileSource):
        return relative(path, text)
    return text


def relative(path: Path, file: str) -> str:
    """A file as it is found from the preset's folder; absolute paths, and those from the home folder, stay."""
    if file.startswith("~") or os.path.isabs(file):
        return file
    # folders as they are, not through links: from a link, `..` leads to the folder above the one that it names
    folder, preset_folder = Path(file).parent.resolve(), path.parent.resolve()
    text = os.path.relpath(folder / Path(file).name, preset_folder)
    return f"./{text}" if text.startswith("~") else text


def indented(line: str, comment: str) -> Line:
    """A line of a mapping."""
    return f"  {line}", comment


def scalar(text: str) -> str:
    """A text as YAML, quoted if YAML would read it as something else."""
    try:
        document = yaml.compose(f"key: {text}", Loader=yaml.SafeLoader)
        assert isinstance(document, yaml.MappingNode)
        plain = document.value[0][1]
        if plain.value == text and plain.tag != NULL:
            return text
    except yaml.YAMLError:
        pass
    return yaml.safe_dump(text, default_style='"', width=1_000_000, allow_unicode=True).strip()
