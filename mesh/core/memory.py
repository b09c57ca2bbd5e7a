"""The memory of this process: how much it holds, and giving it back."""

import ctypes
import gc
import os
import sys
from pathlib import Path

_MADV_DONTNEED = 4


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


def release_mapping(file: Path) -> None:
    """Lets go of the pages of a mapped file (Linux): they count as this process's memory until the system is short.

    The file is mapped to be read only, so that a page which is needed again comes back from the file.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    advise = ctypes.CDLL(None).madvise
    for line in maps.read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == str(file.resolve()) and "w" not in fields[1]:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)
