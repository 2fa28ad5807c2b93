"""Words that messages and reports share."""

from __future__ import annotations


def count_noun(count: int, noun: str) -> str:
    """A count and its noun: '1 row', '1,200 rows'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
