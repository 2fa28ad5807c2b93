"""The arguments of a call of user code, written as text: `width=64,sizes=[1, 2],mode='a,b',classes={classes}`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.fields import odd_number

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
NOT_PYTHON = ("true", "false", "none", "null", "yes", "no", "on", "off")
"""Words that are true as text, whatever they mean."""


def split_arguments(text: str) -> dict[str, str]:
    """`width=64,sizes=[1, 2]` → {'width': '64', 'sizes': '[1, 2]'}.

    Raises:
        InputError: A part is not of the form name=value, a name is given twice, or a quote or bracket is not closed.
    """
    arguments: dict[str, str] = {}
    for part in _parts(text) if text.strip() else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (equals and name.isidentifier() and value):
            raise InputError(f"'{part.strip()}' is not of the form name=value")
        if name in arguments:
            raise InputError(f"'{name}' is given twice")
        arguments[name] = value
    return arguments


def _parts(text: str) -> Iterator[str]:
    """The text between commas that are in neither quotes nor brackets."""
    depth, quote, start = 0, "", 0
    for position, character in enumerate(re.sub(r"\\.", "__", text)):  # an escaped quote ends nothing
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and not depth:
            yield text[start:position]
            start = position + 1
    if quote or depth:
        raise InputError(f"'{text}' has a {'quote' if quote else 'bracket'} without its partner")
    yield text[start:]


def read_argument(text: str, placeholders: Mapping[str, Any]) -> Any:
    """The value of one argument: a Python literal, or else the text itself.

    Args:
        text: As `split_arguments` returns it.
        placeholders: Values for `{classes}` and the like, which are replaced first.

    Raises:
        InputError: An unknown placeholder, or a word or number that would be read as text although more is meant.
    """

    def replaced(match: re.Match[str]) -> str:
        if match[1] not in placeholders:
            raise InputError(f"nothing is known for '{match[0]}' here{did_you_mean(match[1], placeholders)}")
        return str(placeholders[match[1]])

    filled = PLACEHOLDER.sub(replaced, text)
    try:
        return ast.literal_eval(filled)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    if filled.lower() in NOT_PYTHON:
        raise InputError(f"write True, False or None as Python does, or '{filled}' in quotes if it is text")
    if trouble := odd_number(filled):
        raise InputError(f"{trouble}, or put it in quotes if it is text")
    return filled
