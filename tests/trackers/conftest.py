"""Studies that trackers log, trained in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dnntrain as dt
from dnntrain.executors import registry
from tests.support.inline import inline

SETTINGS: dict[str, Any] = {
    "base": {"hidden": "8,6", "epochs": 3, "train_size": 60, "val": 60, "bn": True},
    "arms": {"elu, wide": {"act": "elu", "hidden": "10"}, "diverging": {"act": "elu", "lr": 1e6, "bn": False}},
    "seeds": 2,
    "name": "tracked",
    "predictions": False,
}
"""Arms with different layers, and one whose runs have no results. Names have all that is allowed."""


@pytest.fixture(autouse=True, scope="package")
def trained_here() -> Iterator[None]:
    """Train in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, executor in registry.EXECUTORS.items():
            patch.setitem(registry.EXECUTORS, name, inline(executor))
        yield


@pytest.fixture(scope="package")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dt.StudyResult:
    """A finished study."""
    return dt.ablate(**SETTINGS, out=tmp_path_factory.mktemp("recorded"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where a study is trained that is logged at the same time."""
    return tmp_path / "runs"
