"""The cache of what is frozen: computed once, by one process at a time, bounded, and no worse where the disk is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from dnntrain.data import DataLocation
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.errors import InputError
from dnntrain.transfer_learning import feature_cache as features
from dnntrain.transfer_learning.feature_cache import FeatureCache

N, SHAPE = 1_000, (3, 4)
KEY = {"base": "resnet18@0123456789ab", "data": "abcdef", "boundary": 5}
EVERY_ROW = np.arange(N)


@dataclass
class Layers:
    """Stands for frozen layers, and counts what it is asked for."""

    asked: list[int] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)

    def compute(self, rows: np.ndarray) -> np.ndarray:
        self.asked += rows.tolist()
        return true_values(rows)

    def progress(self, done: int, total: int) -> None:
        self.told.append((done, total))


def true_values(rows: np.ndarray) -> np.ndarray:
    return np.sin(rows[:, None, None] * 12 + np.arange(12).reshape(SHAPE)).astype(np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(DataLocation(tmp_path))


def rows(cache: FeatureCache, wanted: np.ndarray, layers: Layers | None = None, **key: str | int) -> np.ndarray:
    layers = layers or Layers()
    return cache.rows(KEY | key, N, wanted, layers.compute, layers.progress)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# As it should be


def test_values_are_computed_once_and_mapped(cache: FeatureCache) -> None:
    layers = Layers()
    first, second = (rows(cache, EVERY_ROW, layers) for _ in range(2))
    assert layers.asked == EVERY_ROW.tolist()
    assert layers.told == [(256, N), (512, N), (768, N), (N, N)]
    for values in (first, second):
        assert isinstance(values, np.memmap) and values.dtype == np.float32
        assert np.array_equal(values, true_values(EVERY_ROW))


def test_what_is_written_to_is_a_copy(cache: FeatureCache) -> None:
    rows(cache, EVERY_ROW)[:] = 0
    assert np.array_equal(rows(cache, EVERY_ROW), true_values(EVERY_ROW))


@pytest.mark.parametrize("wanted", [[7], [5, 3, 900, 3, 999], range(100, 500)])
def test_only_the_wanted_rows_that_are_not_there_are_computed(cache: FeatureCache, wanted: list[int]) -> None:
    some, more = np.arange(0, N, 3), np.array(wanted)
    rows(cache, some)
    layers = Layers()
    assert np.array_equal(rows(cache, more, layers), true_values(more))
    assert layers.asked == sorted(set(more.tolist()) - set(some.tolist()))
    layers = Layers()
    assert np.array_equal(rows(cache, EVERY_ROW, layers), true_values(EVERY_ROW))
    assert layers.asked == sorted(set(range(N)) - set(some.tolist()) - set(more.tolist()))


def test_one_number_a_row(cache: FeatureCache) -> None:
    values = cache.rows(KEY, 5, np.array([4, 1]), lambda some: some.astype(np.float64), lambda done, of: None)
    assert values.tolist() == [4, 1] and values.dtype == np.float32


def test_another_key_is_another_entry(cache: FeatureCache) -> None:
    for boundary in (5, 6):
        layers = Layers()
        rows(cache, EVERY_ROW, layers, boundary=boundary)
        assert len(layers.asked) == N
    assert [entry.about["boundary"] for entry in cache.entries()] == [5, 6]
    assert names(cache.folder) == sorted(entry.path.name for entry in cache.entries())  # no locks, no scratch files


def test_rows_that_were_never_computed_take_no_room(cache: FeatureCache) -> None:
    wide = lambda some: np.ones((len(some), 100_000), np.float32)  # noqa: E731
    cache.rows(KEY, N, np.array([N - 1]), wide, lambda done, of: None)
    (entry,) = cache.entries()
    assert (entry.path / "values.npy").stat().st_size > 400_000_000
    assert 400_000 <= entry.bytes < 10_000_000


# Interrupted, and several at once


def test_what_was_computed_before_an_interruption_stays(cache: FeatureCache) -> None:
    layers = Layers()

    def stops(some: np.ndarray) -> np.ndarray:
        if 600 in some:
            raise KeyboardInterrupt
        return layers.compute(some)

    with pytest.raises(KeyboardInterrupt):
        cache.rows(KEY, N, EVERY_ROW, stops, layers.progress)
    assert len(layers.asked) == 512
    rows(cache, EVERY_ROW, layers)
    assert layers.asked == EVERY_ROW.tolist()


def test_an_error_of_the_layers_is_told_once(cache: FeatureCache) -> None:
    asked: list[int] = []

    def fails(some: np.ndarray) -> np.ndarray:
        asked.append(len(some))
        raise InputError("no such layer")

    with pytest.raises(InputError, match="no such layer"):
        cache.rows(KEY, N, EVERY_ROW, fails, lambda done, of: None)
    assert len(asked) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_before_they_are_kept(cache: FeatureCache, value: float) -> None:
    def breaks(some: np.ndarray) -> np.ndarray:
        values = true_values(some)
        values[some == 600, 1, 2] = value
        return values

    for _ in range(2):
        with pytest.raises(InputError, match=re.escape("not finite: train image 600 (counted from 0)")):
            cache.rows(KEY, N, EVERY_ROW, breaks, lambda done, of: None, "not finite: train image")
    (entry,) = cache.entries()
    assert np.load(entry.path / "known.npy").sum() == 512


def test_kept_values_that_are_not_finite_are_refused(cache: FeatureCache) -> None:
    rows(cache, EVERY_ROW)
    (entry,) = cache.entries()
    values = np.load(entry.path / "values.npy")
    values[7, 0, 0] = np.nan
    np.save(entry.path / "values.npy", values)
    with pytest.raises(InputError, match=f"{entry.path}: row 7 is nan or infinite; dnntrain data cache --clear"):
        rows(cache, EVERY_ROW)
    assert np.array_equal(rows(cache, EVERY_ROW[:7]), true_values(EVERY_ROW[:7]))


SCRIPT = """
import sys, time, numpy as np
from pathlib import Path
from dnntrain.data import DataLocation
from dnntrain.transfer_learning.feature_cache import FeatureCache
folder, start = Path(sys.argv[1]), int(sys.argv[2])
def compute(rows):
    time.sleep(0.05)
    with (folder / "asked").open("a") as file:
        file.write("".join(f"{row}\\n" for row in rows))
    return np.repeat(rows[:, None], 7, 1)
