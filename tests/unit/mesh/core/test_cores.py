"""The cores of a process, on control groups of both versions."""

import os
from pathlib import Path

import pytest

from mesh.core.cores import usable_cores


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def cores(tmp_path: Path, own: str) -> int:
    write(tmp_path / "own", own)
    return usable_cores(tmp_path / "cgroup", tmp_path / "own")


@pytest.mark.parametrize(("limit", "expected"), [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2)])
def test_a_container_sees_its_group_as_the_root(tmp_path: Path, limit: str, expected: int) -> None:
    write(tmp_path / "cgroup/cpu.max", limit + "\n")
    assert cores(tmp_path, "0::/\n") == expected


def test_the_tightest_group_above_counts(tmp_path: Path) -> None:
    write(tmp_path / "cgroup/pods/cpu.max", "400000 100000\n")
    write(tmp_path / "cgroup/pods/mine/cpu.max", "max 100000\n")
    assert cores(tmp_path, "0::/pods/mine\n") == 4


def test_a_path_of_the_host_is_not_mounted_in_a_container(tmp_path: Path) -> None:
    write(tmp_path / "cgroup/cpu.max", "300000 100000\n")
    assert cores(tmp_path, "0::/kubepods/pod1/abc\n") == 3


@pytest.mark.parametrize(("quota", "expected"), [("-1", 64), ("250000", 3), ("1000", 1)])
@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_version_1(tmp_path: Path, mount: str, quota: str, expected: int) -> None:
    write(tmp_path / "cgroup" / mount / "docker/x/cpu.cfs_quota_us", f"{quota}\n")
    write(tmp_path / "cgroup" / mount / "docker/x/cpu.cfs_period_us", "100000\n")
    assert cores(tmp_path, f"4:memory:/docker/x\n3:{mount}:/docker/x\n0::/\n") == expected


def test_without_groups_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "cgroup", tmp_path / "absent") == 64


@pytest.mark.parametrize("text", ["", "max", "x y", "100000 0"])
def test_what_is_no_limit_limits_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path / "cgroup/cpu.max", text)
    assert cores(tmp_path, "0::/\n") == 64
