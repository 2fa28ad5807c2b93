"""No flag is accepted and ignored: over all commands and options, giving one changes something or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from dnntrain.cli.spec_options import read_assignments, run_keys
from dnntrain.cli.transfer import transfer_keys
from dnntrain.config.spec import RunSpec, flat_keys
from dnntrain.config.transfer import TransferSettings
from dnntrain.data import options as data_options
from dnntrain.data import source_class
from dnntrain.errors import InputError
from dnntrain.studies.build import TransferDesign, plan_transfer
from dnntrain.studies.presets import read_preset
from dnntrain.studies.study import Study
from dnntrain.techniques.base import Choice, Switch, techniques_in
from dnntrain.techniques.early_stopping import validation_columns
from dnntrain.transfer_learning.run_backbone import RunBackbone
from tests.support.command_lines import COMMANDS
from tests.support.inline import answer
from tests.support.networks import first_weights
from tests.support.run_tables import rows_of, write_csv
from tests.support.strategies import literals
from tests.support.trial import furnish

HOW = {
    "workers": "how many processes train; no number depends on it",
    "device": "where to train",
    "compile": "how steps are computed, as tests/engine/test_graphs.py holds",
    "executor": "what trains",
    "address": "which cluster; refused without --executor ray",
    "join": "what to do where another process trains the same study",
    "checkpoint_every": "how often a run in training is kept",
    "predictions": "whether they are recorded, as test_predictions holds; no result depends on it",
    "data_dir": "where data are looked for first",
    "trust_code": "which recorded code may run, as tests/executors/test_user_code.py holds",
    "drop_seeds": "lets a finished study lose seeds, as test_continuation holds",
    "follow": "waits while a study is in training, as test_watching holds",
    "yes": "answers a question that is asked only where something is removed",
    "force": "replaces a file, as test_presets_command holds",
    "html": "writes a page, as test_report holds; drawing it takes seconds",
    "no_titles": "leaves texts out of figures, as test_figures holds",
    "figures": "writes figures, as test_figures holds; drawing them takes seconds",
}
"""Options that only say how a command does its work, and those that other tests cover."""

# Settings of a run


def candidates(key: str) -> Iterator[str]:
    """Values of which some are not the default and fit the field."""
    field = flat_keys()[key]
    slot = next((family for family in (*Choice.__subclasses__(),) if family.slot == key), None)
    yield from slot.names() if slot else ()
    yield from validation_columns() if key == "early_stop_metric" else ()
    yield from ("last", "best:val_acc") if key == "select" else ()
    yield from (str(word) for part in literals(field.annotation) for word in get_args(part))
    yield from ("on", "off", "0.5", "3", "0.003", "40", "2", "1", "8", "all", "3ep", "standard", "input", "x")
    yield from ("sandal,shirt", "3x14x14")


def context_of(key: str) -> dict[str, Any]:
    """The least other settings with which a key means something."""
    for technique in techniques_in(Switch):
        if key in {technique.key(name) for name in technique.model_fields} | {technique.name}:
            on = True if technique.primary is None else technique.model_fields[technique.primary].default
            needed = {"dropout": 0.2} if technique.name == "mc_dropout" else {}
            return needed | ({} if key == technique.name else {technique.name: on})
    if key in TransferSettings.model_fields and key != "reuse_from":
        stages = {"reuse_from": "0" * 12, "freeze_epochs": 1, "unfreeze_layers": 1}
        return {name: value for name, value in stages.items() if name != key or key == "freeze_epochs"}
    takers = data_options().get(key, (None, ["fashion-mini"]))[1]
    data = {source_class(path).name: path for path in ("t.csv", "a.npz", "photos/")}
    return {} if "fashion-mini" in takers else {"data": data[takers[0]]}


@cache
def acting(key: str) -> dict[str, Any]:
    """Settings with a value under the key that makes another run than they would without it."""
    context = context_of(key)
    without = None
    with suppress(InputError):  # the rest may need the key
        without = RunSpec.parse({name: value for name, value in context.items() if name != key})
    for value in candidates(key):
        try:
            if RunSpec.parse(context | {key: value}) != without:
                return context | {key: value}
        except InputError:
            continue
    raise AssertionError(f"{key}: no value of it makes another run")


@pytest.mark.parametrize("key", [key for key in run_keys() if key != "data"])
def test_a_setting_makes_another_run(key: str) -> None:
    assert acting(key)


@pytest.mark.parametrize("key", [key for key in run_keys() if context_of(key)])
def test_a_setting_without_what_it_belongs_to_is_refused(key: str) -> None:
    with pytest.raises(InputError):
        RunSpec.parse({key: acting(key)[key]})


@pytest.mark.parametrize("key", run_keys())
def test_set_changes_the_arms_or_is_refused(key: str) -> None:
    text = "base: {train_size: 60, val: 60}\nfactors: {elu: {act: elu}}\n"
    settings = {"data": "fashion-mnist"} if key == "data" else acting(key)
    try:
        changed = read_preset(text, "p.yaml", read_assignments([f"{name}={value}" for name, value in settings.items()]))
    except InputError:
        return
    assert specs(changed) != specs(read_preset(text, "p.yaml"))


def specs(study: Study) -> list[RunSpec]:
    return [arm.spec for arm in study.arms]


# Settings of a transfer

TARGET = {"classes": "sandal,shirt", "train_size": "60", "val": "200", "epochs": "5"}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strategies": {"strategies": True},
    "depths": {"reuse_depths": "1,2"},
    "curve": {"train_sizes": "20,60"},
}


@pytest.fixture(scope="module")
def base() -> RunBackbone:
    spec = RunSpec.parse({"hidden": "8,6", "act": "selu"})
    return RunBackbone("0" * 12, spec, first_weights(spec), (28, 28), ())


def planned_with(base: RunBackbone, settings: dict[str, Any], way: dict[str, Any]) -> Study:
    """What `transfer --from` plans; InputError where the base does not fit an arm."""
    study = plan_transfer(base, settings, TransferDesign(**way), "x", None)
    for spec in specs(study):
        if spec.reuse_from and not spec.unfreeze_layers:  # what is unfrozen needs equal parameters, which says enough
            base.check(spec, base.info)
    return study


@pytest.mark.parametrize(("way", "key"), [*product(WAYS, [key for key in transfer_keys() if key != "data"])])
def test_a_setting_changes_the_transfer_or_is_refused(way: str, key: str, base: RunBackbone) -> None:
    target = {name: value for name, value in TARGET.items() if name != key and (way, name) != ("curve", "train_size")}
    given = {name: value for name, value in acting(key).items() if name != "reuse_from"}
    context = {name: value for name, value in given.items() if name != key}
    try:
        changed = planned_with(base, target | given, WAYS[way])
    except InputError:
        return
    with suppress(InputError):  # the rest may need the key
        assert specs(changed) != specs(planned_with(base, target | context, WAYS[way]))


@pytest.mark.parametrize(
    ("settings", "way", "said"),
    [
        ({"hidden": "50"}, {}, "hidden: the layers are those of 000000000000; drop and head change them"),
        ({"act": "elu"}, {}, "act: the layers are those of"),
        ({"unfreeze_layers": "1"}, {"strategies": True}, "strategies: tries every unfreeze_layers itself"),
        ({"train_size": "60"}, {"train_sizes": "20,60"}, "train_sizes: gives the numbers of training examples"),
        ({}, {"strategies": True, "scratch": False}, "scratch: strategies compares with scratch"),
        ({}, {"train_sizes": "20,60", "scratch": False}, "scratch: train_sizes compares with scratch"),
        ({"scale": "standard"}, {}, "scale standard: the reused layers need inputs as 000000000000 had them"),
        ({"resize": "64"}, {}, "resize 64: the reused layers need"),
        ({"freeze_epochs": "2"}, {}, "freeze_epochs 2: layers stay frozen to the end unless unfreeze_layers is given"),
    ],
)
def test_what_a_transfer_would_ignore_is_refused(
    settings: dict[str, Any], way: dict[str, Any], said: str, base: RunBackbone
) -> None:
    with pytest.raises(InputError) as caught:
        planned_with(base, settings, way)
    assert str(caught.value).startswith(said)


# The other options

VALUES: dict[str, list[list[str]]] = {
    "out": [["--out", "elsewhere"]],
    "seeds": [["--seeds", "3"]],
    "study": [["--study", "small"]],
    "everything": [["--all"]],
    "since": [["--since", "2100-01-01"]],
    "until_resolved": [["--until-resolved"]],
    "max_seeds": [["--max-seeds", "9"]],
    "name": [["--name", "other"]],
    "as_json": [["--json"]],
    "plan": [["--plan"]],
    "assignments": [["--set", "lr=0.5"]],
    "source": [["--from", "RUN"]],
    "weights": [["--weights", "w.pth"]],
    "drop": [["--drop", "1"]],
    "head": [["--head", "5"]],
    "scratch": [["--no-scratch"]],
    "strategies": [["--strategies"]],
    "reuse_depths": [["--reuse-depths", "1,2"]],
    "train_sizes": [["--train-sizes", "10,20"]],
    "metric": [["--metric", "val_loss"]],
    "sort": [["--sort", "mean"], ["--sort", "seconds"], ["--sort", "arm"]],
    "delta": [["--delta", "2"]],
    "require": [["--require", "elu >= bn"]],
    "against": [["--against", "small", "small"]],
    "wide": [["--wide"]],
    "per_class": [["--per-class"]],
    "within": [["--within", "bn"]],
    "order": [["--order", "elu > bn > baseline"]],
    **{kind: [[f"--{kind}", f"new.{kind}"]] for kind in ("csv", "history", "md", "latex")},
    "mirror": [["--mirror", "nowhere"]],
    "png": [["--png", "sheet.png"]],
    "clear": [["--clear"]],
    "reload_data": [["--reload-data"]],
    "baseline": [["--baseline", "elu"]],
    "method": [["--method", "paired"]],
    "pairs": [["--pairs"]],
    "population": [["--population"]],
    "allow_partial": [["--allow-partial"]],
    "arm": [["--arm", "other"]],
    "value": [["--value", "other"]],
    "block": [["--block", "other"]],
    "status": [["--status", "other"]],
    "ok": [["--ok", "1"]],
    "lost_value": [["--lost-value", "f1=0.1"]],
    "looks": [["--looks", "3,6"]],
    "low": [["--from", "1e-3"]],
    "high": [["--to", "0.1"]],
    "steps": [["--steps", "21"]],
    "keep_if": [["--keep-if", "elu >= base"]],
    "quiet": [["--quiet", "--require", "elu >= base"]],
    "proba": [["--proba"]],
    "ensemble": [["--ensemble"]],
    "runs": [["--runs", "elsewhere"]],
    "track": [["--track", "tensorboard:logs"]],
    "to": [["--to", "mlflow"]],
    "mc": [["--mc", "3"]],
    "rounds": [["--rounds", "7"]],
}
"""The words that give an option, by its name; where there are several ways, one must have an effect."""

BRIEF = ("--hidden", "4", "--epochs", "1", "--train-size", "60", "--val", "60")
FROM = ("transfer", "--from", "RUN", "--classes", "sandal,shirt", "--val", "200", "--epochs", "5", "--plan")

CONTEXTS: list[tuple[str, ...]] = [
    ("train", *BRIEF),
    ("lr-find", "--hidden", "4", "--train-size", "60", "--val", "60", "--seeds", "2", "--steps", "20"),
    ("ablate", "study.yaml", "--plan"),
    ("transfer", "study.yaml", "--plan"),
    FROM,
    (*FROM, "--strategies"),
    (*FROM, "--train-sizes", "20,60"),
    ("predict", "RUN", "images"),
    ("report", "small"),
    ("report", "small", "--json"),
    ("report", "runs", "--against", "small", "small"),
    ("watch", "small"),
    ("compare", "small"),
    ("compare", "runs.csv", "--arm", "optimizer", "--seed", "seed", "--value", "f1"),
    ("data", "list"),
    ("data", "fetch", "fashion-mini"),
    ("data", "info", "table.csv", "--target", "kind"),
    ("data", "show", "images"),
    ("data", "cache"),
    ("runs", "list"),
    ("runs", "list", "--study", "small"),
    ("runs", "show", "RUN"),
    ("runs", "verify"),
    ("runs", "evaluate"),
    ("runs", "evaluate", "RUN", "--mc", "2"),
    ("runs", "rm", "nothing"),
    ("runs", "gc"),
    ("runs", "time", "small", "--steps", "1"),
    ("runs", "export", "RUN", "--to", "torch"),
    ("runs", "thresholds", "small"),
    ("runs", "track", "nothing", "--to", "tensorboard"),
    ("techniques",),
    ("docs",),
    ("presets", "list"),
    ("presets", "show", "vanishing"),
    ("presets", "copy", "vanishing", "mine.yaml"),
    ("init", "new.yaml", "--data", "table.csv", "--target", "kind"),
]
"""Command lines that every option of the command is added to."""


def options_of(words: tuple[str, ...]) -> list[str]:
    """The options of a command line's command that are neither settings nor in HOW."""
    command = next(command for path, command in COMMANDS if words[: len(path)] == path)
    names = [parameter.name for parameter in command.params if parameter.param_type_name == "option"]
    return [name for name in names if name not in flat_keys() and name not in HOW and name != "help"]


