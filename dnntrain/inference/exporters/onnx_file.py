"""Exports to ONNX, checked with onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.inference.exporters.base import Exporter
from dnntrain.inference.exporters.plain_model import PlainModel
from dnntrain.inference.exporters.torch_module import CHECKED_ROWS, torch_module
from dnntrain.nn.torch_code import literal
from dnntrain.utils.lazy import torch

ONNX_TOLERANCE = 1e-3
"""How far its outputs may be from torch's, relative to the largest one. onnxruntime orders sums in its own way."""


class OnnxExporter(Exporter):
    """One file for other runtimes: `input` is the raw inputs, `output` what model.py of `--to torch` returns.

    ONNX does not convert types: images are uint8, tokens int64, columns of a table float64, other numbers float32.
    """

    name = "onnx"
    summary = "model.onnx, for onnxruntime and others"
    needs = "onnx"
    packages = ("onnx", "onnxscript", "onnxruntime")

    def write(self, model: PlainModel, folder: Path) -> None:
        import onnx

        module, file = torch_module(model), folder / "model.onnx"
        with quiet():
            try:
                program = torch.onnx.export(
                    module,
                    (model.example(2),),
                    dynamo=True,
                    input_names=["input"],
                    output_names=["output"],
                    dynamic_shapes=({0: torch.export.Dim("rows")},),
                    verbose=False,
                )
            except Exception as error:  # whatever torch's exporter raises for what ONNX does not have
                reason = str(error).strip().partition("\n")[0]
                raise InputError(f"run {model.record.run}: torch cannot write it as ONNX ({reason})") from None
        assert program is not None
        proto = program.model_proto
        for node in [*proto.graph.node, *(node for function in proto.functions for node in function.node)]:
            del node.metadata_props[:]  # where this machine's torch made it
        for key, value in {"run": model.record.run, "classes": literal(list(model.data.classes))}.items():
            proto.metadata_props.add(key=key, value=value)
        onnx.save(proto, file)
        check_onnx(file, module, model.example(CHECKED_ROWS))


def check_onnx(file: Path, module: torch.nn.Module, example: torch.Tensor) -> None:
    """Raise InputError unless onnxruntime computes with a file what torch does with the module."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    [outputs] = session.run(None, {"input": example.numpy()})
    with torch.no_grad():
        expected = module(example).numpy()
    difference = np.abs(outputs - expected).max() / max(np.abs(expected).max(), 1e-30)
    if not difference < ONNX_TOLERANCE:
        raise InputError(f"onnxruntime computes other outputs than torch (relative difference {difference:.2g})")


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings and logs of torch's exporter, which are about torch's own code."""
    loggers: list[Any] = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
