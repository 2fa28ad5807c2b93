"""CIFAR-10: both published forms, what is refused, and the archive it is downloaded in."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from dnntrain import data
from dnntrain.data import DataLocation, archive
from dnntrain.data.archive import unpack
from dnntrain.data.cifar10 import SHAPE, ArchiveFormat, Cifar10
from dnntrain.errors import DnntrainError, InputError

if TYPE_CHECKING:
    from tests.support.loopback import Server

pytest_plugins = "tests.support.loopback"

PER_FILE = 4
LABELS = np.arange(3 * PER_FILE) % 10
LEVELS = np.random.default_rng(1).integers(0, 256, (3 * PER_FILE, *SHAPE)).astype(np.uint8)


def md5_of(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def parts() -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and levels of two training files and the test file."""
    return list(zip(np.split(LABELS, 3), np.split(LEVELS.reshape(len(LEVELS), -1), 3), strict=True))


def as_binary(labels: np.ndarray, levels: np.ndarray) -> bytes:
    return np.column_stack([labels.astype(np.uint8), levels]).tobytes()


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes bytes as Python 2 wrote its strings, which Python 3 cannot in protocol 2."""

    dispatch: ClassVar[Any] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, text: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = save_string


def as_pickle(labels: np.ndarray, levels: np.ndarray, **more: Any) -> bytes:
    """As the published batches were written, by Python 2 and an old numpy."""
    batch = {"batch_label": "batch 1", "labels": labels.tolist(), "data": levels, "filenames": ["a.png"]} | more
    file = io.BytesIO()
    Python2Pickler(file, 2).dump({key.encode(): value for key, value in batch.items()})
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


NAMES = ("data_batch_1", "data_batch_2", "test_batch")
BINARY = {f"{name}.bin": as_binary(*part) for name, part in zip(NAMES, parts(), strict=True)}
PICKLED = {name: as_pickle(*part) for name, part in zip(NAMES, parts(), strict=True)}


def form(published: ArchiveFormat, files: Mapping[str, bytes]) -> ArchiveFormat:
    return published._replace(md5s={name: md5_of(content) for name, content in files.items()})


def packed(files: Mapping[str, bytes] = BINARY, *more: tarfile.TarInfo, folder: str = "cifar-10-batches-bin") -> bytes:
    """The gzipped archive of the folder: first `more`, then the files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in more:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)  # the same bytes at any time


class Tiny(Cifar10):
    """The source with 8 + 4 made-up images, which no mirror has."""

    per_file: ClassVar[int] = PER_FILE
    binary: ClassVar[ArchiveFormat] = form(Cifar10.binary, BINARY)
    pickled: ClassVar[ArchiveFormat] = form(Cifar10.pickled, PICKLED)
    mirrors: ClassVar[Any] = ("http://127.0.0.1:9",)
    archive_md5: ClassVar[str] = md5_of(packed())


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


IDENTITY = hashlib.sha256("\n".join(["cifar10", *map(md5_of, BINARY.values())]).encode()).hexdigest()[:16]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Found on this machine

FORMS = {"cifar-10-batches-bin": BINARY, "cifar-10-batches-py": PICKLED}
PLACES = [(place, name) for name in FORMS for place in ("", "cifar10")]


@pytest.mark.parametrize(("place", "name"), PLACES)
def test_both_forms_are_found_and_give_the_same(tmp_path: Path, place: str, name: str) -> None:
    write(tmp_path / place / name, FORMS[name])
    home, source = DataLocation(tmp_path), Tiny()
    assert source.find(home) == [tmp_path / place / name / file for file in FORMS[name]]
    found = source.read(home)
    np.testing.assert_array_equal(found.train_inputs, LEVELS[: 2 * PER_FILE])
    np.testing.assert_array_equal(found.test_inputs, LEVELS[2 * PER_FILE :])
    np.testing.assert_array_equal(np.concatenate([found.train_targets, found.test_targets]), LABELS)
    assert found.outline == source.static_info() == source.outline(home)
    assert found.fingerprint == source.fingerprint(home) == IDENTITY


