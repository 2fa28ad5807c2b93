"""The guide to the Python API and the tour notebook run from top to bottom."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dnntrain
from tests.support.command import environment

DOCS = Path(dnntrain.__file__).parent / "docs"


@pytest.mark.extras  # takes long
def test_the_examples_of_the_guide_run(tmp_path: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", (DOCS / "python.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 5
    (tmp_path / "guide.py").write_text("\n".join(examples))
    done = subprocess.run(
        [sys.executable, "-W", "error", "guide.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 0.")  # what the callback prints
    assert (tmp_path / "runs" / "store").is_dir()


@pytest.mark.extras
def test_the_tour_runs_in_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for name, value in {"PYTHONPATH": str(DOCS.parents[1]), "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(name, value)
    tour = nbformat.read(DOCS / "tour.ipynb", as_version=4)
    n_tables = shown_tables(tour)
    for cell in tour.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbclient.NotebookClient(tour, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert shown_tables(tour) == n_tables == 3
    assert str(DOCS.parents[1]) not in (DOCS / "tour.ipynb").read_text()  # as it is shown, it is nobody's


def shown_tables(notebook: Any) -> int:
    """How many cells show a table of arms with a verdict of better or worse."""
    return sum(bool(re.search("verdict.*(better|worse)", str(cell.get("outputs")))) for cell in notebook.cells)
