"""The wheel in another environment; the catalogue's promise that a technique is declared in one place."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import QUICK, environment
from tests.support.users import COMMANDS

ROOT = Path(__file__).parent.parent


def run(*command: object, cwd: Path, **env: str) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment(**env), capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_trains_and_finds_its_presets_and_data_in_another_environment(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT,
        cwd=ROOT,
    )
    [wheel] = tmp_path.glob("dnntrain-*.whl")
    other = tmp_path / "other"
    run(sys.executable, "-m", "venv", "--without-pip", other, cwd=tmp_path)
    python = other / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    # torch and the others are lent, not installed once more; a path of a .pth file does not bring our checkout along
    library = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (library / "lent.pth").write_text("\n".join(site.getsitepackages()))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = run(python, "-c", "import dnntrain; print(dnntrain.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(library)
    assert (library / "dnntrain" / "py.typed").is_file()
    assert list((library / "dnntrain" / "reporting" / "exports" / "templates").glob("*.j2"))
    version = run(python, "-c", "import dnntrain; print(dnntrain.__version__)", cwd=elsewhere).strip()
    assert wheel.name.startswith(f"dnntrain-{version}-")
    command = python.with_name("dnntrain")
    assert "vanishing" in run(command, "ablate", "vanishing", "--plan", cwd=elsewhere)
    assert "accuracy" in run(command, "train", *QUICK, cwd=elsewhere)
    assert (elsewhere / "runs" / "store").is_dir()


THROW_AWAY = {
    "activations/exponential.py": '''

class Throwaway(Activation):
    """Half of the input."""

    name = "halfway"
    summary = "Halves its input."
    paper = "none"
    formula = "z / 2"
    advice = "never"
    slope: float = hyperparameter(0.5, "what is left", gt=0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return z * self.slope
''',
    "schedules/decays.py": '''

class Throwaway(Schedule):
    """Half of the rate."""

    name = "halved"
    summary = "Halves the rate."
    paper = "none"
    formula = "η₀ / 2"
    advice = "never"

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return np.full_like(t, 0.5)
''',
    "optimizers/sgd.py": '''

class Throwaway(Optimizer):
    """The sign of the gradient."""

    name = "signed"
    summary = "Steps by the gradient's sign."
    paper = "none"
    formula = "θ - η sign(g)"
    advice = "never"

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        p.addcmul_(torch.sign(g), lr, value=-1)
''',
    "rounding.py": '''
"""A family of its own, in a file of its own."""

from dnntrain.techniques.base import Switch
from dnntrain.utils.fields import hyperparameter


class Throwaway(Switch):
    """Changes nothing."""

    family = "Rounding"
    name = "rounding"
    primary = "digits"
    summary = "Rounds nothing."
    paper = "none"
    formula = "x"
    advice = "never"
    digits: int = hyperparameter(3, "decimal places", ge=1)
    mode: str = hyperparameter("even", "how halves are rounded")
''',
}


@pytest.mark.extras  # takes long; test_plugin_package.py has new techniques of an installed package
def test_a_new_technique_touches_one_file_and_shows_everywhere(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("dnntrain", "tests", "presets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for file, text in THROW_AWAY.items():
        with (tmp_path / "dnntrain" / "techniques" / file).open("a") as module:
            module.write(text)
    env = {"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
    preset = tmp_path / "new.yaml"
    preset.write_text(
        "base: {act: 'halfway:slope=0.7', schedule: halved, optimizer: signed}\n"
        "factors: {bn: {bn: on}, rounding: {rounding: 4, rounding_mode: odd}}\n"
    )
    new = ("halfway", "halved", "signed", "rounding")
    commands = [
        ["train", "--help-all"],
        ["techniques"],
        ["ablate", str(preset), "--plan"],
        *(["techniques", n] for n in new),
    ]
    printed = run(sys.executable, "-c", COMMANDS, json.dumps(commands), cwd=tmp_path, **env)
    shown, listed, planned, *cards, rest = printed.split("exit code 0\n")
    assert "--rounding-mode" in shown and "rounding=4, rounding_mode=odd" in planned
    assert not rest
    for name, card in zip(new, cards, strict=True):
        assert name in shown
        assert name in listed
        assert name in planned
        assert name in card and "what" in card
    settings = ("--act", "halfway", "--schedule", "halved", "--optimizer", "signed", "--lr", "0.001", "--rounding", "2")
    trained = run(sys.executable, "-m", "dnntrain", "train", *settings, *QUICK, cwd=tmp_path, **env)
    assert "accuracy" in trained
    tests = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/engine/test_bit_for_bit.py",
                "-k", "halfway or halved or signed or rounding", cwd=tmp_path, **env)  # fmt: skip
    assert "4 passed" in tests