def test_the_first_place_that_has_all_is_taken(tmp_path: Path) -> None:
    home = DataLocation(tmp_path)
    for place, name in reversed(PLACES):
        write(tmp_path / place / name, FORMS[name])
        assert {path.parent for path in Tiny().find(home)} == {tmp_path / place / name}
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    assert {path.parent for path in Tiny().find(home)} == {tmp_path / "cifar10" / "cifar-10-batches-bin"}


def test_the_decoded_arrays_are_kept_and_mapped(tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-py", PICKLED)
    first, second = (Tiny(classes="cat,ship").load(DataLocation(tmp_path)) for _ in range(2))
    assert first.classes == second.classes == ("cat", "ship")
    np.testing.assert_array_equal(first.train_inputs, LEVELS[[3]])
    np.testing.assert_array_equal(second.train_inputs, first.train_inputs)
    assert len(names(tmp_path / "decoded")) == 1


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "change",
    [lambda content: content[:-1], lambda content: content + b"0", lambda content: b"x" + content[1:], bytes.upper],
)
def test_a_file_that_is_not_the_original_is_named(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    write(tmp_path / name, FORMS[name])
    path = tmp_path / name / list(FORMS[name])[1]
    path.write_bytes(change(path.read_bytes()))
    for ask in (Tiny().read, Tiny().fingerprint, Tiny().load):
        with pytest.raises(InputError, match=r"bytes are not those of cifar10.* Remove it") as caught:
            ask(DataLocation(tmp_path))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "find", lambda self, home: [tmp_path / "cifar-10-batches-bin" / "none.bin"])
    with pytest.raises(InputError, match=r"none\.bin: cannot be read \(No such file"):
        Tiny().fingerprint(DataLocation(tmp_path))


class Evil:
    """Pickled, it is a call of os.system."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_a_pickle_s_checksum_is_looked_at_first_and_it_can_call_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, folder = tmp_path / "called", tmp_path / "cifar-10-batches-py"
    evil = PICKLED | {"data_batch_1": as_pickle(*parts()[0], filenames=Evil(mark))}
    write(folder, evil)
    decoded: list[bytes] = []
    monkeypatch.setattr(Tiny, "pickled", Tiny.pickled._replace(decode=decoded.append))
    with pytest.raises(InputError, match=r"data_batch_1: its .* bytes are not those of cifar10"):
        Tiny().read(DataLocation(tmp_path))
    assert decoded == []
    monkeypatch.setattr(Tiny, "pickled", form(Cifar10.pickled, evil))
    with pytest.raises(InputError, match=r"data_batch_1: not a batch of images \(it calls (posix|nt)\.system\)"):
        Tiny().read(DataLocation(tmp_path))
    assert not mark.exists()


ODD = {
    "nothing": b"",
    "no pickle": b"<html>",
    "a list": pickle.dumps([1, 2]),
    "no data": pickle.dumps({b"labels": [1]}),
    "too few": as_pickle(*(part[:-1] for part in parts()[0])),
    "not levels": pickle.dumps({b"labels": [1, 2, 3, 4], b"data": ["a"]}),
    "eval": b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.",
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_an_odd_pickle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    files = PICKLED | {"test_batch": content}
    monkeypatch.setattr(Tiny, "pickled", form(Cifar10.pickled, files))
    write(tmp_path / "cifar-10-batches-py", files)
    with pytest.raises(InputError, match="test_batch: "):
        Tiny().read(DataLocation(tmp_path))


def test_the_checksums_are_torchvision_s() -> None:
    pytest.importorskip("torch")
    from dnntrain.utils.torchvision_compat import import_torchvision

    known = import_torchvision().datasets.CIFAR10
    assert dict([*known.train_list, *known.test_list]) == Cifar10.pickled.md5s
    assert known.base_folder == Cifar10.pickled.folder
    assert tuple(known.url.rsplit("/", 1)[:1]) == tuple(mirror.rstrip("/") for mirror in Cifar10.mirrors)


def test_the_real_data() -> None:
    home, source = DataLocation(), Cifar10()
    if not source.find(home):
        pytest.skip(f"CIFAR-10 is not in {home.folder}: dnntrain data fetch cifar10, or set DNNTRAIN_DATA")
    found = source.read(home)
    assert found.train_inputs.shape == (50_000, *SHAPE) and found.test_inputs.shape == (10_000, *SHAPE)
    assert np.bincount(found.train_targets).tolist() == [5_000] * 10
    assert np.bincount(found.test_targets).tolist() == [1_000] * 10
    assert [found.classes[label] for label in found.train_targets[:4]] == ["frog", "truck", "truck", "deer"]  # as shown
    means = found.train_inputs.mean((0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-4)  # as published everywhere
    assert found.fingerprint == source.fingerprint(home) == "a90dcd4525266007"


# Downloaded


@pytest.fixture
def tiny(server: Server, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """The source whose archive the server has."""
    serve(server, monkeypatch, packed())
    return Tiny()


def serve(server: Server, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Have the server give an archive, which the source takes for the right one."""
    server.files["/cifar-10-binary.tar.gz"] = content
    monkeypatch.setattr(Tiny, "mirrors", [f"{server.address}/"])
    monkeypatch.setattr(Tiny, "archive_md5", md5_of(content))


