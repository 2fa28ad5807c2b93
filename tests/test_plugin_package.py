"""A package of plug-ins, installed into a folder of its own: in commands, in Python, and in the catalogue's tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import environment, error_of, succeeds
from tests.support.users import COMMANDS

ROOT = Path(__file__).parent.parent
NAME = "dnntrain-softstep 1.0"
PRESET = """
base: {hidden: 8, epochs: 2, train_size: 200, val: 200}
metric: test_confidence
factors:
  step: {act: soft_step}
  penalty: {elastic: 0.001, elastic_ratio: 0.7}
  funnel: {net: 'funnel:width=8', hidden: none}
  poly: {loss: 'poly:epsilon=2', select: 'best:val_error_rate'}
seeds: 1
"""
PYTHON = """
import dnntrain as dt
same = dt.ablate("own.yaml", seeds=1)
assert {*same.runs["run"]} == RUNS and "test_confidence" in same.runs  # nothing was trained again
clip = dt.train(act="clip", loss="poly", hidden=8, epochs=1, train_size=200, val=200, executor="counting")
assert len(clip.runs) == 1
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the package is installed."""
    folder = tmp_path_factory.mktemp("installed") / "library"
    source = ROOT / "tests" / "support" / "plugin_package"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    done = subprocess.run([*pip, "--target", folder, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def trained(library: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder where commands ran with the package, and what they printed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "own.yaml").write_text(PRESET)
    commands = [
        ["--version"],
        ["techniques"],
        ["techniques", "elastic"],
        ["train", "--help-all"],
        ["ablate", "own.yaml", "--executor", "counting", "--workers", "1"],
        ["report", "runs", "--metric", "error_rate"],
    ]
    return folder, run(library, "-c", f"{COMMANDS}\nprint('torch' in sys.modules)", json.dumps(commands), cwd=folder)


def run(library: Path, *words: object, cwd: Path) -> str:
    """What Python prints, stderr included, with the package on its path."""
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, env=environment(PYTHONPATH=f"{library}:{ROOT}", COLUMNS="120"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_installed_package_is_part_of_every_command(trained: tuple[Path, str]) -> None:
    version, listed, card, flags, ablated, reported, rest = trained[1].split("exit code 0\n")
    assert rest == "False\n" and version.endswith(f"plug-in {NAME}\n")
    assert all(name in listed for name in ("soft_step", "elastic", "funnel", "poly", "clip"))
    assert listed.count(f"({NAME})") == 5 and "plug-in" in card and NAME in card
    assert "--elastic-ratio" in flags and "counting" in flags
    assert "job of 1 runs" in ablated and "test_confidence %" in ablated
    assert "test_error_rate %" in reported


@pytest.mark.extras  # long
def test_it_works_from_python(trained: tuple[Path, str], library: Path) -> None:
    folder, _ = trained
    runs = {path.parent.name for path in (folder / "runs" / "store").glob("[!.]*/run.json")}
    run(library, "-c", PYTHON.replace("RUNS", repr(runs)), cwd=folder)


def test_records_name_the_package_and_its_version(trained: tuple[Path, str]) -> None:
    records = [json.loads(path.read_text()) for path in (trained[0] / "runs" / "store").glob("[!.]*/run.json")]
    used = {code["reference"]: code for record in records for code in record.get("code", ())}
    assert {*used} >= {
        *("softstep.techniques:SoftStep", "softstep.techniques:Elastic", "softstep.techniques:Funnel"),
        *("softstep.techniques:Poly", "softstep.pair:ErrorRate"),
    }
    assert all((code["package"], code["plugin"]) == (NAME, True) for code in used.values())
    assert any("code" not in record for record in records)  # the baseline uses nothing of it


def test_without_the_package_records_are_shown_and_what_needs_it_names_it(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    assert f"{NAME}, which is not loaded; this is test_acc instead" in " ".join(
        succeeds("report", "runs/own", cwd=folder).split()
    )
    assert "funnel" in succeeds("runs", "list", "--study", "own", cwd=folder)
    store = folder / "runs" / "store"
    step = next(path.parent for path in store.glob("[!.]*/run.json") if "SoftStep" in path.read_text())
    kept = (step / "predictions.npz").read_bytes()
    (step / "predictions.npz").unlink()
    for words in (("runs", "evaluate", step.name), ("transfer", "--from", step.name)):
        assert f"the plug-in {NAME}, which is not here; install it" in error_of(*words, cwd=folder)
    (step / "predictions.npz").write_bytes(kept)


@pytest.mark.parametrize(
    ("files", "chosen", "names"),
    [
        pytest.param(
            ("engine/test_networks", "engine/test_bit_for_bit", "engine/test_watched_metrics"),
            "elastic] and not (cnn or resnet or module) or module-clip or funnel-l2 or funnel-poly or confidence",
            ("elastic", "funnel-elastic", "module-clip", "funnel-l2", "funnel-poly", "val_confidence"),
            id="some",
        ),
        pytest.param(
            ("engine/test_bit_for_bit", "engine/test_networks", "inference/test_every_technique", "engine/test_health",
             "metrics/test_scikit_learn", "techniques/test_initializers", "studies/test_presets", "cli/test_main"),
            "soft_step] or clip] or elastic] or poly] or funnel-bn or funnel] or technique_is_in_a or every_network_is",
            ("soft_step", "clip", "elastic", "poly", "cnn-soft_step", "funnel-bn", "funnel"),
            id="all", marks=pytest.mark.extras,
        ),
    ],
)  # fmt: skip
def test_the_tests_of_the_catalogue_run_over_an_installed_package(
    files: tuple[str, ...], chosen: str, names: tuple[str, ...], library: Path
) -> None:
    tests = [f"tests/{file}.py" for file in files]
    shown = run(library, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", *tests, "-k", chosen, cwd=ROOT)
    assert "failed" not in shown
    for name in names:
        assert f"[{name}]\n" in shown, shown


def test_a_package_that_fails_ends_every_command_with_one_error(library: Path, tmp_path: Path) -> None:
    broken = tmp_path / "library"
    subprocess.run(["cp", "-r", library, broken], check=True)
    (broken / "softstep" / "techniques.py").write_text("\nfrom dnntrain import nonsense\n")
    path = {"PYTHONPATH": f"{broken}:{ROOT}"}
    error = error_of("techniques", cwd=tmp_path, process=True, **path)
    assert f"plug-in {NAME}: cannot be loaded: ImportError: cannot import name 'nonsense'" in error
    assert f"({broken / 'softstep' / 'techniques.py'}:2)" in error
