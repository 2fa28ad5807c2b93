"""Tests run as a worker does: one thread, and MKL told to give the same bits for every alignment."""

from __future__ import annotations

import gc
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from dnntrain.executors.environment import WORKER_ENVIRONMENT

os.environ.update(WORKER_ENVIRONMENT)  # before anything imports torch

# what tests teach about the machine's speed is not for the user's studies; matplotlib's list of fonts stays
CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("MPLCONFIGDIR", str(CACHES / "matplotlib"))
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"dnntrain-tests-{os.getuid()}")

import pytest
import torch

from dnntrain import data

torch.set_num_threads(1)
gc.disable()  # until all tests are collected: millions of new objects, and all of them stay


def only_cuda(config: pytest.Config) -> bool:
    """Whether pytest runs as `pytest -m cuda`, on a machine that may lack what tests need, or have other versions."""
    return bool(config.option.markexpr == "cuda")


def pytest_configure(config: pytest.Config) -> None:
    """With `-m cuda`, warnings are no errors: those of other versions are not ours."""
    if only_cuda(config):
        config.addinivalue_line("filterwarnings", "default")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m cuda`, read only files with such tests."""
    if not only_cuda(config) or collection_path.suffix != ".py":
        return None
    return "mark.cuda" not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, and skip those that need a GPU where there is none."""
    # the longest start clusters; so no process is left with them at the end
    items.sort(key=lambda item: "test_ray" not in item.nodeid)
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"))


def pytest_collection_finish() -> None:
    """Collect garbage again, without a search each time through the tests and libraries, which stay to the end."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def mini() -> data.Dataset:
    """The embedded data set."""
    return data.load_dataset("fashion-mini")


@pytest.fixture(scope="session")
def few(mini: data.Dataset) -> data.Dataset:
    """Its first examples, for tests that train many times and do not evaluate on more than one batch."""
    train, test = slice(300), slice(100)
    return replace(
        mini,
        train_inputs=mini.train_inputs[train],
        train_targets=mini.train_targets[train],
        test_inputs=mini.test_inputs[test],
        test_targets=mini.test_targets[test],
    )
