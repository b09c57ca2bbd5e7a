"""The memory of this process: how much it holds, and giving it back."""

import ctypes
import gc
import os
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Memory of this process that is in RAM, in bytes (Linux; 0 elsewhere)."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def return_memory() -> None:
    """Collects garbage and gives freed memory back to the system; glibc would keep it for later."""
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Gives freed blocks of the C heap back to the system."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own; musl has none
        if trim is not None:
            trim(0)
