"""What a person may give, sound and unsound, as Hypothesis strategies that follow from the declarations.

No technique is named here: what is declared is what is tried. The preset's grammar is a table
by key, which a test holds against `presets.KEYS`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin

import yaml
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from dnntrain.config.spec import choice_keys, flat_keys
from dnntrain.data import SOURCES
from dnntrain.metrics import metric_columns
from dnntrain.studies.designs import DESIGNS
from dnntrain.studies.presets import shipped_presets
from dnntrain.techniques.base import Choice, Switch, techniques_in
from dnntrain.techniques.early_stopping import validation_columns

Strategy = st.SearchStrategy[Any]
Settings = dict[str, Any]

# Garbage

ODD = (
    *("", " ", "\t", "\n", "off", "On", "none", "null", "~", "auto", "all", "pretrain", "store", ".", "..", "-", "--"),
    *("0", "-1", "1e999", "-0.0", "0x10", "1_000", "1:30", "nan", "inf", "-inf", "1/2", "1,2", "3-1", "0-99999", "2-"),
    *("٣", "²", "½", "é", "ﬀ", "\0", "a\0b", "\x1b[31m", "a\nb\nc\nd\ne\nf\ng\nh\ni", "\u2028", "\ud800", "\udcff"),
    *("𝔘" * 80, "a" * 81, "a" * 300, "9" * 400, "[/]", "[/x]", "[bold", "$x^$", "%s", "{}", "{0}", "<b>", "&amp;"),
    *("=", "a=b", ":", "a:", "a:=", "a:b", "a:b=", "a:b=c=d", "../x", "../../x", "x/../../y", "a/b", "a//", "x.csv"),
    *("x.npz", "x/", "@", "x@y", "x@seed", "resnet18@../../x", "resnet18@seed" + "9" * 30, "a" * 300 + ".csv"),
    *("a" * 300 + "/", "0" * 12, "2001-99-99", "2001-01-01", "!!x", "*a", "&a", "<<", "? a", "- a", "a: b", "#", "|"),
)
"""Words that have a meaning somewhere, and none where they are put."""

ABROAD = ("/dev/null/x", "/tmp/dnntrain-abroad", "../abroad", "../../abroad", "a/../../abroad")
"""Where no preset may lead; not for flags that name a place to write to."""

LETTERS = st.characters(exclude_categories=(), exclude_characters="/~")
TEXT = st.sampled_from(ODD) | st.text(LETTERS, max_size=12)
NUMBERS = (
    st.integers(-3, 12)
    | st.integers()
    | st.sampled_from([2**31, 2**63 - 1, 2**63, 10**30, 16**400, -(16**400)])
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e-320, 5e-324, 1e308, 0.1234567890123456, math.nan, math.inf])
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT | st.sampled_from(ABROAD)
GARBAGE: Strategy = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LEAVES, inner, max_size=3), max_leaves=6
)

# Settings, from the fields' types and bounds


def bounds(field: FieldInfo) -> dict[str, float]:
    """The field's bounds by gt, ge, lt, le, wherever in its annotation they stand."""

    def inside(annotation: Any) -> list[Any]:
        more = list(getattr(annotation, "__metadata__", ()))
        return more + [found for part in get_args(annotation) for found in inside(part)]

    marks = [*field.metadata, *inside(field.annotation)]
    return {
        key: value
        for mark in marks
        for key in ("gt", "ge", "lt", "le")
        if (value := getattr(mark, key, None)) is not None
    }


def kinds(annotation: Any) -> set[Any]:
    """The types that an annotation is made of: float | None → {float, NoneType}."""
    if get_origin(annotation) is Literal:
        return {Literal}
    parts = get_args(annotation)
    return {kind for part in parts for kind in kinds(part)} if parts else {annotation}


def floats(field: FieldInfo) -> Strategy:
    """Numbers within the field's bounds, as numbers and as text; often a round one."""
    limits = bounds(field)
    low, high = limits.get("ge", limits.get("gt", 0.0)), limits.get("le", limits.get("lt", 10.0))
    numbers = st.floats(low, high, exclude_min="gt" in limits, exclude_max="le" not in limits and "lt" in limits)
    rounded = numbers.map(lambda number: float(f"{number:.2g}"))
    return st.one_of(rounded, numbers, rounded.map(repr), numbers.map(lambda number: f"{number:.17e}"))


