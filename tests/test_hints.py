"""What errors suggest: the right word for one from another library, in the form in which the user writes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dnntrain as dt
from dnntrain.config.spec import RunSpec, choice_keys, flat_keys
from dnntrain.data import SOURCES
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import metric_columns
from dnntrain.studies.execution import DEVICES
from dnntrain.studies.preset_reader import KEYS
from dnntrain.studies.presets import read_preset
from dnntrain.synonyms import SYNONYMS
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import Choice
from tests.support.inline import answer

PYDANTIC = re.compile(
    r"\bvalid (?!ation|layer)|Input|unable to|permitted|instance of|dictionary|a string|Field required|or equal"
)
WRONG_VALUES = ("x", "1.5", "-1", "", [], {}, {"a": 1}, True, None, -1, float("inf"), "1e400", 1.5, 10**30, b"x")


def test_every_synonym_means_something_that_exists_and_is_no_name_itself() -> None:
    options = {"out", "workers", "device", "seeds", "checkpoint_every", "md", "latex", "track", "plan"}
    options |= {"csv", "json", "html"}
    names = {*flat_keys(), *CATALOGUE, *KEYS, *options, *DEVICES, *SOURCES}
    metrics = {column.removeprefix("test_") for column in metric_columns()}
    for word, meanings in SYNONYMS.items():
        assert word not in flat_keys() and word not in CATALOGUE
        for meant in meanings:
            name, _, value = meant.partition("=") if re.match("[a-z_]+=", meant) else (meant.split(":")[0], "", "")
            assert name in names | metrics, meant
            if name in choice_keys() and value:
                choice_keys()[name].parse(value)
            elif issubclass(CATALOGUE.get(name, object), Choice):
                CATALOGUE[name].parse(meant)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("batch-norm", flat_keys(), "'bn'"),
        ("BatchNorm", flat_keys(), "'bn'"),
        ("weight-decay", flat_keys(), "'weight_decay'"),
        ("clip", flat_keys(), "'clipnorm' or 'clipvalue'"),  # begins so
        ("drop", flat_keys(), "'dropout', 'drop_path' or 'drop_columns'"),
        ("dropout_probability", flat_keys(), "'dropout'"),
        ("hiden", flat_keys(), "'hidden'"),
        ("fashion_mini", SOURCES, "'fashion-mini'"),
        ("val_accuracy", metric_columns(), "'val_acc'"),
        ("test_f1", metric_columns(), "'test_macro_f1'"),
    ],
)
def test_meaning_counts_before_letters(word: str, known: list[str], expected: str) -> None:
    assert did_you_mean(word, known) == f"; did you mean {expected}?"


def test_names_are_listed_where_they_are_few() -> None:
    many = [f"name {number:02}" for number in range(13)]
    assert did_you_mean("xyz", many[:12]) == f"; known: {', '.join(many[:12])}"
    assert did_you_mean("xyz", many, "dnntrain presets") == "; `dnntrain presets` lists them"
    assert did_you_mean("xyz", many) == f"; known: {', '.join(many[:12])} and 1 more"
    assert did_you_mean("relu", ["relu"]) == ""  # no hint repeats the wrong word


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train --batchnorm", "No such option: --batchnorm; did you mean --bn? (see"),
        ("train --no-batch-norm", "did you mean --no-bn?"),
        ("train --momentum 0.9", "did you mean --optimizer sgd:momentum=0.9?"),
        ("train --mnist", "did you mean --data fashion-mnist?"),
        ("train --resume", "--resume; the same command continues where it stopped (see"),
        ("report runs --format csv", "did you mean --csv or --json or --html?"),
        (
            "report runs --keep-if x",
            "--keep-if; `dnntrain compare STUDY --keep-if REQUIREMENT` prints keep, discard or",
        ),
        (
            "ablate vanishing --require x",
            "--require; `dnntrain report STUDY --require REQUIREMENT` checks a requirement",
        ),
        ("train --gpu", "did you mean --device cuda?"),
        ("lr-find --seed 3", "did you mean --seeds?"),
        ("train --optimizer nesterov", "unknown optimizer 'nesterov'; did you mean 'sgd:momentum=0.9,nesterov=on'?"),
        ("train --loss mse", "did you mean 'squared'?"),
        ("ablate vanishing --plan --set momentum=0.9", "--set unknown key 'momentum'; did you mean 'optimizer=sgd:mom"),
        ("ablate vanishing --epochs 3", "No such option: --epochs; did you mean --set epochs=VALUE? (see"),
        ("ablate vanishing --momentum 0.9", "did you mean --set optimizer=sgd:momentum=0.9?"),
        ("ablate vanishing --seed 3", "did you mean --seeds?"),
        ("report runs --markdown x.md", "did you mean --md?"),
        ("docs statistics", "no page 'statistics'; `dnntrain docs` lists them"),
        ("ablate nope", "no preset 'nope'; `dnntrain presets` lists them"),
        ("techniques nesterov", "unknown technique 'nesterov'; did you mean 'sgd'?"),
    ],
)
def test_a_word_of_another_library_leads_to_the_right_one(words: str, expected: str, tmp_path: Path) -> None:
    given = answer(words.split(), tmp_path)
    assert given.code == 2 and expected in given.err


def test_presets_and_python_suggest_in_their_own_language() -> None:
    with pytest.raises(InputError, match=r"p.yaml:1: base: unknown key 'momentum'; did you mean 'optimizer: sgd:mom"):
        read_preset("base: {momentum: 0.9}\nfactors: {a: {bn: on}}\n", "p.yaml")
    with pytest.raises(InputError, match=r"p.yaml:1: unknown key 'lr'; a setting of runs belongs under base"):
        read_preset("lr: 0.1\nfactors: {a: {bn: on}}\n", "p.yaml")
    with pytest.raises(InputError, match=r"p.yaml:2: unknown key 'variants'; did you mean 'factors'"):
        read_preset("base: {lr: 0.1}\nvariants: {a: {bn: on}}\n", "p.yaml")
    with pytest.raises(InputError, match=r"unknown setting 'momentum'; did you mean 'optimizer=sgd:momentum=0.9'"):
        dt.train(momentum=0.9)
    with pytest.raises(InputError, match=r"p.yaml:1: factors.a: lr: must be a number"):
        read_preset("factors: {a: {lr: }}\n", "p.yaml")
    with pytest.raises(InputError, match=r"sweep.lr: must be a list of values like \[0.1, 0.2\], not '0.1, 0.2'"):
        read_preset("sweep: {lr: '0.1, 0.2'}\n", "p.yaml")


def test_no_error_speaks_as_pydantic_does() -> None:
    errors = [error for key in flat_keys() for value in WRONG_VALUES if (error := refusal(key, value))]
    assert len(errors) > 1000
    assert not [error for error in errors if PYDANTIC.search(error)]


def refusal(key: str, value: object) -> str:
    try:
        RunSpec.parse({key: value})
    except InputError as error:
        return str(error)
    return ""
