"""What a container gives: cores and memory by control groups of both versions, and which GPUs can be seen."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from dnntrain.executors import devices
from dnntrain.executors.devices import accelerated, default_workers, gpus_for, visible_gpus
from dnntrain.utils import cgroups

GIB = 2**30
V1_NO_LIMIT = "9223372036854771712"


def tree(root: Path, own: str, files: dict[str, str]) -> Path:
    """A file system with these control files; `own` is /proc/self/cgroup."""
    for name, text in {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{k}": v for k, v in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


V1 = "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n0::/"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {}, None),
        ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "150000 50000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
        ("0::/host/only", {"cpu.max": "200000 100000"}, 2),  # the host's name for the group, seen in a container
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2.5),
        (V1, {"cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "30", "cpu,cpuacct/docker/ab/cpu.cfs_period_us": "10"}, 3),
        ("2:cpuset:/a", {"cpu/cpu.cfs_quota_us": "30", "cpu/cpu.cfs_period_us": "10"}, None),
        ("0::/", {"cpu.max": "unreadable"}, None),
    ],
)
def test_cores(own: str, files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    assert cgroups.cores(tree(tmp_path, own, files)) == expected


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/", {"memory.max": "max", "memory.current": "5"}, None),
        ("0::/", {"memory.max": f"{2 * GIB}", "memory.current": f"{GIB}"}, GIB),
        ("0::/", {"memory.max": "5", "memory.current": "7"}, 1),
        ("0::/a", {"memory.max": "9", "memory.current": "5", "a/memory.max": "max", "a/memory.current": "1"}, 4),
        ("0::/a", {"a/memory.max": "9", "a/memory.current": "2"}, 7),
        (V1, {"memory/memory.limit_in_bytes": V1_NO_LIMIT, "memory/memory.usage_in_bytes": "5"}, None),
        (V1, {"memory/docker/ab/memory.limit_in_bytes": "9", "memory/docker/ab/memory.usage_in_bytes": "5"}, 4),
    ],
)
def test_memory(own: str, files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    assert cgroups.memory(tree(tmp_path, own, files)) == expected


def test_without_control_groups(tmp_path: Path) -> None:
    assert cgroups.cores(tmp_path) is None and cgroups.memory(tmp_path) is None


@pytest.mark.parametrize("quota", ["50000 100000", "100000 100000", "150000 100000", "6400000 100000"])
def test_a_quota_sets_the_number_of_workers(quota: str, tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/", {"cpu.max": quota})
    most, period = map(int, quota.split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_workers("cpu", root) == min(cores or 1, math.ceil(most / period))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [(None, "0 1"), ("", ""), ("-1", ""), (" -1,0", ""), ("none", ""), ("NoDevFiles", ""), ("0", "0"), ("1,0", "1 0"),
     ("1, 2,0", "1"), ("0,-1,1", "0"), ("GPU-8f1b,1", "GPU-8f1b 1"), ("MIG-40f3,MIG-40f4,MIG-40f5",) * 2],
)  # fmt: skip
def test_visible_gpus_each_get_a_worker(
    shown: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert visible_gpus() == [] and not accelerated("auto") and default_workers("cuda") == 1
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm"):  # a container may have only some GPUs of its host
        (tmp_path / name).touch()
    wanted = expected.replace(",", " ").split()
    assert visible_gpus() == gpus_for("auto") == gpus_for("cuda") == wanted and gpus_for("cpu") == gpus_for("mps") == []
    assert accelerated("auto") is bool(wanted) and default_workers("cuda") == max(1, len(wanted))
    assert default_workers("auto") == (len(wanted) or default_workers("cpu")) and default_workers("mps") == 1


def test_devices_that_are_asked_for_by_name() -> None:
    assert accelerated("cuda") and accelerated("mps") and not accelerated("cpu")