def integers(field: FieldInfo) -> Strategy:
    """Whole numbers within the field's bounds, the small ones most often."""
    limits = bounds(field)
    low = int(limits.get("ge", limits.get("gt", -1) + 1))
    high = int(limits.get("le", limits.get("lt", low + 10**9)))
    small = st.integers(low, min(high, low + 4))
    return st.one_of(small, small.map(str), st.integers(low, high))


def like(example: str) -> Strategy:
    """Texts in the form of an example: with other digits."""
    return st.lists(st.integers(1, 9), min_size=len(example), max_size=len(example)).map(
        lambda digits: "".join(str(d) if c.isdecimal() else c for c, d in zip(example, digits, strict=True))
    )


def value_of(field: FieldInfo) -> Strategy:
    """Values that a field takes, for all that its type, its bounds and its default say."""
    found, default = kinds(field.annotation), field.default
    options: list[Strategy] = [st.just(default)]
    if Literal in found:
        options.append(st.sampled_from([word for part in literals(field.annotation) for word in get_args(part)]))
    if bool in found:
        options.append(st.sampled_from([True, False, "on", "off", "yes", "no"]))
    if float in found:
        options.append(floats(field))
    if int in found and "tuple" not in str(field.annotation):
        options.append(integers(field))
    if isinstance(default, str) and any(map(str.isdecimal, default)):
        options.append(like(default))
    elif str in found and Literal not in found:
        options.append(st.text(st.characters(codec="utf-8", exclude_characters="/~"), max_size=6))
    return st.one_of(options)


def literals(annotation: Any) -> list[Any]:
    """The Literal types in an annotation."""
    if get_origin(annotation) is Literal:
        return [annotation]
    return [found for part in get_args(annotation) for found in literals(part)]


def choices(family: type[Choice]) -> Strategy:
    """`name` or `name:parameter=value,…` of a slot."""

    def written(name: str) -> Strategy:
        fields = family.names_to_techniques()[name][0].model_fields
        given = st.fixed_dictionaries({}, optional={key: value_of(field) for key, field in fields.items()})
        return given.map(lambda values: ":".join(filter(None, (name, ",".join(f"{k}={v}" for k, v in values.items())))))

    return st.sampled_from(list(family.names_to_techniques())).flatmap(written)


def setting(key: str) -> Strategy:
    """Values of one of a run's fields that are mostly sound."""
    if key in choice_keys():
        return choices(choice_keys()[key])
    if key == "data":
        return st.sampled_from([*SOURCES, "images", "table.csv", "arrays.npz"])
    if key == "early_stop_metric":
        return st.sampled_from(validation_columns())
    return value_of(flat_keys()[key])


def switched(technique: type[Switch]) -> Strategy:
    """Settings that switch a technique on, with some of its parameters."""
    keys = {technique.key(name) for name in technique.model_fields}
    on = {technique.name: st.just(True) if technique.primary is None else setting(technique.name)}
    return st.fixed_dictionaries(on, optional={key: setting(key) for key in sorted(keys - on.keys())})


OF_SWITCHES = {t.key(name) for t in techniques_in(Switch) for name in t.model_fields} | {
    t.name for t in techniques_in(Switch)
}
CORE = [key for key in flat_keys() if key not in OF_SWITCHES]


@st.composite
def sound_settings(draw: st.DrawFn, without: Sequence[str] = ()) -> Settings:
    """Settings of which most make a run."""
    keys = draw(st.lists(st.sampled_from([key for key in CORE if key not in without]), max_size=3, unique=True))
    settings = {key: draw(setting(key)) for key in keys}
    for technique in draw(st.lists(st.sampled_from(techniques_in(Switch)), max_size=2, unique=True)):
        settings |= draw(switched(technique))
    return settings


@st.composite
def any_settings(draw: st.DrawFn) -> Settings:
    """Settings of which some are garbage."""
    settings = draw(sound_settings())
    for key in draw(st.lists(st.sampled_from([*flat_keys()]) | TEXT, max_size=2)):
        settings[key] = draw(GARBAGE)
    return settings


