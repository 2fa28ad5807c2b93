"""The code blocks of README and the pages, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dnntrain.cli.docs import PAGES_FOLDER

README = PAGES_FOLDER.parents[1] / "README.md"
PAGES = {"README": README} | {path.stem: path for path in sorted(PAGES_FOLDER.glob("*.md")) if path.stem != "README"}
"""README and the pages, by name."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    is_slow: bool
    """Whether its commands train, and so run only in `make docs-check`."""
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console or a shell block, without prompts, each on one line."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.startswith("dnntrain ")] if self.language == "sh" else []


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = re.findall(r"^```(\w*)( slow)?\n(.*?)^```$", PAGES[page].read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, bool(slow), text) for language, slow, text in found]


def words_of(command: str) -> list[str]:
    """The words of the first program of a command, without its comment."""
    words = shlex.split(command, comments=True)
    return words[: words.index("|")] if "|" in words else words


def write_files(page: str, folder: Path) -> None:
    """Write what the page's blocks name in their first line: `# study.yaml`."""
    for block in blocks(page):
        if name := re.match(r"# ([\w-]+\.(?:py|yaml))\n", block.text):
            (folder / name[1]).write_text(block.text)


def write_examples(folder: Path) -> None:
    """Write the data that the pages take for the reader's own: tables, images, and tables of runs."""
    rng = np.random.default_rng(0)
    rooms, area = rng.integers(1, 7, 300), rng.normal(100, 30, 300).round(1)
    town = rng.choice(["north", "south"], 300)
    price = (1000 * area + 9000 * rooms + 20_000 * (town == "north") + rng.normal(0, 5000, 300)).round()
    houses = [f"{r},{a},{t},{p:.0f}" for r, a, t, p in zip(rooms, area, town, price, strict=True)]
    (folder / "houses.csv").write_text("\n".join(["rooms,area,town,price", *houses]) + "\n")
    new = [row.rpartition(",")[0] for row in houses[:20]]
    (folder / "new.csv").write_text("\n".join(["rooms,area,town", *new]) + "\n")
    for number, name in enumerate(("cat", "dog")):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(100 * number, 100 * number + 150, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.png")
    (folder / "sweep.csv").write_text("\n".join(["optimizer,seed,f1,loss", *runs("sgd", "adam")]) + "\n")
    (folder / "loop.csv").write_text("\n".join(["commit,seed,f1,val_loss", *runs("old", "new")]) + "\n")


def runs(first: str, second: str) -> Iterator[str]:
    """A table of 5 runs each of two arms, of which the second one is better."""
    for seed, noise in enumerate((0.0, 0.01, -0.006, 0.004, -0.009)):
        yield f"{first},{seed},{0.80 + noise:.4f},{0.50 - noise:.4f}"
        yield f"{second},{seed},{0.85 + noise:.4f},{0.40 - noise + noise**2:.4f}"
