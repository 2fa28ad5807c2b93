"""Words in YAML stay words, numbers must be plain, and a share above 1 is refused with a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.studies.presets import load_preset, read_preset
from dnntrain.studies.study import Study
from dnntrain.utils.fields import odd_number

CASES = Path(__file__).parents[1] / "cases"
WORDS = ("on", "off", "yes", "no", "null", "true", "1e-3", "0.1", "010", "1:30", "2024", "2024-01-01")
"""What YAML 1.1 reads as something else than a word."""


def read(text: str, **overrides: str) -> Study:
    return read_preset(text, "p.yaml", overrides)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


def test_words_as_levels() -> None:
    arms = {arm.name: arm for arm in load_preset(str(CASES / "onoff.yaml")).arms}
    assert list(arms) == ["off+no", "off+yes", "on+no", "on+yes"]
    assert arms["on+yes"].levels == {"bn": "on", "act": "yes"}
    assert arms["on+no"].spec.settings()["bn"] and not arms["off+no"].spec.settings()["bn"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_names_factors_arms_and_baselines(word: str) -> None:
    study = read(
        f"factors:\n  {word}: {{lr: 0.2}}\n  bn: {{bn: on}}\ncombinations: [[{word}, bn]]\n"
        f"published:\n  {word}: {{val_acc: 0.5}}\n"
    )
    assert [arm.name for arm in study.arms] == ["baseline", word, "bn", f"{word}+bn"]
    assert study.arms[1].published["val_acc"].mean == 0.5
    listed = read(f"design: list\nbaseline: {word}\nfactors:\n  elu: {{act: elu}}\n  {word}: {{lr: 0.2}}\n")
    assert listed.baseline == word


def test_a_word_names_a_study_and_its_texts() -> None:
    study = read("name: 010\nquestion: yes\nnote: 1:30\nfactors: {a: {lr: 0.2}}\n")
    assert (study.name, study.question, study.note) == ("010", "yes", "1:30")
    assert read("name: null\nfactors: {a: {lr: 0.2}}\n").name == "p"


def test_columns_and_classes_are_words(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("on,2024,z\n" + "".join(f"{i % 2},{i},{i * i % 7}\n" for i in range(40)))
    [arm, _] = read(f"base: {{data: {table}, target: on, drop_columns: 2024}}\nfactors: {{a: {{lr: 0.2}}}}").arms
    assert arm.spec.source.outline().shape == (1,)
    assert read("base: {classes: [1, 2]}\nfactors: {a: {lr: 0.2}}").arms[0].spec.settings()["classes"] == "1,2"


@pytest.mark.parametrize(
    ("text", "value"),
    [(".5", 0.5), ("5.", 5.0), ("+5", 5.0), ("1E3", 1000.0), ("1e-3", 0.001), ("'1e-1'", 0.1), ("0.1", 0.1)],
)
def test_plain_numbers_are_read(text: str, value: float) -> None:
    assert read(f"base: {{lr: {text}}}\nfactors: {{a: {{bn: on}}}}").arms[0].spec.lr == value


ODD = {
    "010": "write 10, or 8 if octal is meant",
    "09": "write 9",
    "00.5": "write 0.5",
    "0x10": "write 16",
    "0o17": "write 15",
    "0b11": "write 3",
    "1:30": "write 90 if minutes and seconds are meant",
    "30_10": "write 3010",
    "1_000.5": "write 1000.5",
}


@pytest.mark.parametrize("number", ODD)
def test_a_number_that_programs_read_differently_is_refused_with_what_would_be_right(number: str) -> None:
    for start in (
        "factors:\n  a:\n    epochs:",
        "factors:\n  a:\n    hidden:",
        "factors: {a: {lr: 1}}\nseeds: 3\ntune_seeds:",
    ):
        message = refusal(f"{start} {number}\n" + "tune: {l2: [0.1, 0.2]}\n")
        assert message.startswith("p.yaml:3: ") and ODD[number] in message, message
    with pytest.raises(InputError, match="is not a plain number"):
        RunSpec.parse({"schedule": f"power:s={number}"})


@pytest.mark.parametrize("number", ["2001-01-01", ".inf", ".nan", "1.2.3", "½"])
def test_no_number_is_refused_with_its_line(number: str) -> None:
    assert refusal(f"base: {{bn: on}}\nfactors: {{a: {{lr: {number}}}}}").startswith("p.yaml:2: factors.a: lr")


def test_odd_seeds_are_refused_with_their_line() -> None:
    with pytest.raises(InputError, match=r"oct2\.yaml:4: seeds: '010' is not a plain number; write 10, or 8"):
        load_preset(str(CASES / "oct2.yaml"))
    assert "write 90" in refusal("seeds: 1:30\nfactors: {a: {lr: 1}}")
    assert read("seeds: 10-14\nfactors: {a: {lr: 1}}").seeds == (10, 11, 12, 13, 14)


def test_an_ordinary_number_is_not_odd() -> None:
    for text in ("0", "0.5", "-0", "10", "1e-3", "100", "0e0", "x010", "10-14", "20x100", "300,100,50", ""):
        assert odd_number(text) is None, text


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("hidden: 300,100", "hidden: '300,100'"),
        ("hidden: 300, 100, 50", "hidden: '300,100,50'"),
        ("act: relu,elu", "act: 'relu,elu'"),
        ("classes: sandal,shirt", "classes: 'sandal,shirt'"),
    ],
)
def test_a_comma_within_braces_says_what_to_write(given: str, right: str) -> None:
    message = refusal(f"name: x\nbase: {{epochs: 3, {given}, lr: 0.1}}\nfactors: {{a: {{bn: on}}}}")
    assert message == f"p.yaml:2: base.{given.split(':')[0]}: a comma ends a value within {{ }}; write {right}"


def test_factors_that_are_equal_in_meaning_do_not_contradict_each_other() -> None:
    text = "factors: {a: {lr: 0.1, bn: on}, b: {lr: 1e-1, bn: true}}\ncombinations: [[a, b]]"
    assert read(text).arms[-1].spec.lr == 0.1


# Shares


def test_a_published_percentage_asks_whether_percent_was_meant() -> None:
    with pytest.raises(InputError) as caught:
        load_preset(str(CASES / "pub.yaml"))
    expected = "pub.yaml:5: published.elu: val_acc must be from 0 to 1, not 87; did you mean 0.87 (87 %)?"
    assert str(caught.value).endswith(expected)
    assert "sd must be from 0 to 1, not 2; did you mean 0.02 (2 %)?" in refusal(
        "factors: {a: {lr: 1}}\npublished: {a: {val_acc: 0.9, sd: 2}}"
    )
    assert "like 0.87 for 87%" in refusal("factors: {a: {lr: 1}}\npublished: {a: {val_acc: 87%}}")


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("val_acc", 0.87, None),
        ("val_acc", 1.0, None),
        ("val_acc", 870.0, "must be from 0 to 1, not 870"),
        ("val_acc", -0.1, "must be from 0 to 1, not -0.1"),
        ("test_r2", -3.0, None),
        ("test_r2", 87.0, "must be at most 1, not 87; did you mean 0.87 (87 %)?"),
        ("val_loss", 87.0, None),
        ("val_rmse", -1.0, "must be 0 or more, not -1"),
    ],
)
def test_values_that_a_metric_cannot_have(metric: str, value: float, said: str | None) -> None:
    assert metric_of(metric).impossible(value) == said