# Presets, from the grammar

Grammar = Callable[[list[str]], Strategy]
SEEDS = st.integers(1, 3) | st.sampled_from(["2", "3,7", "10-12", [3, 7], 100_000, "0-9999", 0, "1000000-1000002"])
ARM_NAMES = st.sampled_from(
    ["relu", "elu", "bn", "low rate", "a+b", "none", "all", "baseline", "é", "1", "x" * 80, "no relu"]
)
NO_SEED = sound_settings(without=["seed", "data"])
OF_FACTORS = NO_SEED.filter(bool) | st.dictionaries(ARM_NAMES, NO_SEED, min_size=1, max_size=3)


def swept(names: list[str]) -> Strategy:
    """Factors that are lists of values, of which some may also be settings or named levels."""
    lists = st.sampled_from(CORE).flatmap(
        lambda key: st.fixed_dictionaries({key: st.lists(setting(key), min_size=1, max_size=3, unique_by=str)})
    )
    return st.builds(lambda one, more: {**one, **more}, lists, st.dictionaries(ARM_NAMES, OF_FACTORS, max_size=1))


def tunings(names: list[str]) -> Strategy:
    """One field with values to choose from."""
    return st.sampled_from(CORE).flatmap(
        lambda key: st.fixed_dictionaries({key: st.lists(setting(key), min_size=1, max_size=3)})
    )


def published(names: list[str]) -> Strategy:
    """Values of some arms."""
    numbers = st.floats(0, 1) | st.integers(0, 2)
    in_full = st.dictionaries(st.sampled_from(["mean", "sd", "n"]), numbers, max_size=3)
    values = st.dictionaries(st.sampled_from([*metric_columns(), "sd", "n"]), numbers | in_full, max_size=3)
    return st.dictionaries(st.sampled_from(names), values, max_size=2)


GRAMMAR: dict[str, Grammar] = {
    "name": lambda names: st.sampled_from(["study", "a b", "my-study", "é" * 80, "𝔘" * 80, "store", *ABROAD]),
    "question": lambda names: TEXT,
    "note": lambda names: TEXT,
    "base": lambda names: NO_SEED,
    "varies": lambda names: st.lists(st.sampled_from(CORE), max_size=4),
    "design": lambda names: st.sampled_from([*DESIGNS]),
    "factors": lambda names: st.fixed_dictionaries({name: OF_FACTORS for name in names}) | swept(names),
    "sweep": swept,
    "grid": swept,
    "combinations": lambda names: st.lists(st.lists(st.sampled_from(names), max_size=3), max_size=2),
    "baseline": lambda names: st.sampled_from([*names, "start"]),
    "seeds": lambda names: SEEDS,
    "metric": lambda names: st.sampled_from(metric_columns()),
    "published": published,
    "tune": tunings,
    "tune_seeds": lambda names: SEEDS,
    "pretrain": lambda names: NO_SEED,
    "within": lambda names: st.sampled_from([*names, "start"]),
    "order": lambda names: st.lists(st.sampled_from([*names, "baseline"]), max_size=4),
}
"""What stands under each key of a preset, given the factors' names."""

BRIEF = {"hidden": "4", "epochs": 1, "train_size": 60, "val": 60}
"""Settings of a run that takes a moment."""


@st.composite
def preset_contents(draw: st.DrawFn) -> dict[Any, Any]:
    """A preset's content; most are sound."""
    names = draw(st.lists(ARM_NAMES, min_size=1, max_size=3, unique=True))
    keys = draw(st.lists(st.sampled_from([*GRAMMAR]), max_size=4, unique=True))
    if not {"sweep", "grid"} & {*keys}:
        keys.append("factors")
    content = {key: draw(GRAMMAR[key](names)) for key in dict.fromkeys(keys)}
    content["base"] = BRIEF | content.get("base", {})
    content.setdefault("seeds", draw(st.integers(1, 2)))
    return content


