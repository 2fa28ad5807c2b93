"""Tests run as a worker does: one thread, and MKL told to give the same bits for every alignment."""

from __future__ import annotations

import os

from dnntrain.executors.environment import WORKER_ENVIRONMENT

os.environ.update(WORKER_ENVIRONMENT)  # before anything imports torch

import pytest
import torch

from dnntrain import data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mini() -> data.Dataset:
    """The embedded data set."""
    return data.load_dataset("fashion-mini")
