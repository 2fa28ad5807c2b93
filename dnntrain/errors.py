"""What can go wrong through no fault of the code: each error is one clear message and an exit code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from dnntrain.synonyms import SYNONYMS

MOST_LISTED = 12
"""The most known names that an error lists."""
MOST_MEANT = 3
"""The most names that an error suggests."""


class DnntrainError(Exception):
    """Something failed while running (exit code 1): no room on disk, a broken download, a dead worker."""

    exit_code = 1


class InputError(DnntrainError):
    """What the user gave is wrong (exit code 2); the message says what, where, and what would be right."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str], listed_by: str = "", equals: str = "=") -> str:
    """What to write instead of an unknown word, as the end of an error message.

    Args:
        word: The unknown word.
        known: The names that are known.
        listed_by: The command that lists them, for names that are too many for a message.
        equals: What stands between a key and its value.

    Returns:
        `; did you mean 'relu'?` where names resemble the word, else the known names if they are few.
    """
    names = [name for name in known if name != word]
    if near := nearest(word, names):
        # a synonym with a value is no known name
        *others, last = [f"'{name if name in names else name.replace('=', equals, 1)}'" for name in near]
        return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    if len(names) > MOST_LISTED and listed_by:
        return f"; `{listed_by}` lists them"
    more = len(names) - MOST_LISTED
    listed = ", ".join(sorted(names)[:MOST_LISTED])
    return f"; known: {listed}{f' and {more} more' if more > 0 else ''}" if names else ""


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known names that a word may stand for, at most three; meaning counts before letters.

    The ways from one to the other, of which the first that leads somewhere counts: a synonym, which may have a value
    (`optimizer=sgd:momentum=0.9`), the same letters, names that begin with the word, a name with a typo, the longest
    name that the word begins with, names that have the word as a part, and the most similar name.
    """
    names = {_plain(name): name for name in known}
    text = _plain(word)
    begun = sorted((name for name in names if len(text) > 1 and name.startswith(text)), key=len)
    begun = [name for name in begun if not any(name.startswith(f"{shorter}_") for shorter in begun)]
    ways = (
        _synonyms(text, names),
        [name for name in names if name.replace("_", "") == text.replace("_", "")],
        begun if len(begun) <= MOST_MEANT else [],
        difflib.get_close_matches(text, names, n=1, cutoff=0.75),
        sorted((name for name in names if text.startswith(f"{name}_")), key=len)[-1:],
        [name for name in names if text and text in name.split("_")],
        difflib.get_close_matches(text, names, n=1, cutoff=0.6),
    )
    found = next(filter(None, ways), [])
    return [names.get(name, name) for name in found[:MOST_MEANT]]


def _plain(name: str) -> str:
    """A name as it is compared: in small letters, with underscores."""
    return re.sub(r"[\s_-]+", "_", name.casefold().strip(" -"))


def _synonyms(text: str, names: Iterable[str]) -> list[str]:
    """What a word means by the table: known names, or known names with a value.

    The part of a metric's column stays: val_accuracy is val_acc, and accuracy may be that of any part.
    """
    parts = text.split("_")
    for start in range(len(parts)):
        head, meanings = "_".join([*parts[:start], ""]), _MEANINGS.get("".join(parts[start:]), ())
        if found := [head + meant for meant in meanings if head + re.split("[:=]", meant)[0] in names]:
            return found
    return [name for meant in _MEANINGS.get(text, ()) for name in names if name.endswith(f"_{meant}")]


_MEANINGS = {word.replace("_", ""): meanings for word, meanings in SYNONYMS.items()}
