"""Data: the IDX format, Fashion-MNIST (also from a real server on loopback), what a data set is, and the split."""

from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from dnntrain import data
from dnntrain.data import DataLocation, Dataset
from dnntrain.data.fashion_mnist import FILE_NAMES, FashionMini, FashionMnist
from dnntrain.data.idx import read_idx
from dnntrain.data.split import split_indices, validation_count
from dnntrain.errors import InputError

if TYPE_CHECKING:
    from tests.support.loopback import Server

pytest_plugins = "tests.support.loopback"


def idx_bytes(values: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def array(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 10).astype(np.uint8).reshape(shape)


# The format


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (0, 28, 28)])
def test_idx_reads_what_was_written(tmp_path: Path, shape: tuple[int, ...], pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "values"  # gzip is told by the content, not by the name
    path.write_bytes(pack(idx_bytes(array(*shape))))
    values = read_idx(path)
    assert values.dtype == np.uint8 and values.flags.writeable
    np.testing.assert_array_equal(values, array(*shape))


WHOLE = idx_bytes(array(2, 3))
DAMAGED = {
    "empty": (b"", "not an IDX file"),
    "foreign": (b"\x89PNG\r\n\x1a\n" + b"0" * 50, "not an IDX file"),
    "other type": (b"\0\0\x0d\x01" + struct.pack(">I", 1) + b"0000", "type 0x0d"),
    "no dimension": (b"\0\0\x08\0", "within its header"),
    "cut in the header": (WHOLE[:9], "within its header"),
    "cut in the values": (WHOLE[:-1], "5 bytes of values; the header says 6"),
    "more than it says": (WHOLE + b"0", "7 bytes of values"),
    "gzip magic only": (b"\x1f\x8b", "damaged or truncated gzip"),
    "gzip cut off": (gzip.compress(WHOLE)[:-9], "damaged or truncated gzip"),
    "gzip checksum": (gzip.compress(WHOLE)[:-8] + b"0000" + gzip.compress(WHOLE)[-4:], "damaged or truncated gzip"),
    "gzip body": (gzip.compress(WHOLE)[:10] + b"\xff" * 20, "damaged or truncated gzip"),
    "gzip and more": (gzip.compress(WHOLE) + b"more", "damaged or truncated gzip"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_idx_refuses(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_idx(tmp_path / "file")


# The embedded data


def test_fashion_mini() -> None:
    mini = data.load_dataset("fashion-mini")
    assert (mini.name, mini.shape, mini.outline.n_features, len(mini.classes)) == ("fashion-mini", (28, 28), 784, 10)
    assert mini.train_inputs.shape == (10_000, 28, 28) and mini.test_inputs.shape == (2_000, 28, 28)
    assert mini.train_targets.shape == (10_000,) and mini.test_targets.shape == (2_000,)
    assert mini.train_inputs.dtype == np.uint8 and mini.train_targets.dtype == np.int64
    assert mini.train_targets[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]  # as published
    assert mini.test_targets[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert mini.fingerprint == FashionMini().fingerprint(DataLocation()) == "c621d7865106826f"
    assert FashionMini().static_info() == mini.outline
    assert "MIT" in mini.license and "Zalando" in mini.license


def test_fashion_mini_ships_its_licence_and_is_written_reproducibly(tmp_path: Path) -> None:
    files = FashionMini().files(DataLocation(tmp_path))
    assert FashionMini().find(DataLocation(tmp_path)) == files
    license = (files[0].parent / "LICENSE").read_text("utf-8")
    assert "MIT License" in license and "2017 Zalando SE" in license
    assert sum(path.stat().st_size for path in files) < 5_300_000
    for path in files:
        assert path.read_bytes()[3:8] == bytes(5)  # neither name nor time in the gzip header


def test_fashion_mini_is_the_head_of_the_full_data() -> None:
    home = DataLocation()
    if not FashionMnist().find(home):
        pytest.skip(f"Fashion-MNIST is neither in {home.folder} (dnntrain data fetch fashion-mnist) nor from Debian")
    mini, full = data.load_dataset("fashion-mini"), data.load_dataset("fashion-mnist")
    assert full.train_inputs.shape == (60_000, 28, 28) and full.test_inputs.shape == (10_000, 28, 28)
    assert np.bincount(full.train_targets).tolist() == [6_000] * 10
    for part in ("train_inputs", "train_targets", "test_inputs", "test_targets"):
        head = getattr(full, part)[: len(getattr(mini, part))]
        assert hashlib.sha256(head).digest() == hashlib.sha256(getattr(mini, part)).digest()


def test_torch_is_not_imported() -> None:
    code = "import sys, dnntrain.data as d; d.load_dataset('fashion-mini'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_torchvision_imports_here_and_knows_the_files() -> None:
    pytest.importorskip("torch")
    code = (
        "from dnntrain.utils.torchvision_compat import import_torchvision\n"
        "known = import_torchvision().datasets.FashionMNIST\n"
        "print(len(known.mirrors) > 0, *sorted(name for name, md5 in known.resources))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", *sorted(f"{name}.gz" for name in FILE_NAMES)], done.stderr


# Sources


def test_sources_are_found_by_name() -> None:
    assert list(data.SOURCES) == ["fashion-mini", "fashion-mnist", "cifar10"]
    assert data.find_source("fashion-mnist").name == "fashion-mnist"
    with pytest.raises(InputError, match="unknown data set 'fashion_mini'; did you mean 'fashion-mini'"):
        data.load_dataset("fashion_mini")


def test_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DNNTRAIN_DATA", str(tmp_path))
    assert data.default_data_dir() == tmp_path
    monkeypatch.setenv("DNNTRAIN_DATA", "~/images")
    assert data.default_data_dir() == Path.home() / "images"
    monkeypatch.setenv("DNNTRAIN_DATA", "")
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert data.default_data_dir() == tmp_path / "cache" / "dnntrain"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert data.default_data_dir() == Path.home() / ".cache" / "dnntrain"


TINY = dict(zip(FILE_NAMES, (array(20, 28, 28), array(20), array(10, 28, 28), array(10)), strict=True))


class Tiny(FashionMnist):
    """The full data's source with 20 + 10 made-up images, which no system folder and no mirror has."""

    counts: ClassVar[tuple[int, int]] = (20, 10)
    checksums: ClassVar[Any] = tuple(zlib.crc32(values.tobytes()) for values in TINY.values())
    system_folder: ClassVar[Path] = Path("/nowhere")


def write_tiny(folder: Path, plain: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in TINY.items():
        content = idx_bytes(values)
        (folder / (name if plain else f"{name}.gz")).write_bytes(content if plain else gzip.compress(content))


@pytest.mark.parametrize("plain", [False, True], ids=["gzip", "plain"])
@pytest.mark.parametrize("place", ["fashion-mnist", "FashionMNIST/raw", "debian"])
def test_full_data_is_found(tmp_path: Path, place: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path / place, plain)
    monkeypatch.setattr(Tiny, "system_folder", tmp_path / "debian")
    source, home = Tiny(), DataLocation(tmp_path)
    assert source.find(home) == source.files(home)
    assert all(path.parent == tmp_path / place for path in source.files(home))
    loaded = source.load(home)
    np.testing.assert_array_equal(loaded.train_inputs, array(20, 28, 28))
    np.testing.assert_array_equal(loaded.test_targets, array(10))


def test_fingerprint_follows_the_data_not_the_gzip_header(tmp_path: Path) -> None:
    write_tiny(tmp_path / "fashion-mnist")
    home = DataLocation(tmp_path)
    first = Tiny().fingerprint(home)
    assert first == Tiny().load(home).fingerprint
    path = tmp_path / "fashion-mnist" / f"{FILE_NAMES[1]}.gz"
    content = path.read_bytes()
    path.write_bytes(content[:3] + b"\x08" + b"1234" + content[8:10] + b"old name\0" + content[10:])
    np.testing.assert_array_equal(read_idx(path), array(20))
    assert Tiny().fingerprint(home) == first
    path.write_bytes(gzip.compress(idx_bytes(array(20)[::-1])))
    assert Tiny().fingerprint(home) != first


FOREIGN = {
    "cut off": (0, gzip.compress(idx_bytes(TINY[FILE_NAMES[0]]))[:50], "truncated gzip"),
    "too few": (1, idx_bytes(array(19)), r"shape \(19,\); fashion-mnist has \(20,\)"),
    "too small": (2, idx_bytes(array(10, 8, 8)), r"shape \(10, 8, 8\)"),
    "other data": (0, idx_bytes(array(20, 28, 28) + 1), "not those of fashion-mnist"),
    "a page": (3, b"<html>Log in to the network</html>", "not an IDX file"),
}


@pytest.mark.parametrize(("which", "content", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_a_wrong_file_is_named(tmp_path: Path, which: int, content: bytes, reason: str) -> None:
    write_tiny(tmp_path / "fashion-mnist")
    path = tmp_path / "fashion-mnist" / f"{FILE_NAMES[which]}.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        Tiny().load(DataLocation(tmp_path))
    assert str(path) in str(caught.value) and "remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shipped_file_that_is_gone_is_named(tmp_path: Path) -> None:
    class Gone(FashionMini):
        def files(self, home: DataLocation) -> list[Path]:
            return [home.folder / name for name in FILE_NAMES]

    with pytest.raises(InputError, match=f"{FILE_NAMES[0]}: cannot be read .*; install dnntrain again"):
        Gone().load(DataLocation(tmp_path))
    with pytest.raises(InputError, match=f"{FILE_NAMES[0]}: cannot be read"):
        Gone().fingerprint(DataLocation(tmp_path))


GOOD = Dataset(
    name="good",
    train_inputs=np.zeros((4, 2, 2), np.uint8),
    train_targets=np.array([0, 1, 2, 0]),
    test_inputs=np.zeros((2, 2, 2), np.uint8),
    test_targets=np.array([1, 2]),
    classes=("a", "b", "c"),
    fingerprint="0" * 16,
    license="none",
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"train_targets": np.array([0, 1, 3, 0])}, "training part: a label is 3; must be from 0 to 2"),
        ({"test_targets": np.array([-1, 2])}, "test part: a label is -1"),
        ({"test_targets": np.array([1])}, "2 inputs and 1 targets"),
        ({"test_inputs": np.zeros((2, 2, 3), np.uint8)}, r"test part: inputs \(2, 2, 3\)"),
        ({"train_inputs": np.zeros((4, 2, 2), np.float16)}, "float16 inputs"),
        ({"train_inputs": np.zeros((4, 2), np.uint8)}, r"uint8 inputs \(4, 2\) are not images"),
        ({"test_inputs": np.zeros((0, 2, 2), np.uint8), "test_targets": np.zeros(0, np.int64)}, "at least one"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], reason: str) -> None:
    assert (GOOD.shape, GOOD.outline.n_features, GOOD.outline.n_outputs) == ((2, 2), 4, 3)
    with pytest.raises(InputError, match=reason):
        replace(GOOD, **change)


# Fashion-MNIST from a server


@pytest.fixture
def tiny(server: Server, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """The source whose files the server has."""
    packed = {f"{name}.gz": gzip.compress(idx_bytes(values)) for name, values in TINY.items()}
    server.files = {f"/{name}": content for name, content in packed.items()}
    monkeypatch.setattr(Tiny, "mirrors", [f"{server.address}/"])
    monkeypatch.setattr(Tiny, "resources", [(name, md5_of(content)) for name, content in packed.items()])
    return Tiny()


def md5_of(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_full_data_is_downloaded_once(server: Server, tiny: Tiny, tmp_path: Path) -> None:
    home = DataLocation(tmp_path)
    assert tiny.find(home) == [] and server.asked == []
    assert len(tiny.load(home).train_targets) == 20
    assert sorted(path.name for path in (tmp_path / "fashion-mnist").iterdir()) == sorted(
        f"{name}.gz" for name in FILE_NAMES
    )
    assert len(server.asked) == 4
    tiny.load(home)
    assert len(server.asked) == 4


def test_only_missing_files_are_downloaded(server: Server, tiny: Tiny, tmp_path: Path) -> None:
    write_tiny(tmp_path / "fashion-mnist")
    (tmp_path / "fashion-mnist" / f"{FILE_NAMES[2]}.gz").unlink()
    tiny.load(DataLocation(tmp_path))
    assert [path for path, _ in server.asked] == [f"/{FILE_NAMES[2]}.gz"]


@pytest.mark.parametrize("end", ["", "/"], ids=["plain", "slash"])
@pytest.mark.parametrize("kind", ["http", "file", "folder"])
def test_the_home_s_mirror_is_asked_instead(server: Server, tiny: Tiny, tmp_path: Path, kind: str, end: str) -> None:
    for path, content in list(server.files.items()):
        server.files[f"/here{path}"] = content
        (tmp_path / "mirror").mkdir(exist_ok=True)
        (tmp_path / "mirror" / path[1:]).write_bytes(content)
    mirrors = {"http": f"{server.address}/here", "file": (tmp_path / "mirror").as_uri(), "folder": tmp_path / "mirror"}
    home = DataLocation(tmp_path / "home", f"{mirrors[kind]}{end}")
    assert len(tiny.load(home).train_targets) == 20
    names = [f"/here/{name}.gz" for name in FILE_NAMES] if kind == "http" else []
    assert [path for path, _ in server.asked] == names


def test_a_mirror_without_the_files_is_not_replaced_by_the_official_ones(
    server: Server, tiny: Tiny, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"{FILE_NAMES[0]}.gz: cannot be read .No such file"):
        tiny.load(DataLocation(tmp_path, str(tmp_path / "none")))
    assert server.asked == [] and list(tmp_path.iterdir()) == []


def test_the_error_names_the_ways_to_get_the_data(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tiny, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(InputError) as caught:
        tiny.load(DataLocation(tmp_path))
    message = str(caught.value)
    for part in ("apt-get install dataset-fashion-mnist", str(tmp_path / "fashion-mnist"), "internet"):
        assert part in message
    assert "dnntrain data fetch fashion-mnist" in message and "--mirror" in message
    assert message.splitlines()[-1].endswith("--data fashion-mini") and len(message.splitlines()) <= 6
    assert list(tmp_path.iterdir()) == []


# The split


@pytest.mark.parametrize(
    ("val", "n", "count"), [(0.1, 60_000, 6_000), (0.3, 10, 3), (0.26, 10, 3), (5_000, 60_000, 5_000)]
)
def test_validation_count(val: float, n: int, count: int) -> None:
    assert validation_count(val, n) == count


def test_validation_count_takes_one_and_whole_numbers_as_counts() -> None:
    assert validation_count(1, 10) == validation_count(1.0, 10) == 1
    assert validation_count(5e3, 60_000) == 5_000


@pytest.mark.parametrize(
    ("val", "reason"),
    [
        (0, "val = 0: must be a fraction between 0 and 1 or a count"),
        (-0.1, "val = -0.1: must be"),
        (1.5, "val = 1.5: must be"),
        (float("nan"), "val = nan: must be"),
        (float("inf"), "val = inf: must be"),
        (0.001, "val = 0.001: less than one of 10 examples"),
        (0.99, "val = 0.99: leaves no training example; must be at most 9 of 10"),
        (10, "val = 10: leaves no training example"),
    ],
)
def test_validation_count_refuses(val: float, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        validation_count(val, 10)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_validation_is_the_last_part_and_training_all_before() -> None:
    train, validation = split_indices(np.zeros(10, np.int64), 0.3, None, rng())
    assert train.tolist() == [0, 1, 2, 3, 4, 5, 6] and validation.tolist() == [7, 8, 9]
    assert train.dtype == validation.dtype == np.int64


# By hand: shares of 6, 3 and 1 in 10, so 4 gives 2.4, 1.2, .4 -> 2, 1, 0, and one more to .4 (class 0 before 2).
QUOTAS = [
    (4, [3, 1, 0]),
    (5, [3, 2, 0]),
    (6, [4, 2, 0]),
    (7, [4, 2, 1]),
    (9, [5, 3, 1]),
    (10, [6, 3, 1]),
    (1, [1, 0, 0]),
]


@pytest.mark.parametrize(("size", "quotas"), QUOTAS)
def test_train_size_is_stratified(size: int, quotas: list[int]) -> None:
    labels = np.array([0, 1, 0, 2, 0, 1, 0, 1, 0, 0, 2, 2, 2])  # the last three validate and do not count
    train, validation = split_indices(labels, 3, size, rng())
    assert validation.tolist() == [10, 11, 12]
    assert np.bincount(labels[train], minlength=3).tolist() == quotas
    assert train.tolist() == sorted(set(train.tolist())) and train.max() < 10


def test_train_size_draws_with_the_generator_and_grows_by_adding() -> None:
    labels = data.load_dataset("fashion-mini").train_targets
    draw = {size: split_indices(labels, 0.1, size, rng())[0] for size in (100, 1_000)}
    assert [len(train) for train in draw.values()] == [100, 1_000]
    np.testing.assert_array_equal(draw[100], split_indices(labels, 0.1, 100, rng())[0])
    assert set(draw[100]) != set(split_indices(labels, 0.1, 100, rng(2))[0])
    assert set(draw[100]) < set(draw[1_000])
    shares = np.bincount(labels[:9_000]) / 9_000
    assert np.abs(np.bincount(labels[draw[1_000]]) - 1_000 * shares).max() < 1


def test_every_class_and_place_is_drawn_alike() -> None:
    labels = np.repeat([0, 1], 50)
    drawn = np.concatenate([split_indices(np.append(labels, 0), 1, 10, rng(seed))[0] for seed in range(2_000)])
    assert np.abs(np.bincount(drawn, minlength=100) - 200).max() < 70  # 5 standard deviations of 13.4


@pytest.mark.parametrize("size", [0, -5, 8])
def test_train_size_out_of_bounds(size: int) -> None:
    with pytest.raises(InputError, match=f"train_size = {size}: must be from 1 to 7, .*val = 3 leaves of 10"):
        split_indices(np.zeros(10, np.int64), 3, size, rng())
