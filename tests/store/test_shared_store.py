"""A store and a data folder that several users share, or that can only be read; and a user without a home."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dnntrain.data import DataLocation, Dataset
from dnntrain.data import cache as decoded
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.errors import DnntrainError
from dnntrain.store.locks import RunLocks, is_locked
from dnntrain.store.run_store import RunStore
from dnntrain.utils import locks
from dnntrain.utils.files import scratch_folder, write_atomic
from dnntrain.utils.user_dirs import expanded
from tests.support import inline
from tests.support.records import made_record
from tests.support.users import UID, another_user, as_root, commands_of_another_user, public

__all__ = ["public"]  # a fixture

PRESET = "base: {hidden: 8, epochs: 1, train_size: 200, val: 100}\nfactors: {elu: {act: elu}}\nseeds: 2\n"
RUN = "0123456789ab"


@pytest.fixture
def group_umask() -> Iterator[None]:
    """The umask of users who share a folder with their group."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# What is written has the umask's mode


@pytest.mark.usefixtures("group_umask")
def test_a_record_is_open_to_the_group_and_keeps_the_setgid_bit(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o2775)
    store = RunStore(tmp_path)
    store.write(made_record(RUN), {"w": np.zeros(2, np.float32)})
    assert mode(store.folder(RUN)) == 0o2775
    assert {mode(path) for path in store.folder(RUN).iterdir()} == {0o664}