print("ready", flush=True)
sys.stdin.readline()
wanted = np.arange(start, start + 1500)
values = FeatureCache(DataLocation(folder)).rows({}, 2000, wanted, compute, lambda done, of: None)
assert np.array_equal(values, np.repeat(wanted[:, None], 7, 1))
"""


def test_two_processes_at_once_compute_each_row_once(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", SCRIPT, str(tmp_path), start] for start in ("0", "500")]
    both = [subprocess.Popen(c, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for c in commands]
    for process in both:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
        assert process.returncode == 0
    asked = (tmp_path / "asked").read_text().split()
    assert sorted(map(int, asked)) == list(range(2000))


# Damaged, foreign, read-only, full


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def other_type(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float64))


def other_count(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def of_another_key(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boundary": 4}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("values.npy", "known.npy") for damage in (cut, other_type, other_count)),
        *((name, Path.unlink) for name in ("values.npy", "known.npy", "about.json")),
        *((name, lambda path: path.write_bytes(b"PK\x03\x04")) for name in ("values.npy", "known.npy", "about.json")),
        ("about.json", of_another_key),
    ],
)
def test_a_damaged_entry_is_computed_anew(cache: FeatureCache, name: str, damage: Callable[[Path], object]) -> None:
    rows(cache, EVERY_ROW)
    (entry,) = cache.entries()
    damage(entry.path / name)
    layers = Layers()
    for _ in range(2):
        assert np.array_equal(rows(cache, EVERY_ROW, layers), true_values(EVERY_ROW))
    assert layers.asked == EVERY_ROW.tolist()


def test_where_nothing_can_be_written_it_is_computed_in_memory(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("a file where the folder should be")
    wanted, layers = np.array([5, 3, 3, 600]), Layers()
    assert np.array_equal(rows(FeatureCache(DataLocation(tmp_path)), wanted, layers), true_values(wanted))
    assert layers.asked == [3, 5, 600] and FeatureCache(DataLocation(tmp_path)).entries() == []


def test_where_the_disk_is_full_it_is_computed_in_memory(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features, "_write_all", full)
    assert np.array_equal(rows(cache, EVERY_ROW), true_values(EVERY_ROW))


# Bounded


def ages(cache: FeatureCache, *boundaries: int) -> None:
    """Make entries; the first was used the longest time ago."""
    for age, boundary in enumerate(reversed(boundaries), start=1):
        rows(cache, EVERY_ROW, boundary=boundary)
        entry = next(entry for entry in cache.entries() if entry.about["boundary"] == boundary)
        for path in (entry.path, *entry.path.iterdir()):
            os.utime(path, (path.stat().st_mtime - age * 1000,) * 2)


def kept(cache: FeatureCache) -> list[int]:
    return [entry.about["boundary"] for entry in cache.entries()]


def test_least_recently_used_entries_are_removed_first(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    ages(cache, 1, 2, 3)
    size = cache.entries()[0].bytes
    monkeypatch.setenv("DNNTRAIN_CACHE_GB", str(3.5 * size / 2**30))
    rows(cache, EVERY_ROW[:1], boundary=1)  # now it is the last one used
    rows(cache, EVERY_ROW, boundary=4)
    assert kept(cache) == [3, 1, 4]


def test_an_entry_in_use_is_not_removed(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch) -> None:
    ages(cache, 1, 2)
    used = cache.entries()[0].path
    monkeypatch.setenv("DNNTRAIN_CACHE_GB", "0")
    mapped = rows(cache, EVERY_ROW, boundary=2)
    with exclusive_write(used):
        assert np.array_equal(rows(cache, EVERY_ROW, boundary=3), true_values(EVERY_ROW))
        assert sorted(kept(cache)) == [1, 3]
    assert np.array_equal(mapped, true_values(EVERY_ROW))  # what is mapped stays until it is let go


def test_limit(monkeypatch: pytest.MonkeyPatch, cache: FeatureCache) -> None:
    monkeypatch.delenv("DNNTRAIN_CACHE_GB", raising=False)
    assert features.limit() == 8 * 2**30
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv("DNNTRAIN_CACHE_GB", wrong)
        with pytest.raises(InputError, match=f"DNNTRAIN_CACHE_GB is '{wrong}'; must be a number of GiB"):
            rows(cache, EVERY_ROW)


def test_clear_says_what_it_freed(cache: FeatureCache) -> None:
    ages(cache, 1, 2)
    (cache.entries()[0].path / "about.json").write_text("[]")
    taken = sum(entry.bytes for entry in cache.entries())
    assert cache.clear() == taken >= 2 * N * 48
    assert cache.entries() == [] and names(cache.folder) == [] and cache.clear() == 0
