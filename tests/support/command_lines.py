"""Command lines, sound and unsound, as Hypothesis strategies that follow from the commands' own declarations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from hypothesis import strategies as st

from dnntrain.cli.main import app
from dnntrain.config.spec import flat_keys
from dnntrain.data import SOURCES
from dnntrain.metrics import metric_columns
from dnntrain.studies.designs import DESIGNS
from dnntrain.studies.presets import shipped_presets
from dnntrain.techniques import CATALOGUE
from tests.support.strategies import NUMBERS, SEEDS, TEXT, Strategy, setting

Path = tuple[str, ...]
"""The words that lead to a command."""


def commands(command: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Every command with the words that lead to it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(path, command)]
    return [leaf for name, each in inner.items() for leaf in commands(each, (*path, name))]


COMMANDS = commands(typer.main.get_command(app))
VOCABULARY = (
    *(*CATALOGUE, *metric_columns(), *SOURCES, *DESIGNS, *flat_keys(), *shipped_presets()),
    *("cpu", "mean", "arm", "seconds", "0.5", "50%"),
)
"""Words that are known somewhere."""
PLACES = ("out", "made/here", "new.png", "new.csv", "", ".", "-", "[/x]", "a" * 300, "a\0b")
"""Where something is to be written, and may be removed: within the folder of the trial."""

ASSIGNMENTS = st.sampled_from([*flat_keys()]).flatmap(lambda key: setting(key).map(lambda value: f"{key}={value}"))
"""KEY=VALUE of a run."""


def requirements(arms: Sequence[str]) -> Strategy:
    """`elu >= relu - 0.3pp`, with arms of recorded studies."""
    arm = st.sampled_from(arms)
    figure = (
        arm | st.builds("{}.{}".format, arm, st.sampled_from(metric_columns())) | st.sampled_from(["0.5", "50%", "nan"])
    )
    margin = st.sampled_from(["", " - 0.3pp", " + 1%", " - 1e400", " + .", " - 0.1"])
    return st.builds("{} {} {}{}".format, figure, st.sampled_from([">=", "<=", "<", ">", "=="]), figure, margin)


@dataclass(frozen=True)
class Known:
    """What is there to be named in a folder."""

    files: tuple[str, ...]
    """Files and folders, by their paths within it."""
    names: tuple[str, ...]
    """Studies and runs."""
    arms: tuple[str, ...]

    @property
    def words(self) -> Strategy:
        """What a flag may be given."""
        sound = st.sampled_from([*self.names, *self.arms, *self.files, *VOCABULARY])
        return sound | TEXT | ASSIGNMENTS | requirements(self.arms) | SEEDS.map(str)

    def values(self, parameter: Any) -> Strategy:
        """Words for one flag or argument."""
        # releases of typer differ in where they keep an option's type
        kind = str(vars(parameter).get("type_descriptor") or vars(parameter).get("type")).lower()
        if parameter.name in flat_keys():
            return (setting(parameter.name) | TEXT).map(str)
        if re.search(r"\b(int|float)", kind):
            return st.integers(-1, 3).map(str) | NUMBERS.map(str) | TEXT
        if parameter.param_type_name == "argument":
            return st.sampled_from(self.files) | self.words
        if "path" in kind or parameter.metavar == "FILE" or parameter.name in ("data_dir", "mirror"):
            return st.sampled_from([*PLACES, *self.files])
        return self.words

    @property
    def lines(self) -> Strategy:
        """Command lines of every command."""
        return st.sampled_from(COMMANDS).flatmap(lambda leaf: line(self, *leaf))


@st.composite
def line(draw: st.DrawFn, known: Known, path: Path, command: Any) -> list[str]:
    """A command line of one command: some flags, the arguments, and seldom a word too many."""
    words = [*path]
    flags = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    for flag in draw(st.lists(st.sampled_from(flags), max_size=4)) if flags else []:
        values = [] if flag.is_flag else [draw(known.values(flag)) for _ in range(flag.nargs)]
        words += [draw(st.sampled_from([*flag.opts, *flag.secondary_opts])), *values]
    for argument in command.params:
        if argument.param_type_name == "argument":
            count = draw(st.sampled_from([1, 1, 1, 1, 1, 0 if argument.nargs == 1 else 2]))
            words += [draw(known.values(argument)) for _ in range(count)]
    return words + draw(st.sampled_from([[]] * 9 + [["word"], ["--help"]]))


def is_sendable(word: str) -> bool:
    """Whether a process can be given the word."""
    try:
        word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return "\0" not in word
