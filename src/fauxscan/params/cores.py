"""How many cores this process may use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def count_cores(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many cores this process may use: those it is bound to, or fewer where its CPU quota is lower.

    Control groups of version 1 and 2 (as containers and services have them) are read, with all groups above.
    """
    bound = len(os.sched_getaffinity(0))
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    quotas = [quota for line in lines for quota in _quotas(groups, *line.split(":", 2)[1:])]
    return max(1, math.ceil(min([bound, *quotas])))


def _quotas(groups: Path, controllers: str, group: str) -> Iterator[float]:
    """Yield the quotas, in cores, of a control group and those above it."""
    top = groups / "cpu" if "cpu" in controllers.split(",") else groups
    folder = top / group.strip("/")
    for above in (folder, *folder.parents):
        if above.is_relative_to(top):
            try:
                quota, period = _quota_and_period(above, bool(controllers))
                yield quota / period if quota > 0 else math.inf
            except (OSError, ValueError):
                continue  # no such file, or "max": no quota


def _quota_and_period(group: Path, first_version: bool) -> tuple[int, int]:
    """Return the CPU time in a period, and the period, in microseconds. Raise OSError or ValueError without a quota."""
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if first_version else ("cpu.max",)
    quota, period = " ".join((group / name).read_text(encoding="ascii") for name in names).split()
    return int(quota), int(period)
