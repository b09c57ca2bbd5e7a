"""Why a child ended: its exit code or signal, what it said last, and whether the kernel had run out of memory."""

import signal
from dataclasses import dataclass
from pathlib import Path

VMSTAT = Path("/proc/vmstat")
LONGEST_LINE = 300


@dataclass(frozen=True)
class Exit:
    """How one life of a child ended.

    Attributes:
        code: its exit code; negative for a signal.
        last_line: what it wrote last; empty for nothing.
        out_of_memory: whether the kernel killed processes for lack of memory meanwhile.
    """

    code: int
    last_line: str = ""
    out_of_memory: bool = False

    def __str__(self) -> str:
        if self.code == -signal.SIGKILL:  # what it wrote last has nothing to do with it
            return "SIGKILL by the kernel: memory ran out" if self.out_of_memory else "SIGKILL from outside"
        name = f"exit code {self.code}" if self.code >= 0 else signal.Signals(-self.code).name
        return f"{name}: {self.last_line[:LONGEST_LINE]}" if self.code and self.last_line else name


def oom_kills(vmstat: Path = VMSTAT) -> int:
    """How many processes the kernel has killed for lack of memory since it started; 0 where it does not say."""
    try:
        rows = dict(line.split() for line in vmstat.read_text().splitlines())
    except OSError:  # not Linux
        return 0
    return int(rows.get("oom_kill", 0))
