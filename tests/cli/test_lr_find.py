"""`dnntrain lr-find` and `dnntrain.lr_find`: the suggested rate, the curve, files, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

import dnntrain as dt
from dnntrain.errors import InputError
from dnntrain.reporting.range_test import notes
from tests.support.command import dnntrain, error_of, succeeds

SETTINGS = {"hidden": 20, "train_size": 500, "val": 100}
WORDS = ("--hidden", "20", "--train-size", "500", "--val", "100")


def test_the_command_and_the_function_find_the_same(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    shown = succeeds("lr-find", *WORDS, "--seeds", "3", "--steps", "60", "--out", out, cwd=tmp_path)
    assert shown.endswith(f"wrote {out / 'lr-find.csv'}\nwrote {out / 'lr-find.png'}\n")
    made = dt.lr_find(seeds=3, steps=60, **SETTINGS)
    assert str(made) in shown
    assert "train_size=500,val=100,hidden=20 · fashion-mini · 3 seeds" in shown
    assert f"▲ {made.suggestion:.2g}" in shown and "a third of the rate at which the smoothed loss is least" in shown
    assert 0.003 < made.suggestion < 0.3
    assert made.suggestions["third"].low <= made.suggestions["third"].rate <= made.suggestions["third"].high
    table = pd.read_csv(out / "lr-find.csv")
    assert [*table.columns] == ["lr", "loss", "lowest", "highest", "seed 0", "seed 1", "seed 2"]
    pd.testing.assert_frame_equal(table, made.frame, check_exact=False, rtol=1e-12)
    assert (out / "lr-find.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # nothing is recorded


def test_a_process_of_its_own_trains_with_the_bits_of_a_worker() -> None:
    """It trains in that process, which must set MKL and the allocator up before torch loads."""
    words = ("lr-find", *WORDS, "--seeds", "2", "--steps", "40", "--json")
    done = dnntrain(*words, process=True)
    assert "lr-find: 40 of 40 steps, loss " in done.stderr
    assert json.loads(done.stdout)["losses"] == json.loads(succeeds(*words))["losses"]


def test_json_has_the_rules_and_every_loss() -> None:
    made = json.loads(
        succeeds("lr-find", *WORDS, "--seeds", "1", "--steps", "20", "--from", "1e-9", "--to", "1e-8", "--json")
    )
    assert made["rules"].keys() == {"third", "tenth", "steepest"}
    assert len(made["lr"]) == len(made["losses"]["0"]) == 20 and made["lr"][-1] == pytest.approx(1e-8)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lr", "0.1"), "--lr: has no use in lr-find, which trains some steps from scratch at rising rates"),
        (("--no-tta",), "--no-tta: has no use in lr-find"),
        (("--swa-every", "step"), "--swa-every: has no use in lr-find"),
        (("--llr", "0.1"), "No such option: --llr"),
        (("--from", "1", "--to", "0.1"), "from 1 to 0.1: must be rates that grow, above 0 and at most 1e6"),
        (("--steps", "3"), "steps 3: must be from 20 to 100000"),
        (("--loss", "huber"), "loss huber: is for a regression"),
        (("--mirror", "x"), "mirror x: this study's data are not downloaded"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], said: str) -> None:
    assert said in error_of("lr-find", *WORDS, *words)


@pytest.mark.parametrize(
    "key", ["lr", "schedule", "warmup", "epochs", "early_stop", "select", "reuse_from", "ema", "swa_every", "tta"]
)
def test_settings_without_a_use_are_refused(key: str) -> None:
    with pytest.raises(InputError, match=f"^{key}: has no use in lr-find"):
        dt.lr_find(**{key: 1})


@pytest.mark.parametrize("option", ["out", "workers", "predictions"])
def test_options_without_a_use_are_refused(option: str) -> None:
    with pytest.raises(InputError, match=f"^{option}: has no use in lr_find, which records nothing"):
        dt.lr_find(**{option: 1})


def test_parameters_with_a_rate_of_their_own_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="optimizer muon: some parameters keep a rate of their own"):
        dt.lr_find(seeds=1, steps=20, optimizer="muon", **SETTINGS | {"hidden": "20,10"})


def test_a_loss_that_falls_at_no_rate_suggests_none() -> None:
    made = dt.lr_find(seeds=1, steps=20, low=1e5, high=1e6, **SETTINGS)
    assert math.isnan(made.suggestion)
    assert "The loss falls at no rate: nothing is suggested." in notes(made.analysis)
    assert "nothing is suggested" in str(made)


def test_seeds_that_all_diverge_at_once_have_a_readable_table() -> None:
    """Only a few steps are left, so that the curve is narrower than the rates at its ends."""
    made = str(dt.lr_find(seeds=2, steps=50, low=1e5, high=1e6, **SETTINGS))
    assert "nan" not in made
    [axis] = [line.split() for line in made.splitlines() if line.lstrip().startswith("lr ") and "rule" not in line]
    assert len(axis) == 3 and float(axis[1]) == 1e5 < float(axis[2])
