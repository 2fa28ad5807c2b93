"""Five kinds of runs: trained, asked about their raw test files, and exported to torch and ONNX. All say the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

import dnntrain as dt
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.store.records import RunRecord
from tests.inference.recorded_studies import QUICK, Trained
from tests.support.command import environment, succeeds

pytestmark = pytest.mark.extras
KINDS = ["table", "numbers", "plain_photos", "module", "transfer"]
OUTSIDE = """
import json, sys
import numpy as np, torch

sys.modules["dnntrain"] = None  # an import of it fails
library = torch.library.Library("torchvision", "DEF")  # a torchvision that is built for CUDA asks for them
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
sys.path.insert(0, "model")
import model

with torch.no_grad():
    np.save("outputs.npy", model.load()(torch.from_numpy(np.load("inputs.npy"))).numpy())
"""


@pytest.fixture(scope="module")
def plain_photos(root: Path) -> Trained:
    """Images of odd sizes, without test-time augmentation, which is no part of a model."""
    flags = ("--image-size", "10", "--net", "cnn:channels=4/4", "--hidden", "8")
    succeeds("train", "--data", "photos", *flags, *QUICK, "--name", "plain", cwd=root)
    return Trained(root, "plain", root / "photos" / "test")


@pytest.mark.parametrize("trained", KINDS, indirect=True)
def test_predictions_and_exports_agree_with_the_record(trained: Trained, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    record = trained.record
    inputs = Preprocessing.parse(record.data.preprocessing).read(trained.test).inputs  # type: ignore[arg-type]
    predicted = dt.predict(
        record.run, trained.test, out=trained.folder / "runs", proba=bool(record.data.classes), data_dir="home"
    )

    for to in ("torch", "onnx"):
        folder = tmp_path / "model" if to == "torch" else tmp_path / to
        succeeds("runs", "export", record.run, "--to", to, "--out", folder, "--data-dir", "home", cwd=trained.folder)
    np.save(tmp_path / "inputs.npy", inputs)
    done = subprocess.run([sys.executable, "-I", "-c", OUTSIDE], cwd=tmp_path, env=environment(), capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    in_torch = np.load(tmp_path / "outputs.npy")
    session = runtime.InferenceSession(tmp_path / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    kind = {"tensor(double)": np.float64, "tensor(float)": np.float32}.get(session.get_inputs()[0].type, np.uint8)
    [in_onnx] = session.run(None, {"input": inputs.astype(kind)})

    np.testing.assert_allclose(in_onnx, in_torch, rtol=1e-4, atol=1e-4)
    if record.data.classes:
        names = [f"p_{name}" for name in record.data.classes]
        np.testing.assert_allclose(np.log(predicted[names]), log_softmax(in_torch, axis=1), rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_allclose(predicted["prediction"], in_torch[:, 0], rtol=1e-5)
    for outputs in (in_torch, in_onnx):
        score = "test_acc" if record.data.classes else "test_rmse"
        assert measured(record, outputs, trained) == pytest.approx(record.results[score], rel=1e-4)


def measured(record: RunRecord, outputs: np.ndarray, trained: Trained) -> float:
    """The accuracy, or the error of a regression, by the targets in the raw test part."""
    labels = Preprocessing.parse(record.data.preprocessing).read(trained.test).labels  # type: ignore[arg-type]
    assert labels is not None
    if not record.data.classes:
        return float(np.sqrt(np.mean((outputs[:, 0] - labels.astype(float)) ** 2)))
    predicted = [record.data.classes[number] for number in outputs.argmax(axis=1)]
    return float(np.mean([str(label) == name for label, name in zip(labels, predicted, strict=True)]))
