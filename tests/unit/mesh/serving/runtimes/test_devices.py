"""A device is tried before a service serves: what a wheel was built with says nothing about what is there."""

from typing import Any

import numpy as np
import onnxruntime
import pytest

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import compiled, openvino
from mesh.serving.runtimes.devices import describe_runtimes, require_device
from mesh.serving.runtimes.session import RuntimeSettings

CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]


class Card:
    """onnxruntime's session on a card that gives `answer`, or is none where that is None."""

    answer: Any = None

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def disable_fallback(self) -> None: ...

    def get_providers(self) -> list[str]:
        return CUDA if self.answer is not None else CUDA[1:]

    def run(self, _: None, feeds: dict[str, Any]) -> list[Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer(feeds["x"])]


def install_card(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """The CUDA wheel, and what it finds."""
    monkeypatch.setattr("mesh.serving.runtimes.onnxruntime.is_built_for_cards", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: CUDA)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        type("_Card", (Card,), {"answer": staticmethod(answer) if callable(answer) else answer}),
    )


def test_the_cuda_wheel_without_a_card_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install_card(monkeypatch, None)
    with pytest.raises(UnavailableError, match=r"cuda was asked for, but onnxruntime runs .* on CPUExecutionProvider"):
        require_device(RuntimeSettings(device=Device.CUDA))


def test_a_card_without_kernels_is_refused_with_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    install_card(monkeypatch, RuntimeError("no kernel image is available for execution on the device"))
    with pytest.raises(UnavailableError, match="cuda cannot run a graph: no kernel image"):
        require_device(RuntimeSettings(device=Device.CUDA))


def test_a_card_that_computes_wrong_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install_card(monkeypatch, lambda x: x)
    with pytest.raises(UnavailableError, match="computes wrong numbers"):
        require_device(RuntimeSettings(device=Device.CUDA))


def test_auto_takes_a_card_that_works_and_the_processor_where_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    install_card(monkeypatch, lambda x: np.matmul(x, x))
    assert require_device(RuntimeSettings(device=Device.AUTO)).device is Device.CUDA
    install_card(monkeypatch, None)
    assert require_device(RuntimeSettings(device=Device.AUTO)).device is Device.AUTO


@pytest.mark.parametrize(
    ("device", "remedy"),
    [(Device.CUDA, "extra `cuda`"), (Device.ROCM, "onnxruntime-migraphx"), (Device.COREML, "macOS")],
)
def test_a_provider_that_is_not_in_the_wheel_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, device: Device, remedy: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UnavailableError, match=f"offers only CPUExecutionProvider: .*{remedy}"):
        require_device(RuntimeSettings(device=device))


def test_a_precision_needs_a_device_that_has_it() -> None:
    with pytest.raises(UnavailableError, match="precision bf16 needs OpenVINO"):
        require_device(RuntimeSettings(device=Device.CPU, precision=Precision.BF16))
    require_device(RuntimeSettings(device=Device.OPENVINO, precision=Precision.BF16))


def test_auto_without_openvino_has_no_other_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    with pytest.raises(UnavailableError, match="precision bf16 needs OpenVINO"):
        require_device(RuntimeSettings(device=Device.AUTO, precision=Precision.BF16))


def test_devices_are_read_in_any_case() -> None:
    assert Device("OpenVINO:gpu") is Device.OPENVINO_GPU
    assert Device("openvino:CPU") is Device.OPENVINO
    with pytest.raises(ValueError, match="'tpu' is not a valid Device"):
        Device("tpu")


@pytest.mark.parametrize(("flags", "said"), [("avx2 avx_vnni", "fp32, int8"), ("avx2", "fp32")])
def test_doctor_says_what_this_processor_computes_in(monkeypatch: pytest.MonkeyPatch, flags: str, said: str) -> None:
    monkeypatch.setattr(compiled, "_flags", lambda: f"flags : {flags}")
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.FP32)
    assert describe_runtimes()[-1].endswith(f"(this processor: {said})")
