"""The number of cores: of the machine, of the process, and of a container's quota."""

import os
from pathlib import Path

import pytest

from fauxscan.params.cores import count_cores


@pytest.mark.parametrize(
    ("own", "quotas", "cores"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "20000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/of/the/host\n", {"cpu.max": "400000 100000"}, 4),
        ("4:cpu,cpuacct:/a\n0::/\n", {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}, 2),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 8),
        ("2:memory:/a\n", {"memory/a/cpu.max": "100000 100000"}, 8),
        ("0::/\n", {"cpu.max": "6400000 100000"}, 8),
        ("", {}, 8),
    ],
)
def test_cores_are_no_more_than_the_quota_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, quotas: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for name, quota in quotas.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(f"{quota}\n", encoding="ascii")
    (tmp_path / "own").write_text(own, encoding="ascii")
    assert count_cores(tmp_path / "groups", tmp_path / "own") == cores
