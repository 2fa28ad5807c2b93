"""What is shown while a study trains."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import dnntrain

PRESET = """
base: {data: table.csv, target: y, hidden: 4, epochs: 3}
factors: {elu: {act: elu}}
metric: val_loss
seeds: 1
"""


def test_a_regression_judged_by_its_loss_shows_r2(tmp_path: Path) -> None:
    rows = "".join(f"{i / 7},{i % 5},{i / 3 + i % 5}\n" for i in range(200))
    (tmp_path / "table.csv").write_text(f"a,b,y\n{rows}")
    (tmp_path / "small.yaml").write_text(PRESET)
    first = dnntrain("ablate", "small.yaml", "--workers", 1, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "elu 100%, validation R² " in first.stderr and "accuracy" not in first.stderr
    more = dnntrain("ablate", "small.yaml", "--workers", 1, "--seeds", 2, cwd=tmp_path)  # half of it is recorded
    assert "elu 100%, validation R² " in more.stderr and "accuracy" not in more.stderr