def test_it_is_downloaded_once_and_the_archive_removed(server: Server, tiny: Tiny, tmp_path: Path) -> None:
    home = DataLocation(tmp_path / "home")
    assert tiny.find(home) == [] and server.asked == []
    np.testing.assert_array_equal(tiny.load(home).train_inputs, LEVELS[: 2 * PER_FILE])
    assert names(home.folder / "cifar10") == ["cifar-10-batches-bin"]
    assert names(home.folder / "cifar10" / "cifar-10-batches-bin") == sorted(BINARY)
    tiny.load(home)
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["http", "file", "folder"])
def test_the_home_s_mirror_is_asked_instead(server: Server, tiny: Tiny, tmp_path: Path, kind: str) -> None:
    server.files["/here/cifar-10-binary.tar.gz"] = packed()
    write(tmp_path / "mirror", {"cifar-10-binary.tar.gz": packed()})
    mirrors = {"http": f"{server.address}/here", "file": (tmp_path / "mirror").as_uri(), "folder": tmp_path / "mirror"}
    assert len(tiny.read(DataLocation(tmp_path / "home", str(mirrors[kind]))).train_targets) == 2 * PER_FILE
    assert [path for path, _ in server.asked] == (["/here/cifar-10-binary.tar.gz"] if kind == "http" else [])


