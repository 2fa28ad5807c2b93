"""What can befall the store: a full disk, folders that cannot be written to, edited files, odd paths, no locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import inline
from tests.support.command import QUICK, dnntrain, environment, error_of, succeeds

PRESET = "base: {hidden: 8, epochs: 1, train_size: 200, val: 100}\nfactors: {elu: {act: elu}}\nseeds: 2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(PRESET)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    """All of the store but its records, which tell the time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix == ".safetensors"
    }


def no_more_than(size: int) -> None:
    """Let files of this process grow to so many bytes only: writing more fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_is_told_and_what_was_written_before_is_kept(folder: Path) -> None:
    (folder / "large.yaml").write_text(PRESET.replace("factors: {elu", "factors: {wide: {hidden: 100}, elu"))
    command = [sys.executable, "-m", "dnntrain", "ablate", "large.yaml", "--workers", "1"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False,
                          preexec_fn=lambda: no_more_than(100_000))  # fmt: skip
    assert done.returncode == 1 and "cannot write to" in done.stderr and "Traceback" not in done.stderr
    assert not list((folder / "runs" / "store").glob(".new-*"))
    succeeds("ablate", "large.yaml", cwd=folder)
    assert "6 of 6 runs are whole" in succeeds("runs", "verify", cwd=folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_trained(folder: Path) -> None:
    (folder / "runs").mkdir(mode=0o500)
    assert "cannot write to" in error_of("ablate", "small.yaml", code=1, cwd=folder)


def test_a_place_where_nothing_can_be_is_told_before_anything_is_trained(folder: Path) -> None:
    said = error_of("ablate", "small.yaml", "--out", "/proc/dnntrain", code=1, cwd=folder)
    assert "cannot write to /proc/dnntrain" in said and "validation" not in said


def test_a_store_that_cannot_be_written_to_is_still_reported(folder: Path) -> None:
    succeeds("ablate", "small.yaml", cwd=folder)
    for path in [folder / "runs", *(folder / "runs").rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    assert "elu" in succeeds("report", "runs", cwd=folder)
    assert "whole" in succeeds("runs", "verify", cwd=folder)


def test_a_table_that_a_person_changed_is_told_and_written_anew_from_the_records(folder: Path) -> None:
    succeeds("ablate", "small.yaml", cwd=folder)
    table = folder / "runs" / "small" / "results.csv"
    written = table.read_text()
    table.write_text(written.replace("finished", "diverged", 1))
    done = dnntrain("report", "runs", cwd=folder)
    assert done.returncode == 0 and "results.csv: changed since it was written" in done.stderr
    assert dnntrain("runs", "verify", cwd=folder).returncode == 1
    succeeds("ablate", "small.yaml", cwd=folder)
    assert table.read_text() == written and not dnntrain("report", "runs", cwd=folder).stderr


def test_a_record_of_a_newer_version_is_left_alone(folder: Path) -> None:
    succeeds("ablate", "small.yaml", cwd=folder)
    path = next((folder / "runs" / "store").glob("*/run.json"))
    newer = json.dumps(json.loads(path.read_text()) | {"format": 2})
    path.write_text(newer)
    assert "written by a newer dnntrain (format 2)" in error_of("ablate", "small.yaml", cwd=folder)
    assert path.read_text() == newer


def test_paths_may_have_blanks_and_letters_of_any_alphabet(folder: Path) -> None:
    place = folder / "Versuche von Jürgen" / "実験 1"
    place.mkdir(parents=True)
    (place / "größe.yaml").write_text(PRESET, encoding="utf-8")
    succeeds("ablate", "größe.yaml", "--out", "läufe 2", cwd=place, LC_ALL="C.UTF-8")
    assert "größe" in succeeds("report", "läufe 2", cwd=place, LC_ALL="C.UTF-8")
    assert "elu" in succeeds("report", "läufe 2", cwd=place, process=True, LC_ALL="C")


@pytest.mark.filterwarnings("ignore:flock not supported")  # filelock says what it does instead
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS], ids=errno.errorcode.get)
def test_a_file_system_without_locks_does_as_well(code: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    answer = inline.answer(["ablate", "small.yaml"], folder)
    assert answer.code == 0 and not answer.trouble
    assert inline.answer(["ablate", "small.yaml", "--join"], folder).code == 0
    assert not [path.name for path in (folder / "runs").glob(".*")]


def test_fewer_seeds_than_before_are_told(folder: Path) -> None:
    succeeds("ablate", "small.yaml", cwd=folder)
    assert "to keep them, give --seeds 2" in error_of("ablate", "small.yaml", "--seeds", "1", cwd=folder).lower()
    done = dnntrain("ablate", "small.yaml", "--seeds", "1", "--yes", cwd=folder)
    assert "seeds that leave its tables now: 1; their runs stay" in done.stderr
    assert "leave its tables" not in dnntrain("ablate", "small.yaml", "--seeds", "1", cwd=folder).stderr
    preset = folder / "small.yaml"
    preset.write_text(preset.read_text().replace("base: {", "base: {lr: 0.02, "))
    told = dnntrain("ablate", "small.yaml", "--seeds", "1", cwd=folder).stderr
    assert "arms that leave its tables now, or change their settings: baseline, " in told
    assert '"status": "finished"' in succeeds("runs", "show", "small", cwd=folder)  # a study means its best run


def test_a_run_alone_is_listed_with_its_study_and_seed(tmp_path: Path) -> None:
    succeeds("train", *QUICK, "--seeds", "1", "--name", "alone", cwd=tmp_path)
    [path] = (tmp_path / "runs" / "store").glob("[!.]*/run.json")
    heading, line = succeeds("runs", "list", "--all", cwd=tmp_path).splitlines()
    shown = dict(zip(heading.split("\t"), line.split("\t"), strict=True))
    listed = [shown[name] for name in ("run", "study", "seed", "status")]
    assert listed == [path.parent.name, "alone", "0", "finished"]
