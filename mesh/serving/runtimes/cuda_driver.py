"""Why onnxruntime's CUDA build finds no card, asked of the NVIDIA driver itself."""

import ctypes
from collections.abc import Callable
from typing import Any

LIBRARY = "libcuda.so.1"
LEAST_CAPABILITY = (7, 5)
"""Of the cards that the CUDA 13 builds have kernels for."""
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


def driver_fault(device_id: int, built_for: str, load: Callable[[str], Any] = ctypes.CDLL) -> str:
    """What keeps a card from being used, in one sentence; empty where the driver knows of nothing.

    Args:
        device_id: which card.
        built_for: the CUDA version that onnxruntime was built for, e.g. `13.0`.
        load: opens the driver's library.
    """
    try:
        driver = load(LIBRARY)
    except OSError:
        return f"there is no NVIDIA driver here ({LIBRARY}); in a container, start it with the card"
    if code := driver.cuInit(0):
        return f"the NVIDIA driver finds no card (cuInit answers {code})"
    version = _int(driver.cuDriverGetVersion)
    known = (version // 1000, version % 1000 // 10)
    if known[0] < int(built_for.split(".")[0]):
        return (
            f"the NVIDIA driver knows CUDA {known[0]}.{known[1]}, and this build needs {built_for}: update the driver"
        )
    device = ctypes.c_int()
    if driver.cuDeviceGet(ctypes.byref(device), device_id):
        return f"there is no card number {device_id}"
    capability = tuple(_int(driver.cuDeviceGetAttribute, attribute, device) for attribute in (_MAJOR, _MINOR))
    if capability < LEAST_CAPABILITY:
        return "its compute capability is {}.{}, and this build starts at {}.{}".format(*capability, *LEAST_CAPABILITY)
    return ""


def _int(ask: Callable[..., int], *arguments: Any) -> int:
    """What a call of the driver writes to its first argument; 0 where it fails."""
    value = ctypes.c_int()
    ask(ctypes.byref(value), *arguments)
    return value.value
