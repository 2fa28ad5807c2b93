"""Tests run as a worker does: one thread, and MKL told to give the same bits for every alignment."""

from __future__ import annotations

import os
from dataclasses import replace

from dnntrain.executors.environment import WORKER_ENVIRONMENT

os.environ.update(WORKER_ENVIRONMENT)  # before anything imports torch

import pytest
import torch

from dnntrain import data

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests, which start clusters, come first, so that no process is left with them at the end."""
    items.sort(key=lambda item: "test_ray" not in item.nodeid)


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
