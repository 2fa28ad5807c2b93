"""YAML files that know the line of each of their keys, so that every mistake is answered with file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dnntrain.errors import InputError

DEEPEST = 10
"""Levels of nesting that a document may have."""


class Document:
    """A YAML mapping that knows the line of each of its keys."""

    def __init__(self, text: str, content: Mapping[str, Any], lines: dict[tuple[str, ...], int], where: str) -> None:
        self.text, self.content, self.lines, self.where = text, content, lines, where

    @classmethod
    def read(cls, text: str, where: str) -> Document:
        """Parse; plain data only, no aliases, no key twice."""
        try:
            check_events(text, where)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if not isinstance(node, yaml.MappingNode):
                raise InputError(f"{where}: must hold keys with values, like name, base and factors")
            lines = dict(key_lines(node, (), where))
            return cls(text, yaml.safe_load(text), lines, where)
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise InputError(f"{where}{line}: no valid YAML: {error.problem or error.context}") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise InputError(f"{where}: no valid YAML: {error or type(error).__name__}") from None

    def at(self, *path: str) -> Place:
        """A context in which an InputError is told with this place's line and keys."""
        return Place(self, path)

    def line(self, path: tuple[str, ...]) -> int | None:
        """The line of the nearest key that the path leads to."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


def check_events(text: str, where: str) -> None:
    """Refuse what could make a small text large or slow, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"{where}:{line}: aliases (*{event.anchor}) are not allowed")
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<":
            raise InputError(f"{where}:{line}: merge keys (<<) are not allowed")
        if depth > DEEPEST:
            raise InputError(f"{where}:{line}: nested more than {DEEPEST} deep")


class PlacedError(InputError):
    """An InputError that says where already."""


@dataclass
class Place:
    """Adds file, line and key to an InputError that is raised within it."""

    document: Document
    path: tuple[str, ...]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError) and not isinstance(error, PlacedError):
            raise PlacedError(self.placed(str(error))) from None

    def placed(self, message: str) -> str:
        """The message with the file, and the line and keys of what it is about."""
        # a message begins with the key that is wrong, or quotes it first: the line is that key's
        words = [message.split(" ")[0].rstrip(":"), *message.split("'")[1:2]]
        inner = ((*self.path, word) for word in words)
        line = self.document.line(next((path for path in inner if path in self.document.lines), self.path))
        keys = ".".join(self.path)
        prefix = "" if not keys or message.startswith(f"{keys}:") else f"{keys}: "
        return f"{self.document.where}{f':{line}' if line else ''}: {prefix}{message}"


def key_lines(node: yaml.Node, path: tuple[str, ...], where: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every key's path with its line (from 1); raises InputError for a key that is given twice."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        name = str(getattr(key, "value", key))
        line = key.start_mark.line + 1
        if name in seen:
            raise InputError(f"{where}:{line}: '{name}' is given twice")
        seen.add(name)
        yield (*path, name), line
        yield from key_lines(value, (*path, name), where)
