"""What can go wrong through no fault of the code: each error is one clear message and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DnntrainError(Exception):
    """Something failed while running (exit code 1): no room on disk, a broken download, a dead worker."""

    exit_code = 1


class InputError(DnntrainError):
    """What the user gave is wrong (exit code 2); the message says what, where, and what would be right."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'relu'?` for the known word nearest to `word`, else the known words."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        completed = [name for name in near if name.startswith(word)]  # a word cut short, before one with a typo
        return f"; did you mean '{(completed or near)[0]}'?"
    return f"; known: {', '.join(sorted(names))}" if names else ""
