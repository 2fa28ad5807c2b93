"""Downloads: from a real server on loopback that misbehaves as servers do, from folders, and by several processes."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dnntrain.data import download as module
from dnntrain.data.download import DownloadError, address, download
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.errors import DnntrainError

if TYPE_CHECKING:
    from tests.support.loopback import Server

pytest_plugins = "tests.support.loopback"

CONTENT = bytes(range(256)) * 1_000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def url(server: Server) -> str:
    """Where the server has the file."""
    server.files["/file.gz"] = CONTENT
    return f"{server.address}/file.gz"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ranges(server: Server) -> list[str | None]:
    return [wanted for _, wanted in server.asked]


# As it should be


def test_download(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "file.gz"
    download([url], target, MD5)
    assert target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]
    out, err = capsys.readouterr()
    assert out == "" and err == f"downloading {url}\n"


def test_download_tries_the_mirrors_in_order(
    url: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirrors = [f"{server.address}/{name}" for name in ("none.gz", "file.gz", "never.gz")]
    download(mirrors, tmp_path / "file.gz", MD5, progress=False)
    assert [path for path, _ in server.asked] == ["/none.gz", "/file.gz"]
    assert capsys.readouterr().err == ""


def test_a_file_that_is_there_is_not_fetched_again_and_a_wrong_one_is(url: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(CONTENT)
    download([url], tmp_path / "file.gz", MD5)
    assert server.asked == [] and names(tmp_path) == ["file.gz"]
    (tmp_path / "file.gz").write_bytes(CONTENT[:-1])
    download([url], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_download_shows_a_bar_on_a_terminal(url: str, tmp_path: Path) -> None:
    screen, terminal = os.openpty()
    process = fetching(url, tmp_path / "file.gz", stderr=terminal)
    process.wait()
    os.close(terminal)
    shown = os.read(screen, 10_000).decode()
    os.close(screen)
    assert process.returncode == 0 and "file.gz" in shown and "256.0/256.0 kB" in shown


# A connection that breaks


def test_download_cut_off_goes_on_where_it_stopped(url: str, server: Server, tmp_path: Path) -> None:
    server.stops_after = 50_000
    with pytest.raises(DownloadError, match="ended after 150000 of 256000 bytes; try again to resume"):
        download([url], tmp_path / "file.gz", MD5)
    assert names(tmp_path) == ["file.gz.part"]
    server.stops_after = None
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == [None, "bytes=50000-", "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT and names(tmp_path) == ["file.gz"]


def test_a_try_goes_on_where_the_last_one_broke_and_says_so(
    url: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.stops_after = 100_000
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT
    assert "ended after 100000 of 256000 bytes; next attempt in 0.01 s" in capsys.readouterr().err


def test_the_next_mirror_goes_on_where_the_first_one_broke(url: str, server: Server, tmp_path: Path) -> None:
    server.stops_after, server.files["/first"] = 80_000, CONTENT
    download([f"{server.address}/first", url], tmp_path / "file.gz", MD5)
    assert [path for path, _ in server.asked] == ["/first", "/first", "/first", "/file.gz"]
    assert ranges(server)[-1] == "bytes=240000-" and (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.usefixtures("short_timeout")
def test_a_stall_ends_the_try_and_loses_nothing(url: str, server: Server, tmp_path: Path) -> None:
    server.stops_after, server.gate = 100_000, threading.Event()
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.usefixtures("short_timeout")
def test_a_stall_without_end_is_told(url: str, server: Server, tmp_path: Path) -> None:
    server.stops_after, server.gate = 0, threading.Event()
    with pytest.raises(DownloadError, match=r"file\.gz: no data for 0\.3 s"):
        download([url], tmp_path / "file.gz", MD5)
    assert len(server.asked) == 3


def test_a_server_that_disappears_half_way_is_told_and_what_came_is_kept(
    url: str, server: Server, tmp_path: Path
) -> None:
    server.stops_after, server.vanishes = 100_000, True
    with pytest.raises(DownloadError, match=r"file\.gz: .*Connection refused; try again to resume"):
        download([url], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz.part").read_bytes() == CONTENT[:100_000]
    assert names(tmp_path) == ["file.gz.part"] and len(server.asked) == 1


def test_without_a_length_a_break_is_told_by_the_checksum(url: str, server: Server, tmp_path: Path) -> None:
    server.says_length, server.stops_after = False, 100_000
    with pytest.raises(DownloadError, match="wrong checksum"):
        download([url], tmp_path / "file.gz", MD5)
    assert list(tmp_path.iterdir()) == []
    server.stops_after = None
    download([url], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


# Answers


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_passing_error_is_tried_again(url: str, server: Server, tmp_path: Path, code: int) -> None:
    server.answers = [code, code]
    download([url], tmp_path / "file.gz", MD5)
    assert len(server.asked) == 3 and (tmp_path / "file.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_lasting_error_is_not(url: str, server: Server, tmp_path: Path, code: int) -> None:
    server.answers = [code]
    with pytest.raises(DownloadError, match=f"the server responded {code}"):
        download([url], tmp_path / "file.gz", MD5)
    assert len(server.asked) == 1 and list(tmp_path.iterdir()) == []


def test_the_delays_grow(url: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    monkeypatch.setattr(module, "DELAYS", (0.5, 2.0))
    server.answers = [500] * 3
    with pytest.raises(DownloadError, match="responded 500"):
        download([url], tmp_path / "file.gz", MD5)
    assert slept == [0.5, 2.0]


def test_more_than_was_said_is_not_taken(url: str, server: Server, tmp_path: Path) -> None:
    server.sends_more = b"more" * 10_000
    download([url], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT and len(server.asked) == 1


def test_less_than_was_said_is_told(url: str, server: Server, tmp_path: Path) -> None:
    server.says_more = -1  # so the last byte is not asked for
    with pytest.raises(DownloadError, match="wrong checksum"):
        download([url], tmp_path / "file.gz", MD5)
    assert len(server.asked) == 2 and list(tmp_path.iterdir()) == []


def test_a_length_too_long_does_no_harm_once_all_is_there(url: str, server: Server, tmp_path: Path) -> None:
    server.says_more = 10
    download([url], tmp_path / "file.gz", MD5)  # the second try finds that the part is the file
    assert (tmp_path / "file.gz").read_bytes() == CONTENT and len(server.asked) == 1


def test_a_damaged_answer_is_discarded_and_fetched_again_in_full(url: str, server: Server, tmp_path: Path) -> None:
    server.damages = 1
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == [None, None] and (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_mirror_that_is_damaged_twice_is_left(url: str, server: Server, tmp_path: Path) -> None:
    server.files["/bad.gz"], server.damages = CONTENT, 2
    download([f"{server.address}/bad.gz", url], tmp_path / "file.gz", MD5)
    assert [path for path, _ in server.asked] == ["/bad.gz", "/bad.gz", "/file.gz"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_download_of_something_else_leaves_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"file\.gz: wrong checksum"):
        download([url], tmp_path / "file.gz", "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_is_not_taken_for_the_file(url: str, server: Server, tmp_path: Path) -> None:
    server.files["/file.gz"], server.content_type = b"<html>Log in to the network</html>", "text/html; charset=utf-8"
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    server.resumes = False
    with pytest.raises(DownloadError, match="got a web page instead of the file"):
        download([url], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz.part").read_bytes() == CONTENT[:1000] and len(server.asked) == 1


def test_a_web_page_that_does_not_say_so_is_told_by_the_checksum(url: str, server: Server, tmp_path: Path) -> None:
    server.files["/file.gz"] = b"<html>Log in to the network</html>"
    with pytest.raises(DownloadError, match="wrong checksum"):
        download([url], tmp_path / "file.gz", MD5)
    assert list(tmp_path.iterdir()) == []


# Parts


def test_download_starts_again_where_the_server_cannot_resume(url: str, server: Server, tmp_path: Path) -> None:
    server.resumes = False
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    download([url], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_download_starts_again_where_the_range_begins_elsewhere(url: str, server: Server, tmp_path: Path) -> None:
    server.range_start = 2_000
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == ["bytes=1000-", None] and (tmp_path / "file.gz").read_bytes() == CONTENT


def test_a_part_of_something_else_is_found_out(url: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.gz.part").write_bytes(b"x" * 1000)
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == ["bytes=1000-", None] and (tmp_path / "file.gz").read_bytes() == CONTENT


def test_download_takes_a_part_that_is_whole_and_leaves_one_that_is_too_long(
    url: str, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "file.gz.part").write_bytes(CONTENT)
    download([url], tmp_path / "file.gz", MD5)
    assert server.asked == [] and (tmp_path / "file.gz").read_bytes() == CONTENT
    (tmp_path / "file.gz").unlink()
    (tmp_path / "file.gz.part").write_bytes(CONTENT + b"more")
    download([url], tmp_path / "file.gz", MD5)
    assert len(server.asked) == 2 and (tmp_path / "file.gz").read_bytes() == CONTENT


# No server, and no room


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("place", ["http://127.0.0.1:9", "nonsense", "ftp://127.0.0.1", "http://[", "~nobody-of-us"])
def test_download_unreachable(tmp_path: Path, place: str) -> None:
    with pytest.raises(DownloadError) as caught:
        download([f"{place}/file.gz"], tmp_path / "new" / "file.gz", MD5)
    assert caught.value.exit_code == 1 and list(tmp_path.iterdir()) == []
    assert str(caught.value).startswith(f"{place}/file.gz: ")


def test_download_names_every_mirror_that_failed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"/a: the server responded 404 .*/b: the server responded 404"):
        download([f"{server.address}/a", f"{server.address}/b"], tmp_path / "file.gz", MD5)
    with pytest.raises(DownloadError, match=r"no mirror is known for file\.gz"):
        download([], tmp_path / "file.gz", MD5)


def test_download_to_where_nothing_can_be_written(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DnntrainError, match=r"cannot be written .*--data-dir") as caught:
        download([url], tmp_path / "file" / "file.gz", MD5)
    assert not isinstance(caught.value, DownloadError)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_download_to_a_read_only_folder(url: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DnntrainError, match=r"file\.gz: cannot be written \(Permission denied\)"):
        download([url], tmp_path / "file.gz", MD5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_once(url: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.gz.part").symlink_to("/dev/full")
    with pytest.raises(DnntrainError, match=r"file\.gz: cannot be written \(No space left on device\)") as caught:
        download([url], tmp_path / "file.gz", MD5)
    assert not isinstance(caught.value, DownloadError) and len(server.asked) == 1
    assert not (tmp_path / "file.gz").exists()


# Folders


@pytest.mark.parametrize("end", ["", "/"], ids=["plain", "slash"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_folder_is_a_mirror(tmp_path: Path, kind: str, end: str) -> None:
    folder = tmp_path / "a mirror"
    folder.mkdir()
    (folder / "file.gz").write_bytes(CONTENT)
    mirror = (folder.as_uri() if kind == "file" else str(folder)) + end
    target = tmp_path / "home" / "file.gz"
    download([address(mirror, "file.gz")], target, MD5)
    assert target.read_bytes() == (folder / "file.gz").read_bytes() == CONTENT and names(target.parent) == ["file.gz"]


@pytest.mark.usefixtures("impatient")
def test_a_folder_s_file_is_checked_and_a_part_of_it_used(tmp_path: Path) -> None:
    (tmp_path / "mirror").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(DownloadError, match="mirror: wrong checksum"):
        download([str(tmp_path / "mirror")], tmp_path / "file.gz", MD5)
    assert names(tmp_path) == ["mirror"]
    (tmp_path / "mirror").write_bytes(CONTENT)
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    download([str(tmp_path / "mirror")], tmp_path / "file.gz", MD5)
    assert (tmp_path / "file.gz").read_bytes() == CONTENT and (tmp_path / "mirror").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_folder_without_the_file_is_told_at_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAYS", ("not", "tried again"))
    mirror = tmp_path.as_uri() if kind == "file" else str(tmp_path)
    with pytest.raises(DownloadError, match=r"none\.gz: cannot be read \(No such file"):
        download([address(mirror, "none.gz")], tmp_path / "file.gz", MD5)


# Several processes


def fetching(url: str, target: Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """A process that downloads."""
    code = "import sys\nfrom pathlib import Path\nfrom dnntrain.data.download import download\n"
    code += "download([sys.argv[1]], Path(sys.argv[2]), sys.argv[3])"
    command = [sys.executable, "-c", code, url, str(target), MD5]
    environment = {**os.environ, "TERM": "xterm"}
    return subprocess.Popen(command, stderr=stderr, env=environment, text=True)


def wait_until(path: Path, size: int) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_of_two_processes_one_downloads_and_the_other_waits(url: str, server: Server, tmp_path: Path) -> None:
    server.stops_after, server.gate = 100_000, threading.Event()
    first = fetching(url, tmp_path / "file.gz")
    wait_until(tmp_path / "file.gz.part", 100_000)
    second = fetching(url, tmp_path / "file.gz")
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting for another process that is downloading file.gz\n"
    server.gate.set()
    assert [first.communicate(timeout=10)[1], second.communicate(timeout=10)[1]] == [f"downloading {url}\n", ""]
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(server.asked) == 1 and names(tmp_path) == ["file.gz"]
    assert (tmp_path / "file.gz").read_bytes() == CONTENT


def test_killed_half_way_leaves_a_part_and_the_next_call_finishes(url: str, server: Server, tmp_path: Path) -> None:
    server.stops_after, server.gate = 100_000, threading.Event()
    process = fetching(url, tmp_path / "file.gz")
    wait_until(tmp_path / "file.gz.part", 100_000)
    process.kill()
    process.communicate()
    assert names(tmp_path) == ["file.gz.lock", "file.gz.part"]
    server.stops_after = None
    download([url], tmp_path / "file.gz", MD5)
    assert ranges(server) == [None, "bytes=100000-"]
    assert names(tmp_path) == ["file.gz"] and (tmp_path / "file.gz").read_bytes() == CONTENT


def test_who_waits_goes_on_where_the_first_one_failed_and_removed_the_folder(tmp_path: Path) -> None:
    target, order = tmp_path / "new" / "file", []
    inside, done = threading.Event(), threading.Event()

    def first() -> None:
        with exclusive_write(target):
            inside.set()
            done.wait(5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    threading.Timer(0.2, done.set).start()
    with exclusive_write(target, progress=False):
        order.append("second")
        assert names(target.parent) == ["file.lock"]
    thread.join()
    assert order == ["first", "second"]


def test_an_error_of_the_disk_within_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(DnntrainError, match=r"new/file: cannot be written \(no room\)"),
        exclusive_write(tmp_path / "new" / "file"),
    ):
        raise OSError(errno.ENOSPC, "no room")
    assert list(tmp_path.iterdir()) == []
