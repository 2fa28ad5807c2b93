"""The code as a whole: a public name means one thing. (The direction of imports is import-linter's: `make check`.)"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import dnntrain

PACKAGE = Path(dnntrain.__file__).parent


def public_names(tree: ast.Module) -> Iterator[str]:
    """The classes, functions, and constants that a module defines, without type variables and CLI commands."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.FunctionDef):
            if not any("command(" in ast.unparse(decorator) for decorator in node.decorator_list):
                yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if not (isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "TypeVar"):
                yield from (leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name))


def definitions() -> dict[str, set[str]]:
    """The modules that define each public name."""
    found = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
            is_verb = path.parent.name == "cli" and path.stem == name  # `dnntrain train` is `dnntrain.train`
            if not (name.startswith("_") or is_verb):
                found[name].add(path.relative_to(PACKAGE).as_posix())
    return found


def test_no_two_modules_define_the_same_public_name() -> None:
    duplicates = {name: modules for name, modules in definitions().items() if len(modules) > 1}
    assert not duplicates
