"""The help of every command: `--help` fits two screens, `--help-all` describes every option.

Both follow from the declarations. An option with a heading (typer's `rich_help_panel`) belongs to a group: `--help`
only names the options of a group, on a line or two. Of each text, `--help` shows the first sentence. Lines break
between words only, so that no flag is ever cut.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from dnntrain.utils.fields import format_value

WIDEST_PAGE, NARROWEST_PAGE = 100, 40
"""How wide a page may be; otherwise it is as wide as the terminal."""
LEFT = 28
"""Columns for flags. A longer flag has a line of its own."""
UNBROKEN = "\N{NO-BREAK SPACE}"
WHERE = "Where and how it runs"
"""The heading of options that change no result."""
ELSEWHERE = "For every command"
"""The heading of options that all commands have."""
LAST_HEADINGS = (WHERE, ELSEWHERE)
"""The headings that come last."""


class HelpfulCommand(TyperCommand):
    """A command whose help has this layout."""

    def format_help(self, context: Any, formatter: Any) -> None:
        formatter.write(page(context))


class HelpfulGroup(TyperGroup):
    """A command with commands of its own, whose help has this layout. Alone, it prints its help."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        if not (args or self.invoke_without_command or context.resilient_parsing):
            typer.echo(context.get_help())
            raise typer.Exit
        return super().parse_args(context, args)

    def format_help(self, context: Any, formatter: Any) -> None:
        formatter.write(page(context))

    def listed(self, context: Any) -> list[tuple[str, str]]:
        """The names of its commands, each with the first sentence of its text."""
        commands = ((name, self.get_command(context, name)) for name in self.list_commands(context))
        return [(name, opening_sentence(command.help)) for name, command in commands if command]


def show_everything(context: typer.Context, asked: bool) -> None:
    """What `--help-all` does."""
    if asked and not context.resilient_parsing:
        typer.echo(page(context, everything=True), nl=False)
        raise typer.Exit


def page(context: typer.Context, *, everything: bool = False) -> str:
    """The help of a command.

    Args:
        context: The command's context.
        everything: Whether to describe the options of groups too, and to show whole texts.
    """
    width = max(NARROWEST_PAGE, min(shutil.get_terminal_size().columns, WIDEST_PAGE))
    return "".join(f"{line}\n" for line in page_lines(context, width, everything))


def page_lines(context: typer.Context, width: int, everything: bool) -> Iterator[str]:
    """The lines of a page: usage, text, commands, arguments, options, groups of options, examples."""
    command: Any = context.command
    parameters = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
    text, _, examples = inspect.cleandoc(command.help or "").partition("Examples:\n")
    yield f"Usage: {usage_line(context, parameters)}"
    for paragraph in filter(None, text.split("\n\n")):
        yield ""
        yield from text_lines(" ".join(paragraph.split()), width)
    is_group = hasattr(command, "commands")
    if is_group:
        yield from section("Commands", command.listed(context), width)
    groups = by_heading(each for each in parameters if each.param_type_name == "option")
    opened = groups if everything or is_group else {"Options": groups.pop("Options", [])}
    arguments = [each for each in parameters if each.param_type_name == "argument" and each.help]
    for heading, members in ({"Arguments": arguments} | opened).items():
        yield from section(heading, [(flags(each), parameter_text(each, everything)) for each in members], width)
    if opened is not groups:
        yield from folded_section(context.command_path, groups, width)
    if examples:
        yield from ("", typer.style("Examples:", bold=True))
        yield from (f"  {line.strip()}" for line in examples.splitlines())


def by_heading(options: Iterable[Any]) -> dict[str, list[Any]]:
    """The options under their headings, in the order of declaration except for the last headings."""
    groups: dict[str, list[Any]] = {}
    for option in options:
        heading = ELSEWHERE if option.name == "help" else option.rich_help_panel
        groups.setdefault(heading or "Options", []).append(option)
    return dict(
        sorted(groups.items(), key=lambda group: LAST_HEADINGS.index(group[0]) if group[0] in LAST_HEADINGS else -1)
    )


def usage_line(context: typer.Context, parameters: Iterable[Any]) -> str:
    """`dnntrain report [OPTIONS] PATHS…`."""
    words = [context.command_path, "[OPTIONS]"]
    for each in parameters:
        if each.param_type_name == "argument":
            name = flags(each)
            words.append(name if each.required else f"[{name}]")
    return " ".join([*words, *(["COMMAND …"] if hasattr(context.command, "commands") else [])])


def flags(parameter: Any) -> str:
    """An option's flags, letter and kind of value: `--epochs, -e N`; or an argument's name, `PATHS…`."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper()) + ("…" if parameter.nargs == -1 else "")
    names = ["/".join(flag for flag in [*parameter.opts, *parameter.secondary_opts] if len(flag) > 2)]
    names += [flag for flag in parameter.opts if len(flag) == 2]
    return ", ".join(names) + ("" if parameter.is_flag else f" {parameter.metavar or 'TEXT'}")


def parameter_text(parameter: Any, everything: bool) -> str:
    """What a parameter is, or the first sentence of it, with its default."""
    text = (parameter.help or "") if everything else opening_sentence(parameter.help)
    if text[1:2].islower():
        text = text[0].lower() + text[1:]
    shown = parameter.show_default
    default = shown if isinstance(shown, str) else parameter.default if shown else None
    if callable(default) or default in (None, False, "", [], ()):
        return text
    return f"{text} (default {format_value(default)})"


def opening_sentence(text: str | None) -> str:
    """The first sentence of a text, without its period."""
    sentence = re.split(r"\.(?=\s+[A-Z]|\s*$)", " ".join((text or "").split()), maxsplit=1)[0]
    return sentence.partition(" Examples:")[0]


def section(heading: str, rows: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Names at the left with texts at the right, under a heading; nothing without rows."""
    if rows:
        yield ""
        yield typer.style(f"{heading}:", bold=True)
    left = min(LEFT, max((len(name) for name, _ in rows), default=0) + 4)
    for name, text in rows:
        lines = text_lines(text, max(width - left, NARROWEST_PAGE // 2))
        if len(name) > left - 4 or not lines:
            yield f"  {name}"
        else:
            yield f"  {name}".ljust(left) + lines.pop(0)
        yield from (" " * left + line for line in lines)


def folded_section(command: str, groups: dict[str, list[Any]], width: int) -> Iterator[str]:
    """The flags of each group, without those that refine another one. Groups with one flag share lines."""
    yield ""
    yield typer.style(f"More options, which `{command} --help-all` describes:", bold=True)
    lines: dict[str, list[str]] = {"several": [], "one": [], "last": []}
    for heading, options in groups.items():
        named = [max(option.opts, key=len) for option in options if not refines(option, options)]
        kind = "last" if heading in LAST_HEADINGS else "several" if named[1:] else "one"
        lines[kind].append(f"{heading}: {', '.join(named)}")
    alone = "; ".join(line.replace(" ", UNBROKEN) for line in lines["one"])
    for line in (*lines["several"], alone, *lines["last"]):
        yield from (part.replace(UNBROKEN, " ") for part in text_lines(line, width, "  ", "    "))


def refines(option: Any, group: list[Any]) -> bool:
    """Whether an option refines another one of its group, as --random-erasing-min-area does."""
    return option.name != "help_all" and any(option.name.startswith(f"{other.name}_") for other in group)


def text_lines(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """The lines of a text. Words are never broken, nor flags at their hyphens."""
    return wrap(text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False,
                break_on_hyphens=False)  # fmt: skip
