"""The pages that are written from the code: `make docs` writes them, and a test holds them to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import typer

from dnntrain.cli import help as help_pages
from dnntrain.cli.docs import INDEX, PAGES_FOLDER
from dnntrain.cli.main import CommandTable
from dnntrain.cli.spec_options import group, metavar, run_keys
from dnntrain.cli.techniques import parameters, usage
from dnntrain.config.keys import flag
from dnntrain.config.spec import choice_keys, flat_keys
from dnntrain.studies.presets import shipped_presets
from dnntrain.studies.yaml_document import Document
from dnntrain.techniques import CATALOGUE
from dnntrain.utils.fields import field_extra, format_value
from dnntrain.utils.plugins import plugin_of

GROUPS = {
    "Start": ("getting-started", "shipped-presets", "recipes", "lecture"),
    "Write a study": ("presets", "settings", "data", "networks", "techniques", "catalogue", "transfer"),
    "Read the results": ("reports", "verdicts", "metrics", "sensitivity"),
    "Put it to use": ("gates", "models", "tracking", "python", "gpu", "clusters", "plugins"),
    "Look up": ("commands", "records", "reproducibility", "benchmarks", "how-it-works", "limits", "existing-studies"),
}
"""The pages by what a reader wants, in the order of the list of pages."""

FROM_CODE = "\n<!-- `make docs` writes this page from the code. -->\n"


def generated_pages() -> dict[str, str]:
    """The text of every generated page by its name; the list of pages comes last, since it quotes the others."""
    written = {name: f"{page().rstrip()}\n{FROM_CODE}" for name, page in PAGES.items()}
    return written | {INDEX: index_page(written)}


def index_page(written: dict[str, str]) -> str:
    """The list of pages, each with its first sentence."""
    lines = ["# Documentation", "", "`dnntrain docs TOPIC` shows one of these pages in the terminal.", ""]
    for heading, names in GROUPS.items():
        there = [name for name in names if name in written or (PAGES_FOLDER / f"{name}.md").is_file()]
        lines += [
            f"**{heading}**",
            "",
            *table(["topic", ""], ([link(name), first_sentence(name, written)] for name in there)),
        ]
    return "\n".join(lines).rstrip() + f"\n{FROM_CODE}"


def first_sentence(name: str, written: dict[str, str]) -> str:
    """The first sentence below a page's title, which says what the page is for."""
    text = written.get(name) or (PAGES_FOLDER / f"{name}.md").read_text()
    return " ".join(text.split("\n\n")[1].split()).partition(". ")[0].removesuffix(".") + "."


def settings_page() -> str:
    """Every setting of a run."""
    lines = [
        "# Settings", "",
        "Every setting of a run: a key in presets (`early_stop: 5`), a flag on the command line (`--early-stop 5`), "
        "and a keyword in Python (`early_stop=5`).", "",
        "A setting without a default is off. `NAME` is a technique, with its parameters after a colon: "
        "`sgd:momentum=0.9,nesterov=on`; the [catalogue](catalogue.md) has all names. A switch such as `--bn` is "
        "`bn: true` in a preset, and `--no-bn` turns it off.", "",
    ]  # fmt: skip
    groups: dict[str, list[str]] = {}
    for key in own_keys():
        groups.setdefault(group(key), []).append(key)
    for heading, keys in groups.items():
        lines += [f"## {heading}", "", *table(["key", "value", "default", ""], map(setting_row, keys))]
    return "\n".join(lines)


def own_keys() -> list[str]:
    """The settings of dnntrain itself, without those of plug-ins that are loaded."""
    foreign = {key for t in CATALOGUE.values() if plugin_of(t) for key in (t.name, *map(t.key, t.model_fields))
               if hasattr(t, "key")}  # fmt: skip
    return [key for key in run_keys() if key not in foreign]


def setting_row(key: str) -> list[str]:
    """A setting with its kind of value, default and description."""
    field = flat_keys()[key]
    is_switch = field.annotation is bool
    default = "" if field.default in (None, False) else f"`{format_value(field.default)}`"
    unit = field_extra(field, "unit")
    value = "true or false" if is_switch else "NAME" if key in choice_keys() else metavar(key)
    return [f"`{key}`", value, default, (field.description or "") + (f" ({unit})" if unit else "")]


def catalogue_page() -> str:
    """Every technique with its card."""
    lines = [
        "# Catalogue", "",
        "Every technique: what it does, its formula, when to use it, its parameters, flag, and source.", "",
        "`dnntrain techniques NAME` shows one. [Techniques](techniques.md) has the rules that several share.", "",
    ]  # fmt: skip
    own = (technique for technique in CATALOGUE.values() if not plugin_of(technique))
    for family, members in groupby(sorted(own, key=lambda t: t.family), key=lambda t: t.family):
        lines += [f"## {family}", ""]
        for technique in members:
            ways = usage(technique, flags=True).replace("   or ", "\n").split("\n")
            about = [f"formula: `{technique.formula}`", f"when: {technique.advice}", *parameters(technique)]
            about += [f"flag: {', '.join(f'`{way}`' for way in ways)}", f"paper: {technique.paper}"]
            lines += [f"### {technique.name}", "", technique.summary, "", *(f"- {line}" for line in about), ""]
    return "\n".join(lines)