@pytest.mark.usefixtures("group_umask")
def test_decoded_data_are_open_to_the_group_and_keep_the_setgid_bit(tmp_path: Path, mini: Dataset) -> None:
    tmp_path.chmod(0o2775)
    decoded.save_arrays(mini.only("sandal,shirt"), tmp_path / "decoded" / "key")
    assert mode(tmp_path / "decoded") == mode(tmp_path / "decoded" / "key") == 0o2775
    assert {mode(path) for path in (tmp_path / "decoded" / "key").iterdir()} == {0o664}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_private_umask_is_respected(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        assert mode(scratch_folder(tmp_path)) == 0o777 & ~umask
        with exclusive_write(tmp_path / "data"):
            assert mode(tmp_path / "data.lock") == 0o666 & ~umask
        write_atomic(tmp_path / "table.csv", ["1"])
        assert mode(tmp_path / "table.csv") == 0o666 & ~umask
    finally:
        os.umask(before)


def test_a_file_that_is_written_anew_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_atomic(path, ["1"])
    path.chmod(0o640)
    write_atomic(path, ["2"])
    assert (path.read_text(), mode(path)) == ("2", 0o640)
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


# Locks


def test_a_lock_file_is_removed_when_it_is_released(tmp_path: Path) -> None:
    claims = RunLocks(tmp_path / ".claims")
    assert claims.try_lock(RUN) and (tmp_path / ".claims" / RUN).exists()
    assert not RunLocks(tmp_path / ".claims").try_lock(RUN) and is_locked(tmp_path / ".claims" / RUN)
    claims.release_all()
    assert not (tmp_path / ".claims").exists()


LOCKS = """
import sys
from pathlib import Path
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.errors import DnntrainError
from dnntrain.store.locks import RunLocks, is_locked
from dnntrain.store.run_store import RunStore

def study(root):
    with RunStore(root).study_lock("small"):
        pass

def data(root):
    with exclusive_write(root / "data"):
        pass

root = Path(sys.argv[1])
for attempt in (study, data, lambda root: RunLocks(root / ".claims").try_lock("0123456789ab"),
                lambda root: is_locked(root / ".claims" / "0123456789ab")):
    try:
        attempt(root)
        print("no error")
    except DnntrainError as error:
        print(error)
RunLocks(root / ".claims").release_all()
"""


@as_root
def test_another_users_lock_is_named_and_never_removed(public: Path) -> None:
    files = [public / name for name in (".small.lock", "data.lock", f".claims/{RUN}")]
    (public / ".claims").mkdir()
    for path in files:
        path.touch(0o600)
    for folder in (public, public / ".claims"):
        folder.chmod(0o777)
    done = another_user(LOCKS, public, cwd=public)
    said = done.stdout.splitlines()
    assert len(said) == 4 and not done.stderr, done.stderr
    for path, line in zip([*files, files[-1]], said, strict=True):
        assert line.startswith(
            f"{path}: this lock file of root cannot be opened, so their process may still be running"
        )
        assert path.exists()


@as_root
def test_the_owner_of_a_file_may_have_no_name(public: Path) -> None:
    (public / "file").touch()
    os.chown(public / "file", UID, UID)
    assert locks.owner(public / "file") == f"user {UID}"


# A store that can only be read


@as_root
def test_a_finished_study_needs_no_room_to_write(public: Path) -> None:
    (public / "small.yaml").write_text(PRESET)
    printed = inline.answer(["ablate", "small.yaml"], public).out
    written = {path: path.stat().st_mtime_ns for path in public.rglob("*")}
    again = ["ablate", "small.yaml"]
    assert inline.answer(again, public).out == printed
    reading = [again, ["runs", "list"], ["runs", "verify"], ["report", "runs"], ["watch", "runs"]]
    done = commands_of_another_user(*reading, [*again, "--seeds", "3"], cwd=public)
    assert done.stdout.startswith(printed) and done.stdout.count("exit code 0\n") == 5, done.stderr
    assert done.stdout.endswith("exit code 1\n") and done.stderr.count("error: ") == 1
    assert "error: cannot write to" in done.stderr and "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in public.rglob("*")} == written


# Two users of one group, one of them without a home


@as_root
@pytest.mark.usefixtures("group_umask")
def test_a_second_user_of_the_group_goes_on_with_a_study(public: Path) -> None:
    os.chown(public, -1, UID)
    public.chmod(0o2775)
    (public / "small.yaml").write_text(PRESET)
    assert inline.answer(["ablate", "small.yaml", "--seeds", "1"], public).code == 0
    for left in (".small.lock", ".small.holder", f".claims/{RUN}"):  # by a process that was killed
        (public / "runs" / left).parent.mkdir(exist_ok=True)
        (public / "runs" / left).touch()
    again = ["ablate", "small.yaml", "--workers", "1"]
    done = commands_of_another_user(again, ["data", "list"], cwd=public, umask=0o002)
    assert done.stdout.count("exit code 0\n") == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"folder: {public}/cache-{UID}/dnntrain" in done.stdout
    made = list((public / "runs").rglob("*"))
    assert {mode(path) for path in made} == {0o2775, 0o664} and len({path.stat().st_uid for path in made}) == 2
    assert not [path for path in made if path.name.startswith(".") and path.name not in (".checkpoints", ".targets")]


CACHES = """
import os
from dnntrain.utils.user_dirs import provide_caches
provide_caches()
import matplotlib
print(matplotlib.get_configdir(), matplotlib.get_cachedir(), os.environ["XDG_CACHE_HOME"], sep="\\n")
"""


@as_root
def test_libraries_keep_their_caches_there(public: Path) -> None:
    public.chmod(0o777)
    done = another_user(CACHES, cwd=public)
    caches = public / f"cache-{UID}"
    assert done.stdout.split() == [f"{caches}/matplotlib"] * 2 + [str(caches)]
    assert not done.stderr


@as_root
def test_a_cache_folder_of_another_user_is_not_used(public: Path) -> None:
    public.chmod(0o777)
    (public / f"cache-{UID}").mkdir()
    done = another_user("import dnntrain.utils.user_dirs as user_dirs; user_dirs.cache_dir()", cwd=public)
    assert f"InputError: {public}/cache-{UID}: belongs to another user; there is no home folder" in done.stderr


def test_a_home_that_is_not_known_is_an_error() -> None:
    with pytest.raises(DnntrainError, match="~nobody-of-us/x: the home folder that ~ stands for is not known"):
        expanded("~nobody-of-us/x")
    with pytest.raises(DnntrainError, match="home folder"):
        DataLocation.at("~nobody-of-us/x")


def test_what_a_killed_process_left_behind_is_removed_by_gc(tmp_path: Path) -> None:
    for name in ("store/.new-1/run.json", ".new-2", "small/.new-3"):
        (tmp_path / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / name).touch()
    answer = inline.answer(["runs", "gc", "--yes"], tmp_path)
    assert answer.code == 0 and "1 folder and 2 files" in answer.out, answer
    assert not list((tmp_path / "runs").rglob(".new-*"))
