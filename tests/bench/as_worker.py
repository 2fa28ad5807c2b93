"""The environment of a worker, for a benchmark that times what a worker does."""

from __future__ import annotations

import os
import sys

from dnntrain.workers import WORKER_ENVIRONMENT


def as_worker() -> None:
    """Begin this program again in a worker's environment, which has to be there before torch, unless it is."""
    if any(os.environ.get(key) != value for key, value in WORKER_ENVIRONMENT.items()):
        os.environ.update(WORKER_ENVIRONMENT)
        os.execv(sys.executable, sys.orig_argv)