def presets_page() -> str:
    """The presets that come with dnntrain."""
    documents = {name: Document.read(path.read_text(), str(path)) for name, path in shipped_presets().items()}
    rows = [[f"`{name}`", document.text("question", "")] for name, document in documents.items()]
    return "\n".join([
        "# Shipped presets", "",
        "The studies that come with dnntrain, each with the question that it answers.", "",
        "```console", "$ dnntrain presets show vanishing", "$ dnntrain ablate vanishing --plan", "```", "",
        "```console slow", "$ dnntrain ablate vanishing", "```", "",
        "```sh", "dnntrain presets                             # the same list, with what each needs and takes here",
        "dnntrain presets copy vanishing mine.yaml    # to change it",
        "dnntrain ablate vanishing --set lr=0.1       # another study, next to it", "```", "",
        *table(["preset", "question"], rows),
        "[The lecture](lecture.md) has what the presets say about the advice of its slides.",
    ])  # fmt: skip


EXIT_CODES = (
    ("0", "success"), ("1", "a failure, or a requirement that fails"),
    ("2", "bad input; the message says where, and what would be right"),
    ("3", "a requirement that is inconclusive"), ("130", "interrupted"),
)  # fmt: skip
VARIABLES = (
    ("DNNTRAIN_DATA", "the data directory"), ("DNNTRAIN_PLUGINS", "files with plug-ins, separated as in `PATH`"),
)  # fmt: skip


def commands_page() -> str:
    """Every command with its options; those that are settings are on the page about settings."""
    lines = [
        "# Commands", "",
        "Every command with its arguments and options.", "",
        "`dnntrain VERB --help` shows what everybody needs, `--help-all` every option. `--plugin FILE.py` works with "
        "every command ([plug-ins](plugins.md)), `dnntrain --version` prints the version and the plug-ins, and "
        "`dnntrain --install-completion` makes the shell complete commands, techniques, presets, studies and runs. "
        "Results go to stdout; progress, warnings and errors to stderr.", "",
        *table(["exit code", ""], EXIT_CODES), *table(["variable", ""], ([f"`{n}`", text] for n, text in VARIABLES)),
    ]  # fmt: skip
    for name, command in all_commands():
        lines += command_lines(name, command)
    return "\n".join(lines)


def command_lines(name: str, command: Any) -> list[str]:
    """One command: what it does, how it is used, examples, and its options."""
    text, _, examples = inspect.cleandoc(command.help or "").partition("Examples:\n")
    written = help_pages.usage_line(typer.Context(command, info_name=f"dnntrain {name}"), command.params)
    lines = [f"## dnntrain {name}", "", text.strip(), "", "```text", written, "```", ""]
    if examples:
        lines += ["```sh", *(line.strip() for line in examples.splitlines()), "```", ""]
    settings = {flag(key) for key in run_keys()}
    options = [each for each in command.params if each.param_type_name == "option" and is_own(each)]
    own = [each for each in options if each.opts[0] not in settings]
    if taken := len(options) - len(own):
        share = "all" if taken == len(settings) else "most" if taken > len(settings) / 2 else "some"
        lines += [f"It also takes {share} [settings](settings.md).", ""]
    rows = ([f"`{help_pages.flags(each)}`", each.help or ""] for each in own)
    return lines + (table(["option", ""], rows) if own else [])


def all_commands() -> Iterator[tuple[str, Any]]:
    """Every command by its words: train, …, runs list, …"""
    for name, command in CommandTable().items():
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {word}", each) for word, each in inner.items()) if inner else [(name, command)]


def is_own(option: Any) -> bool:
    """Whether an option is one of this command, and not of all commands."""
    return option.name != "help" and option.rich_help_panel != help_pages.ELSEWHERE


def table(headings: list[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table, and an empty line."""
    lines = []
    for row in (headings, ["---"] * len(headings), *rows):
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def link(name: str) -> str:
    """A link to a page."""
    return f"[{name}]({name}.md)"


PAGES: dict[str, Callable[[], str]] = {
    "settings": settings_page, "catalogue": catalogue_page, "commands": commands_page, "shipped-presets": presets_page,
}  # fmt: skip

if __name__ == "__main__":
    for page, text in generated_pages().items():
        (PAGES_FOLDER / f"{page}.md").write_text(text)
