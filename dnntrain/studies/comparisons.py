"""Keys of a preset that ask for comparisons beyond an arm against the baseline: `within` and `order`.

within: norm                                  # each norm against the first one, at each setting of the other factors
order: [selu, elu, leaky_relu, relu]          # the best first: does each arm beat the next?
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dnntrain.analysis.options import check_order
from dnntrain.errors import InputError, did_you_mean
from dnntrain.studies.yaml_document import Document


def read_within(document: Document, levels: Mapping[str, Collection[str]], design: str) -> str:
    """The factor whose levels are compared at each setting of the others; empty if none is asked for.

    Args:
        document: The preset.
        levels: The levels of each of its factors.
        design: Its design.

    Raises:
        InputError: There is no such factor, it has one level, or the design has no cells to compare within.
    """
    if document.words.get("within") is None:
        return ""
    name = document.word("within", "")
    with document.at("within"):
        if design != "factorial" or len(levels) < 2:
            raise InputError("needs design: factorial, with at least two factors")
        if name not in levels:
            raise InputError(f"no factor '{name}'{did_you_mean(name, levels)}")
        if len(levels[name]) < 2:
            raise InputError(f"factor '{name}' has one level, so there is nothing to compare")
    return name


def read_order(document: Document, arms: Collection[str]) -> tuple[str, ...]:
    """The arms in the order to test, the best first; empty if none is asked for.

    Args:
        document: The preset.
        arms: Its arms' names.

    Raises:
        InputError: It is no list of at least three different arms.
    """
    names = document.words.get("order")
    if names is None:
        return ()
    with document.at("order"):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"must be a list of arms, the best first, like [selu, elu, relu], not {names!r}")
        return check_order(names, arms)
