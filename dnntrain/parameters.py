"""How what can be set is declared: default, help, unit and bounds, from which flags, preset keys and cards follow."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo


def parameter(default: Any, help: str, *, per_member: bool = False, unit: str = "", **bounds: Any) -> Any:
    """A hyper-parameter: default, help, unit and bounds (gt, ge, lt, le).

    `per_member` says that the members of one population may differ in it: see `techniques.base.stack`.
    """
    return Field(default, description=help, json_schema_extra={"per_member": per_member, "unit": unit}, **bounds)


def extra(field: FieldInfo, key: str) -> Any:
    """What `parameter` noted beside a field's type: 'per_member' or 'unit'."""
    return field.json_schema_extra.get(key) if isinstance(field.json_schema_extra, dict) else None


def plain(value: Any) -> str:
    """A value as people write it: 1.0 → '1', True → 'on', None → 'off'."""
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def explain(error: ValueError) -> str:
    """A pydantic error (or a plain ValueError) as one line: the parameter, the value given, what is allowed."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return str(error)
    problem = problems(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = str(problem.get("ctx", {}).get("error") or problem["msg"])
    message = message.replace("Input should be", "must be").replace("Extra inputs are not permitted", "unknown")
    given = problem["input"]
    said = "" if repr(given) in message or isinstance(given, dict) else f" {plain(given)!r}"
    return f"{where}{said}: {message}" if where else message
