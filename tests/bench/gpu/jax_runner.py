"""Starts the JAX peer, and reads its figures as they come. Needs no JAX here."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.gpu.cases import CNN, CNN_BATCH, DenseCase, Extent
from tests.bench.gpu.results import Results

ROOT = Path(__file__).parents[3]
JAX = "JAX, vmap + scan"
NOT_INSTALLED = "JAX is not installed: left out"


def case_content(case: DenseCase | None, members: int, extent: Extent) -> dict[str, Any]:
    """What the peer reads of a case."""
    extents = {"members": members, "train_size": extent.train_size, "repeats": extent.repeats}
    if case is None:
        return {"name": CNN, "kind": "cnn", "batch_size": CNN_BATCH} | extents
    return {"kind": "dense"} | vars(case) | extents


def time_jax(
    results: Results, extent: Extent, cases: Sequence[tuple[DenseCase | None, int]], backend: str, seconds: float
) -> None:
    """Time the cases in a process of their own, which is stopped when the time is over.

    Args:
        results: Takes the figures.
        extent: How much to measure.
        cases: What to train, and how many members; None is the small CNN.
        backend: Where JAX is to compute, gpu or cpu.
        seconds: The time that is left.
    """
    if importlib.util.find_spec("jax") is None:
        results.left_out.append(NOT_INSTALLED)
        return
    contents = [case_content(case, members, extent) for case, members in cases]
    # the memory that torch holds is not JAX's to take
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-m", "tests.bench.gpu.jax_peer", backend]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    timer = threading.Timer(max(seconds, 1.0), process.kill)
    timer.start()
    try:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(contents))
        process.stdin.close()
        for line in process.stdout:
            row = json.loads(line)
            results.add("step", row.pop("name"), JAX, row.pop("members"), **row)
            contents.pop(0)
        code = process.wait()
    finally:
        timed_out = not timer.is_alive()
        timer.cancel()
    names = [f"{content['name']}: JAX, P = {content['members']}" for content in contents]
    if code and not timed_out:
        results.failed.append(f"{names[0]}: exit code {code}; what JAX said is above")
        names = names[1:]
    results.left_out += names
