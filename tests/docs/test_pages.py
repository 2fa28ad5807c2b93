"""The documentation tells the truth: its commands run, its links resolve, and it names all that there is."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from dnntrain.cli.docs import PAGES_FOLDER, topics
from dnntrain.cli.main import CommandTable
from dnntrain.metrics import METRICS
from dnntrain.reporting.figures import FIGURE_KINDS
from dnntrain.studies.designs import DESIGNS
from dnntrain.studies.preset_reader import KEYS
from dnntrain.studies.presets import shipped_presets
from dnntrain.techniques import CATALOGUE
from dnntrain.utils.plugins import plugin_of
from tests.docs.blocks import PAGES, README, blocks, words_of, write_examples, write_files
from tests.docs.generated import GROUPS, generated_pages
from tests.support.command import dnntrain, succeeds
from tests.support.studies import write_study

ROOT = README.parent
COMMANDS = [(page, command) for page in PAGES for block in blocks(page) for command in block.commands]


def test_readme_is_short_and_counts_right() -> None:
    assert len(README.read_bytes()) <= 8_000
    assert f"**{len(shipped_presets())} presets**" in README.read_text()
    assert 90 <= len([t for t in CATALOGUE.values() if not plugin_of(t)]) <= 110  # about a hundred


def test_generated_pages_are_those_of_the_code() -> None:
    stale = [name for name, text in generated_pages().items() if (PAGES_FOLDER / f"{name}.md").read_text() != text]
    assert not stale, "`make docs` writes them anew"


@pytest.mark.parametrize("page", topics())
def test_a_page_begins_with_what_it_is_for_and_is_listed(page: str) -> None:
    title, what, *_ = PAGES[page].read_text().split("\n\n")
    assert re.fullmatch(r"# .+", title)
    assert len(what.partition(". ")[0]) < 250 and not what.startswith(("#", "|", "```"))
    assert sum(page in names for names in GROUPS.values()) == 1


@pytest.mark.parametrize("page", [*PAGES, "index"])
def test_links_resolve(page: str) -> None:
    path = PAGES.get(page, PAGES_FOLDER / "README.md")
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if not target.startswith("http"):
            file, _, anchor = target.partition("#")
            there = path.parent / file if file else path
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), target


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as a code host makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_files_and_make_targets_exist(page: str) -> None:
    text = PAGES[page].read_text()
    for file in re.findall(r"`((?:dnntrain|tests|presets)/[\w./-]+)`", text):
        assert (ROOT / file).exists(), file
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)} <= {*targets}


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_every_command_is_one_that_dnntrain_has(page: str, command: str) -> None:
    program, name, *words = words_of(command)
    assert program == "dnntrain"
    words = [word for i, word in enumerate(words) if word != "--plugin" and words[i - 1 : i] != ["--plugin"]]
    parsed, group = CommandTable()[name], None
    if words and (inner := getattr(parsed, "commands", None)):
        group, parsed = parsed.make_context(name, words[:1], resilient_parsing=True), inner[words.pop(0)]
    parsed.make_context(parsed.name, words, parent=group)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: the reader's data, and the study `vanishing`, here with made-up numbers."""
    folder = tmp_path_factory.mktemp("docs")
    write_examples(folder)
    means = {"sigmoid": 0.1, "relu-he": 0.7, "tanh": 0.75, "bn": 0.8}
    noise = (0.0, 0.01, -0.006, 0.004, -0.009)
    values = {
        arm: {
            "test_acc": [mean + e for e in noise],
            "val_acc": [mean - e for e in noise],
            "test_loss": [1 - mean + e for e in noise],
        }
        for arm, mean in means.items()
    }  # fmt: skip
    write_study(folder / "runs" / "vanishing", values)
    (folder / "runs" / "store").mkdir()
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if any(b.language == "console" for b in blocks(page))])
def test_console_blocks_run(page: str, folder: Path) -> None:
    write_files(page, folder)
    for block in blocks(page):
        if block.language == "console" and not block.is_slow:
            printed = ""
            for command in block.commands:
                printed += succeeds(*words_of(command)[1:], cwd=folder)
            shown = [line for line in block.text.splitlines() if line.strip() not in ("", "…")]
            for line in shown:
                assert line.startswith("$ ") or line.rstrip() in printed, line


def named_in(page: str) -> set[str]:
    """The words that a page sets as code."""
    return {
        word for code in re.findall(r"`([^`\n]+)`", PAGES[page].read_text()) for word in re.split(r"[\s:=,]+", code)
    }


def test_every_preset_key_design_and_metric_is_documented() -> None:
    assert {*KEYS, *DESIGNS} <= named_in("presets")
    assert {name for name, metric in METRICS.items() if not plugin_of(type(metric))} <= named_in("metrics")


def test_every_figure_is_documented() -> None:
    assert {kind.file for kind in FIGURE_KINDS.values()} <= named_in("reports")


def test_every_column_is_documented(folder: Path) -> None:
    succeeds(
        "train", "--hidden", "4", "--train-size", "100", "--epochs", "1", "--clipnorm", "1", "--name", "one", cwd=folder
    )
    named = named_in("records")
    for name in ("results", "history"):
        with (folder / "runs" / "one" / f"{name}.csv").open() as file:
            assert {*next(csv.reader(file))} <= named, name
    reported = succeeds("report", "vanishing", "--csv", "-", cwd=folder)
    assert {*reported.splitlines()[0].split(",")} <= named


def test_docs_lists_and_prints_pages() -> None:
    assert all(f"[{page}]({page}.md)" in succeeds("docs") for page in topics())
    assert succeeds("docs", "verdicts") == PAGES["verdicts"].read_text()
    done = dnntrain("docs", "verdict")
    assert done.returncode == 2 and "did you mean 'verdicts'?" in done.stderr
