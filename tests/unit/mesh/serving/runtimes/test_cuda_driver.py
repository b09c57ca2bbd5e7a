"""What the NVIDIA driver says of a card that onnxruntime does not find."""

import ctypes
from typing import Any

import pytest

from mesh.serving.runtimes.cuda_driver import driver_fault


class FakeDriver:
    """The calls of libcuda that are asked."""

    def __init__(
        self, init: int = 0, version: int = 13000, cards: int = 1, capability: tuple[int, int] = (8, 6)
    ) -> None:
        self.init, self.version, self.cards, self.capability = init, version, cards, capability

    def cuInit(self, flags: int) -> int:
        return self.init

    def cuDriverGetVersion(self, to: Any) -> int:
        return self._write(to, self.version)

    def cuDeviceGet(self, to: Any, number: int) -> int:
        return self._write(to, number) if number < self.cards else 101

    def cuDeviceGetAttribute(self, to: Any, attribute: int, device: ctypes.c_int) -> int:
        return self._write(to, self.capability[attribute - 75])

    def _write(self, to: Any, value: int) -> int:
        to._obj.value = value
        return 0


@pytest.mark.parametrize(
    ("driver", "fault"),
    [
        (FakeDriver(), ""),
        (FakeDriver(init=100), "finds no card (cuInit answers 100)"),
        (FakeDriver(version=12040), "knows CUDA 12.4, and this build needs 13.0"),
        (FakeDriver(cards=0), "there is no card number 0"),
        (FakeDriver(capability=(6, 1)), "compute capability is 6.1, and this build starts at 7.5"),
    ],
)
def test_the_driver_says_what_is_wrong(driver: FakeDriver, fault: str) -> None:
    found = driver_fault(0, "13.0", lambda name: driver)
    assert fault in found
    assert bool(found) is bool(fault)


def test_no_driver_at_all() -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert "no NVIDIA driver here (libcuda.so.1)" in driver_fault(0, "13.0", missing)
