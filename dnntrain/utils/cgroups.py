"""The CPU and memory limits of Linux control groups, as set by containers and batch systems.

A limit applies to a group and all groups within it, so the lowest one on the way to the root counts. Both versions of
the interface are read; in version 1 each controller has its own hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")

NO_MEMORY_LIMIT = 2**60
"""Without a memory limit, version 1 reports a number like 2^63."""


def cores(root: Path = ROOT) -> float | None:
    """The number of cores that the process may use, such as 2.5; None without a limit."""
    quotas = [_numbers(group, "cpu.max") for group in _groups(root, "cpu")]
    quotas += [_numbers(group, "cpu.cfs_quota_us", "cpu.cfs_period_us") for group in _groups(root, "cpu")]
    return min((quota / period for quota, period in filter(None, quotas) if quota > 0 and period > 0), default=None)


def memory(root: Path = ROOT) -> int | None:
    """The memory that the process may still allocate, in bytes, at least 1; None without a limit."""
    limits = [_numbers(group, "memory.max", "memory.current") for group in _groups(root, "memory")]
    limits += [_numbers(group, "memory.limit_in_bytes", "memory.usage_in_bytes") for group in _groups(root, "memory")]
    return min((max(limit - used, 1) for limit, used in filter(None, limits) if limit < NO_MEMORY_LIMIT), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the process's group and of its ancestors, in either version.

    In a container, /proc/self/cgroup may name the group as the host sees it, so a folder may be missing.
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
    """The two numbers in one file or in two; None if they are missing or there is no limit."""
    try:
        words = " ".join((group / file).read_text(encoding="ascii") for file in files).split()
        first, second = map(int, words)
    except (OSError, ValueError):  # 'max' is not a number
        return None
    return first, second