CASES = [
    (words, name)
    for words in CONTEXTS
    for name in options_of(words)
    if VALUES[name][0][0] not in words
    and not ("--plan" in words and name in ("out", "track"))  # nothing is written then
    and not ("runs.csv" in words and name == "out")  # it has no study to find
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flags")


@pytest.fixture(scope="module")
def run(folder: Path) -> str:
    rows = [{**row, "other": i % 2} for i, row in enumerate(rows_of({"sgd": 0.0, "elu": 0.01, "bn": 0.02}, seeds=6))]
    rows[-1]["f1"] = None
    write_csv(folder / "runs.csv", rows)
    return furnish(folder).names[0]


Effect = tuple[int | None, str, set[Path]]


@pytest.fixture(scope="module")
def plain() -> dict[tuple[str, ...], Effect]:
    """What each context does by itself, once it is known."""
    return {}


def effect(words: tuple[str, ...], folder: Path, run: str) -> Effect:
    """How a command line ends: its code, what it prints, and the files that it writes, which are removed."""
    before = {*folder.rglob("*")}
    given = answer([run if word == "RUN" else word for word in words], folder)
    new = {path for path in folder.rglob("*") if path not in before}
    for path in sorted(new, reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return given.code, given.out, new


def test_every_command_and_option_is_tried() -> None:
    tried = {path for path, _ in COMMANDS if any(words[: len(path)] == path for words in CONTEXTS)}
    assert tried == {path for path, _ in COMMANDS}
    assert {name for words in CONTEXTS for name in options_of(words)} <= VALUES.keys()
    assert not HOW.keys() & VALUES.keys()


@pytest.mark.parametrize(("words", "name"), CASES, ids=lambda item: item if isinstance(item, str) else " ".join(item))
def test_an_option_changes_something_or_is_refused(
    words: tuple[str, ...], name: str, folder: Path, run: str, plain: dict[tuple[str, ...], Effect]
) -> None:
    if words not in plain:
        plain[words] = effect(words, folder, run)
    ends = (effect((*words, *option), folder, run) for option in VALUES[name])
    assert any(end[0] == 2 or end != plain[words] for end in ends), f"{name} is accepted and ignored"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("transfer", "study.yaml", "--head", "5"), "--head: needs --from; study.yaml says what is trained"),
        (("report", "runs", "--against", "small", "small", "--csv", "x"), "--csv: not with --against"),
        (("report", "runs", "--json", "--wide"), "--wide: is for the table on the terminal"),
        (("report", "runs", "--json", "--csv", "-"), "only one of --json, --csv -"),
        (("report", "runs", "--require", "elu.val_acc >= 80"), "from 0 to 1, not 80; did you mean 80% or 0.8?"),
        (("report", "runs", "--require", "elu > bn - 30"), "more than accuracy can differ by; did you mean 30pp?"),
        (("report", "runs", "--allow-partial"), "--allow-partial: is about requirements, and none is given"),
        (("report", "runs", "--delta", "130"), "--delta: '130' is more than accuracy can differ by"),
        (("ablate", "study.yaml", "--set", "lr=1", "--set", "lr=2"), "--set lr: given twice, as 1 and 2"),
        (("ablate", "study.yaml", "--mirror", "x"), "mirror x: this study's data are not downloaded"),
        (("ablate", "study.yaml", "--plan", "--device", "gpu"), "unknown device 'gpu'; did you mean 'cuda'"),
        (("ablate", "study.yaml", "--plan", "--address", "auto"), "address auto: needs the executor ray"),
        (("data", "fetch", "fashion-mini", "--mirror", "x"), "--mirror x: fashion-mini is not downloaded"),
        ((*FROM, "--ladder"), "error: --ladder: renamed to --strategies"),
        ((*FROM, "--curve", "20,60"), "error: --curve: renamed to --train-sizes"),
        (("train", "--curve", "20,60"), "No such option: --curve"),
        ((*FROM, "--flip", "random"), "arm 'transfer': flip: not with reuse_from, since the outputs of frozen"),
        ((*FROM[:-1], "--noise", "1"), "arm 'transfer': noise: not with reuse_from, since the outputs of frozen"),
        (("report", "runs", "--compare", "small", "small"), "error: --compare: renamed to --against"),
    ],
)  # fmt: skip
def test_an_option_without_use_is_refused(words: tuple[str, ...], said: str, folder: Path, run: str) -> None:
    given = answer([run if word == "RUN" else word for word in words], folder)
    assert given.code == 2 and said in given.err, given


def test_a_setting_that_changes_nothing_is_warned_of(folder: Path, run: str) -> None:
    given = answer(["ablate", "study.yaml", "--plan", "--set", "schedule=step:every=5ep"], folder)
    assert given.code == 0 and "warning: arm 'baseline': schedule step:every=5ep: constant in effect" in given.err
