"""How many cores this process may use: what its affinity allows, and what its control group grants in time.

A container limited to two CPUs on a machine of 64 cores sees all 64; as many threads would only wait for each other.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Cores that threads of this process can keep busy; at least 1.

    Args:
        cgroups: where control groups are mounted, version 1 or 2.
        own: the file that names this process's groups.
    """
    limit = min(_quotas(cgroups, own), default=math.inf)
    return math.ceil(min(len(os.sched_getaffinity(0)), limit)) or 1


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Cores' worth of time that this process's groups, and those above them, may use; nothing without a limit."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in lines:
        if not controllers:
            mounts = [cgroups]
        elif "cpu" in controllers.split(","):
            mounts = [cgroups / "cpu", cgroups / "cpu,cpuacct"]
        else:
            continue
        inside = Path(path.lstrip("/"))
        for folder in (mount / group for mount in mounts for group in (inside, *inside.parents)):
            # No such file: another mount has it, or a container sees its own group as the root.
            # No numbers: what some sandboxes make up in a kernel's place.
            with suppress(OSError, ValueError, ZeroDivisionError):
                yield _quota(folder)


def _quota(group: Path) -> float:
    """Cores that a group may use, infinite without a limit. Raises OSError: it says nothing of processors."""
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
    else:
        quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return math.inf if quota == "max" or int(quota) < 0 else int(quota) / int(period)
