"""Reads .csv and .tsv files: the cells as text, and the line at which each row starts."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from dnntrain.errors import InputError
from dnntrain.utils.files import GZIP_MAGIC

SEPARATORS = ("\t", ";", "|", ",")
"""In order of preference, if the header and the first row have equally many of each."""
SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n])"?\r?\n', re.IGNORECASE)
"""The line that Excel writes above the header to name the separator."""
QUOTED = re.compile(r'"(?:[^"]|"")*"')
SAMPLE = 1 << 16
"""The separator is guessed from this many characters."""


class TextCells(NamedTuple):
    """The cells of a file, without surrounding blanks."""

    names: list[str]
    columns: list[tuple[str, ...]]
    """For each name, its cells in row order."""
    lines: list[int]
    """The line number at which each row starts, from 1."""
    separator: str
    padded: frozenset[str]
    """The columns in which some cells are equal only without surrounding blanks."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.lines)

    def place(self, row: int) -> str:
        """The row's line in the file, as 'line 5'."""
        return f"line {self.lines[row]}"

    def has(self, text: str) -> bool:
        """Whether a cell is this text."""
        return any(text in column for column in self.columns)


def read_cells(path: Path) -> TextCells:
    """Read a .csv or .tsv file, gzipped or plain.

    Raises:
        InputError: The file is unreadable or malformed; names the line.
    """
    text = read_text(path)
    declared = SEPARATOR_LINE.match(text)
    skipped = 1 if declared else 0
    text = text[declared.end() :] if declared else text
    separator = declared[1] if declared else guess_separator(path, text)
    names, rows, lines = read_rows(path, text, separator, skipped)
    raw = list(zip(*rows, strict=True)) or [() for _ in names]
    columns = [tuple(map(str.strip, column)) for column in raw]
    padded = frozenset(
        name
        for name, before, after in zip(names, raw, columns, strict=True)
        if before != after and len(set(before)) > len(set(after))
    )
    return TextCells(names, columns, lines, separator, padded)


def read_rows(path: Path, text: str, separator: str, skipped: int) -> tuple[list[str], list[list[str]], list[int]]:
    """Parse a table.

    Args:
        path: The file, for messages.
        text: Its content, without the first `skipped` lines.
        separator: The character between fields.
        skipped: Added to line numbers.

    Returns:
        The header's names, the rows, and the line at which each row starts.

    Raises:
        InputError: The file is empty, or a row has more or fewer fields than the header.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    next_line = 1 + skipped
    try:
        for row in reader:
            line, next_line = next_line, reader.line_num + 1 + skipped
            if not any(row) and (not names or len(row) != len(names)):
                continue  # a blank line
            if not names:
                names = [name.strip() for name in row]
                continue
            if len(row) != len(names):
                last = next_line - 1
                raise InputError(f"{path}: line {last}: {len(row)} fields, but the header has {len(names)}")
            rows.append(row)
            lines.append(line)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num + skipped}: {error}") from None
    if not names:
        raise InputError(f"{path}: empty")
    return names, rows, lines


def read_text(path: Path) -> str:
    """Read the file's text; InputError names a line that is not UTF-8."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise InputError(f"{path}: line {line} is not UTF-8 (byte 0x{byte:02x}); save it as UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: damaged or truncated gzip file ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def guess_separator(path: Path, text: str) -> str:
    """Guess the separator: the most frequent one in the header, preferably as frequent in the first row.

    Quoted text is ignored. Without any separator, the file's suffix decides.
    """
    header, first, *_ = [*QUOTED.sub("", text[:SAMPLE]).lstrip("\r\n").split("\n", 2), "", ""]
    fits = [mark for mark in SEPARATORS if 0 < header.count(mark) == first.count(mark)]
    best = max(fits or SEPARATORS, key=header.count)
    return best if best in header else "\t" if ".tsv" in path.name.casefold() else ","
