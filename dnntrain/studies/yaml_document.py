"""YAML with all values kept as text, and errors that name file and line.

YAML 1.1 reads `on`, `no`, `1e-3`, `010` and `1:30` in surprising ways. So only the structure comes from YAML: keys and
values stay text, which is parsed like a flag's value when a number or a boolean is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import yaml

from dnntrain.errors import InputError

MAX_NESTING = 10
"""The deepest nesting that is allowed."""


NULL = "tag:yaml.org,2002:null"
SCALARS = {NULL, *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "bool", "int", "float", "timestamp", "value"))}


@dataclass(frozen=True)
class Document:
    """Keys and values, and where each key was given, for error messages."""

    where: str
    """The file, or the function that was called."""
    content: Mapping[str, Any]
    """Mappings, lists and text; None where a value is empty, `~` or `null`."""
    words: Mapping[str, Any]
    """The same with `null` as a word, for keys that take names."""
    source: str = ""
    """The YAML text; empty if the values came from Python."""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """The line of each key, by its path."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Keys that the user knows by another name."""

    @classmethod
    def read(cls, text: str, where: str) -> Document:
        """Parse YAML: plain data only, no aliases, no key twice.

        Raises:
            InputError: If the text is not such a document; the message names file and line.
        """
        try:
            node = Loader(text, where).get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise InputError(f"{where}: must hold keys with values, like name, base and factors")
            lines = dict(key_lines(node, (), where))
            return cls(where, tree(node, where), tree(node, where, words=True), text, lines)
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise InputError(f"{where}{line}: no valid YAML: {error.problem or error.context}") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise InputError(f"{where}: no valid YAML: {error or type(error).__name__}") from None

    def text(self, key: str, default: str) -> str:
        """The text of a key."""
        return self._text(key, self.content.get(key), default)

    def word(self, key: str, default: str) -> str:
        """The text of a key that takes a name, which may be `null`."""
        return self._text(key, self.words.get(key), default)

    def _text(self, key: str, value: object, default: str) -> str:
        if isinstance(value, Mapping | list):
            with self.at(key):
                raise InputError(f"must be text, not {value!r}")
        return default if value is None else str(value).strip()

    def mapping(self, key: str) -> dict[str, Any]:
        """The mapping of a key; empty if the key is missing."""
        value = self.content.get(key)
        if not isinstance(value, Mapping | None):
            with self.at(key):
                raise InputError(f"must be keys with values, not {value!r}")
        return dict(value or {})

    def at(self, *path: str) -> Location:
        """A context manager that adds this location to an InputError."""
        return Location(self, path)

    def line(self, path: tuple[str, ...]) -> int | None:
        """The line of the key at the path, or of the nearest key above it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


class Loader(yaml.SafeLoader):
    """Refuses YAML that could expand a small text into large data, before such a part of it is composed."""

    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where = where
        self.nesting = 0

    def get_event(self) -> Any:
        event = super().get_event()  # type: ignore[no-untyped-call]
        self.nesting += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"{self.where}:{line}: aliases (*{event.anchor}) are not allowed")
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<":
            raise InputError(f"{self.where}:{line}: merge keys (<<) are not allowed")
        if self.nesting > MAX_NESTING:
            raise InputError(f"{self.where}:{line}: nested more than {MAX_NESTING} deep")
        return event


class LocatedError(InputError):
    """An InputError whose message has a location."""


@dataclass
class Location:
    """Adds file, line and key to an InputError raised in its `with` block."""

    document: Document
    path: tuple[str, ...]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError) and not isinstance(error, LocatedError):
            raise LocatedError(self.placed(str(error))) from None

    def placed(self, message: str) -> str:
        """The message with file, line and keys in front."""
        # a message starts with the wrong key, or quotes it first: use the line of that key
        words = [message.split(" ")[0].rstrip(":"), *message.split("'")[1:2]]
        inner = ((*self.path, word) for word in words)
        line = self.document.line(next((path for path in inner if path in self.document.lines), self.path))
        keys = ".".join(self.document.aliases.get(key, key) for key in self.path)
        prefix = "" if not keys or words[0] == keys else f"{keys}: "
        return f"{self.document.where}{f':{line}' if line else ''}: {prefix}{message}"


def key_lines(node: yaml.Node, path: tuple[str, ...], where: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the path and line (from 1) of every key; InputError for a duplicate key, or one that is not text."""
    if not isinstance(node, yaml.MappingNode):
        return
    check_commas(node, path, where)
    seen = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{where}:{line}: no valid YAML: a key must be a word")
        if key.value in seen:
            raise InputError(f"{where}:{line}: '{key.value}' is given twice")
        seen.add(key.value)
        yield (*path, key.value), line
        yield from key_lines(value, (*path, key.value), where)


def check_commas(node: yaml.MappingNode, path: tuple[str, ...], where: str) -> None:
    """Refuse `{hidden: 300,100}`, which YAML reads as a key hidden and a key 100 without a value."""
    if not node.flow_style:
        return
    pairs = list(node.value)
    for number, (key, value) in enumerate(pairs):
        cut_off = list(takewhile(is_alone, pairs[number + 1 :]))
        if cut_off and isinstance(value, yaml.ScalarNode) and value.value and value.style is None:
            whole = ",".join([value.value, *(rest.value for rest, _ in cut_off)])
            is_number = re.fullmatch(r"[+-]?0,\d+", whole)  # no list of layers or seeds begins with 0
            meant = whole.replace(",", ".") if is_number else f"'{whole}'"
            said = f"a comma ends a value within {{ }}; write {key.value}: {meant}"
            raise InputError(f"{where}:{key.start_mark.line + 1}: {'.'.join((*path, key.value))}: {said}")


def is_alone(pair: tuple[yaml.Node, yaml.Node]) -> bool:
    """Whether a key of a flow mapping has no value and no colon."""
    key, value = pair
    mark = key.end_mark
    between = mark.buffer[mark.pointer :].lstrip() if mark.buffer is not None else ""
    return isinstance(key, yaml.ScalarNode) and value.value == "" and not between.startswith(":")


def tree(node: yaml.Node, where: str, *, words: bool = False) -> Any:
    """Mappings, lists and text. Empty values, `~` and `null` are None; with `words`, `null` stays a word."""
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        return {key.value: tree(value, where, words=words) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [tree(item, where, words=words) for item in node.value]
    if node.tag not in SCALARS:
        raise InputError(f"{where}:{node.start_mark.line + 1}: no valid YAML: the tag {node.tag} has no meaning here")
    is_nothing = node.tag == NULL and not (words and node.value.lower() == "null")
    return None if is_nothing else node.value
