"""What Linux control groups allow this process: containers and batch systems set limits of cores and memory there.

A limit holds for a group and all groups within it, so the lowest one on the way up to the root counts. Both versions of
the interface are read: in version 1 every controller has a hierarchy of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")

UNLIMITED = 2**60
"""Version 1 writes a number like 2^63 where memory has no limit."""


def cores(root: Path = ROOT) -> float | None:
    """How many cores the process may use at a time, as 2.5; None where there is no limit."""
    quotas = [_numbers(group, "cpu.max") for group in _groups(root, "cpu")]
    quotas += [_numbers(group, "cpu.cfs_quota_us", "cpu.cfs_period_us") for group in _groups(root, "cpu")]
    return min((quota / period for quota, period in filter(None, quotas) if quota > 0 and period > 0), default=None)


def memory(root: Path = ROOT) -> int | None:
    """Bytes that the process may still take, at least 1; None where there is no limit."""
    limits = [_numbers(group, "memory.max", "memory.current") for group in _groups(root, "memory")]
    limits += [_numbers(group, "memory.limit_in_bytes", "memory.usage_in_bytes") for group in _groups(root, "memory")]
    return min((max(limit - used, 1) for limit, used in filter(None, limits) if limit < UNLIMITED), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the process's group and of those around it, in either version.

    In a container /proc/self/cgroup may name the group as the host sees it: folders that are not there are left out.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ["0::/", f"1:{controller}:/"]
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, names, path = line.split(":", 2)
        if not names:
            hierarchies = [mounts, mounts / "unified"]
        elif controller in names.split(","):
            hierarchies = [mounts / controller, mounts / names]
        else:
            continue
        inside = Path(path.lstrip("/"))
        yield from (folder for top in hierarchies for folder in (top / inside, *(top / up for up in inside.parents)))


def _numbers(group: Path, *files: str) -> tuple[int, int] | None:
    """The two numbers in a file or in two files; None where they are missing or say that there is no limit."""
    try:
        words = " ".join((group / file).read_text(encoding="ascii") for file in files).split()
        first, second = map(int, words)
    except (OSError, ValueError):  # 'max' is not a number
        return None
    return first, second