@st.composite
def spoiled(draw: st.DrawFn, trees: Strategy) -> Any:
    """A tree of mappings and lists with garbage, or nothing, in some places."""
    tree = draw(trees)
    for _ in range(draw(st.integers(1, 2))):
        place, key = draw(st.sampled_from(places(tree) or [(None, None)]))
        if place is None:
            return draw(GARBAGE)
        action = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        if action == "replace":
            place[key] = draw(GARBAGE)
        elif action == "remove":
            del place[key]
        elif isinstance(place, dict):
            place[draw(LEAVES)] = place.pop(key)
    return tree


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every place within a tree, as what holds it and its key there."""
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    here = [(tree, key) for key in keys]
    return here + [place for key in keys for place in places(tree[key])]


def as_yaml(tree: Any) -> bytes:
    """The tree as a file; what YAML cannot say becomes JSON."""
    try:
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=200)
    except (yaml.YAMLError, ValueError):
        text = json.dumps(tree, default=str, skipkeys=True)
    return text.encode("utf-8", "surrogatepass")


# Bytes

TOKENS = (
    *(b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\t", b"\r", b"\n", b"\n\n", b" ", b"  ", b": ", b"- "),
    *(b"? ", b"? [a]\n: ", b"[", b"]", b"{", b"}", b"{{", b",", b"&a ", b"*a", b"<<: ", b"!", b"! ", b"!x ", b"!!x "),
    *(
        b"!!str ",
        b"!!int ",
        b"!!float ",
        b"!!bool x",
        b"!!null x",
        b"!!timestamp x",
        b"!!binary x",
        b"!!set ",
        b"!!map ",
    ),
    *(
        b"!!seq ",
        b"!!omap ",
        b"!!pairs ",
        b"!!python/object/apply:os.system [ls]",
        b"|",
        b">",
        b"|9\n",
        b"'",
        b'"',
        b"#",
    ),
    *(b'"\\ud800"', b'"\\0"', b'"\\x1b"', b"%YAML 9.9\n---\n", b"%TAG ! tag:x,2000:\n---\n", b"---\n", b"...\n", b"~"),
    *(b"=", b".nan", b"-.inf", b"1:30", b"1:30.5", b"0x", b"0x_", b"0b_", b"0o8", b"09", b"1_", b"-", b"+", b"1e400"),
    *(b"2001-99-99", b"2001-01-01 25:00:00", b"9" * 400, b"0x" + b"f" * 4000, b"1" + b":1" * 300 + b".5", b"null"),
    *(b"true", b"No", b"\xe2\x80\xa8", b"\xf0\x9d\x94\x98" * 80),
)
"""What changes the meaning of a text most."""


@st.composite
def mutated(draw: st.DrawFn, sources: Strategy) -> bytes:
    """Bytes of a file with some changed, put in, left out or doubled."""
    data = draw(sources)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        put = draw(st.sampled_from([*TOKENS, data[start:end] * 2]) | st.binary(max_size=3))
        data = data[:start] + put + data[end:]
    return data


SHIPPED = tuple(path.read_bytes() for path in shipped_presets().values())
SOUND_FILES = preset_contents().map(as_yaml)
PRESET_FILES = st.one_of(
    SOUND_FILES,
    spoiled(preset_contents()).map(as_yaml),
    mutated(st.sampled_from(SHIPPED) | SOUND_FILES),
)
"""The bytes of a preset's file, sound and unsound."""

CELLS = st.sampled_from(["1", "2", "0.5", "", "?", "nan", "inf", "1e400", "9" * 30, "a", "b", "[/]", "$x^$", "a\nb",
                         "1.234", "12 %", "$1", "−3", "NA", "None", "1 234", "1e5", "2020-01-01"])  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A small table as CSV, more or less."""
    names = draw(st.lists(st.sampled_from(["x", "y", "z", "", "no", "[/x]", "$"]), min_size=1, max_size=4))
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=4))
    text = "\n".join(",".join(f'"{cell}"' if "\n" in cell else cell for cell in row) for row in [names, *rows * 5])
    return text.encode()


def jsons(data: bytes) -> Strategy:
    """A recorded JSON file with garbage in it."""
    return st.builds(json.loads, st.just(data)).flatmap(lambda tree: spoiled(st.just(tree))).map(as_json)


def as_json(tree: Any) -> bytes:
    """The tree as a file; nan and lone surrogates as Python writes them."""
    return json.dumps(tree, default=str, skipkeys=True).encode()