def test_an_incomplete_folder_is_completed(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    write(folder, {"data_batch_1.bin": b"damaged", "mine.txt": b"mine"})
    assert len(tiny.read(DataLocation(tmp_path)).train_targets) == 2 * PER_FILE
    assert names(folder) == sorted([*BINARY, "mine.txt"]) and names(tmp_path / "cifar10") == [folder.name]


def test_of_two_at_once_one_downloads(server: Server, tiny: Tiny, tmp_path: Path) -> None:
    server.stops_after, server.gate = 100, threading.Event()
    found: list[list[Path]] = []
    threads = [threading.Thread(target=lambda: found.append(tiny.files(DataLocation(tmp_path)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    threading.Timer(0.1, server.gate.set).start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] == found[1] != []
    assert len(server.asked) == 1 and names(tmp_path / "cifar10") == ["cifar-10-batches-bin"]


def test_what_a_killed_process_left_is_used_or_cleared(server: Server, tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "cifar10"
    write(folder / "cifar-10-batches-bin.new", {"data_batch_1.bin": b"half of"})
    write(folder, {"cifar-10-binary.tar.gz": packed(), "cifar-10-batches-bin.lock": b""})
    assert len(tiny.read(DataLocation(tmp_path)).train_targets) == 2 * PER_FILE
    assert server.asked == [] and names(folder) == ["cifar-10-batches-bin"]


def test_the_error_names_the_ways_to_get_the_data(server: Server, tiny: Tiny, tmp_path: Path) -> None:
    server.files.clear()
    with pytest.raises(InputError, match=r"could not be downloaded: .*responded 404") as caught:
        tiny.read(DataLocation(tmp_path))
    message = str(caught.value)
    for word in ("dnntrain data fetch cifar10", "--mirror", str(tmp_path), "cifar-10-batches-py", "--data-dir"):
        assert word in message
    assert message.splitlines()[-1].endswith("--data fashion-mini") and len(message.splitlines()) <= 6
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "cifar10").write_text("in the way")
    with pytest.raises(DnntrainError, match="cifar-10-batches-bin: cannot be written") as caught:
        tiny.read(DataLocation(tmp_path))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 1


def test_a_disk_that_is_full_while_unpacking_is_told_and_goes_on_later(
    server: Server, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    copy = archive.shutil.copyfileobj
    monkeypatch.setattr(archive.shutil, "copyfileobj", full)
    with pytest.raises(DnntrainError, match=r"-bin: cannot be written \(No space left on device\)") as caught:
        tiny.read(DataLocation(tmp_path))
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(archive.shutil, "copyfileobj", copy)
    assert names(tmp_path / "cifar10") == ["cifar-10-binary.tar.gz"]
    assert len(tiny.read(DataLocation(tmp_path)).train_targets) == 2 * PER_FILE and len(server.asked) == 1


# The archive


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


FIRST = "cifar-10-batches-bin/data_batch_1.bin"
REST = {name: content for name, content in BINARY.items() if name != "data_batch_1.bin"}
BAD = {
    "a member is missing": (packed(REST), "an archive without cifar-10-batches-bin/data_batch_1.bin"),
    "other folder": (packed(folder="other"), "an archive without"),
    "a symbolic link": (packed(REST, member(FIRST, tarfile.SYMTYPE, link="/etc/passwd")), "is not a file of 12,292 b"),
    "a hard link": (packed(REST, member(FIRST, tarfile.LNKTYPE, link="/etc/passwd")), "is not a file"),
    "a folder": (packed(REST, member(FIRST, tarfile.DIRTYPE)), "is not a file"),
    "a device": (packed(REST, member(FIRST, tarfile.CHRTYPE)), "is not a file"),
    "too short": (packed(REST, member(FIRST, size=12_291)), "is not a file of 12,292 bytes"),
    "too long": (packed(REST, member(FIRST, size=12_293)), "is not a file of 12,292 bytes"),
    "cut off": (packed()[:-5_000], "damaged or truncated archive"),
    "cut off early": (packed()[:20], "damaged or truncated archive"),
    "damaged": (packed()[:2_000] + bytes(200) + packed()[2_200:], "archive"),
    "not gzipped": (b"cifar" * 1_000, "damaged or truncated archive"),
    "empty": (b"", "archive"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_a_bad_archive_is_told_and_leaves_no_half_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    serve(server, monkeypatch, content)
    with pytest.raises(InputError, match=f"tar.gz: .*{reason}.*; remove it"):
        Tiny().read(DataLocation(tmp_path))
    assert names(tmp_path / "cifar10") == ["cifar-10-binary.tar.gz"]


def test_what_else_is_in_the_archive_stays_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    extra = [
        member("cifar-10-batches-bin", tarfile.DIRTYPE),
        member("cifar-10-batches-bin/readme.html", size=88),
        member("../../evil", size=3),
        member("cifar-10-batches-bin/../../../data_batch_1.bin", size=len(BINARY["data_batch_1.bin"])),
        member(str(outside), size=3),
        member("cifar-10-batches-bin/link", tarfile.SYMTYPE, link=str(outside)),
        member("cifar-10-batches-bin/link/data_batch_1.bin", size=len(BINARY["data_batch_1.bin"])),
    ]
    serve(server, monkeypatch, packed(BINARY, *extra))
    home = DataLocation(tmp_path / "a" / "b" / "home")
    np.testing.assert_array_equal(Tiny().read(home).train_inputs, LEVELS[: 2 * PER_FILE])
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if not path.is_dir()]
    assert sorted(path.name for path in files) == sorted(BINARY)


def test_unpack_gives_its_folder_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(packed())
    (tmp_path / "usual").mkdir()
    unpack(tmp_path / "archive", tmp_path / "folder", {FIRST: len(BINARY["data_batch_1.bin"])})
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert names(tmp_path / "folder") == ["data_batch_1.bin"]


def test_it_is_found_by_name() -> None:
    source = data.find_source("cifar10")
    assert isinstance(source, Cifar10) and source.outline().n_features == 3_072 and source.outline().n_outputs == 10
    assert "license" in source.license and "Krizhevsky" in source.license and source.size == "170 MB"
