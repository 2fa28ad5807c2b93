"""A folder with what commands can be about, commands with files of their own in it, and how those are kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.command_lines import Known
from tests.support.inline import Answer, answer

CORPUS = Path(__file__).parents[1] / "corpus"
"""Inputs that once were answered wrongly, or might be: presets as they are, other commands as JSON."""

STUDY = """
name: small
question: Which one?
base: {hidden: 4x4, epochs: 2, train_size: 60, val: 60}
factors: {elu: {act: elu}, bn: {bn: true}}
seeds: 2
"""
TABLE = "".join(f"{i % 7},{'ab'[i % 2]},{3 * i % 5}\n" for i in range(40))


def furnish(folder: Path) -> Known:
    """Put presets, data and a recorded study into a folder; says what there is."""
    (folder / "study.yaml").write_text(STUDY)
    (folder / "table.csv").write_text(f"x,kind,y\n{TABLE}")
    (folder / "empty").touch()
    rng = np.random.default_rng(0)
    np.savez(folder / "arrays.npz", x=rng.integers(0, 256, (40, 5, 5), np.uint8), y=np.arange(40) % 3)
    for number in range(16):
        path = folder / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    made = answer(["ablate", "study.yaml"], folder)
    assert made.code == 0, made
    runs = tuple(sorted(path.name for path in (folder / "runs" / "store").glob("[!.]*")))
    recorded = tuple(f"runs/small/{name}" for name in ("study.json", "results.csv", "history.csv"))
    files = (*("study.yaml", "table.csv", "arrays.npz", "images", "images/a", "empty", "runs", "runs/small"), *recorded)
    return Known(
        (*files, f"runs/small/{runs[0]}", f"runs/store/{runs[0]}"), (*runs, "small"), ("baseline", "elu", "bn")
    )


@dataclass(frozen=True)
class Case:
    """A command, and the files that it finds besides those of `furnish`, by their paths."""

    words: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    why: str = ""

    def answer(self, folder: Path, seconds: float = 60) -> Answer:
        """What it is answered in a folder."""
        self.furnish(folder)
        return answer(self.words, folder, seconds)

    def furnish(self, folder: Path) -> None:
        """Put its files into a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def as_json(self) -> str:
        """As a text that can be kept; bytes that are no text become lone surrogates, as Python has them in words."""
        files = {name: content.decode("utf-8", "surrogateescape") for name, content in self.files.items()}
        return json.dumps({"why": self.why, "words": self.words, "files": files}, indent=1) + "\n"


def kept(path: Path) -> Case:
    """A case of the corpus."""
    if path.suffix == ".yaml":
        return Case(["ablate", path.name, "--plan"], {path.name: path.read_bytes()})
    held = json.loads(path.read_text())
    files = {name: text.encode("utf-8", "surrogateescape") for name, text in held["files"].items()}
    return Case(held["words"], files, held["why"])


def keep(case: Case, name: str) -> Path:
    """Put a case into the corpus: a preset as it is, anything else as JSON."""
    planned = case.words[:1] == ["ablate"] and case.words[2:] == ["--plan"] and len(case.files) == 1
    path = CORPUS / f"{name}{'.yaml' if planned else '.json'}"
    path.write_bytes(next(iter(case.files.values())) if planned else case.as_json().encode())
    return path


class Trials:
    """Copies of one furnished folder, deep within another, so that what leads out of it is seen."""

    def __init__(self, root: Path) -> None:
        self.template, self.root = root / "template", root / "trials"
        self.template.mkdir(parents=True)
        self.known = furnish(self.template)
        self.folder = self.root / "a" / "b" / "c"

    def renew(self) -> Path:
        """A folder as it was furnished."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.template, self.folder)
        return self.folder

    def strays(self) -> list[str]:
        """What is outside of the folder and was not there."""
        outside = [
            p for p in self.root.rglob("*") if self.folder not in (p, *p.parents) and p not in self.folder.parents
        ]
        return [str(path) for path in [*outside, Path("/tmp/dnntrain-abroad")] if path.exists()]
