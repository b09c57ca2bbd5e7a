"""Whether the device that was asked for works: tried at start, by running a graph, before any model is read."""

from dataclasses import replace

import structlog

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import onnxruntime, openvino
from mesh.serving.runtimes.compiled import multiplies_bytes
from mesh.serving.runtimes.providers import PROVIDERS
from mesh.serving.runtimes.session import RuntimeSettings

log = structlog.get_logger()

OPENVINO_DEVICES = frozenset({Device.OPENVINO, Device.OPENVINO_GPU, Device.OPENVINO_NPU})


def require_device(runtime: RuntimeSettings) -> RuntimeSettings:
    """The settings with a device that works: `auto` becomes `cuda` where a card runs a graph.

    Raises:
        UnavailableError: the device does not work, or has no such precision; says why and what to do.
    """
    _require_precision(runtime)
    if runtime.device in OPENVINO_DEVICES:
        openvino.require(runtime.device)
    elif runtime.device in PROVIDERS:
        onnxruntime.require(runtime)
    elif runtime.device is Device.AUTO and _offers_cuda():
        with_card = replace(runtime, device=Device.CUDA)
        try:
            onnxruntime.require(with_card)
        except UnavailableError as error:
            log.warning(
                "the CUDA build of onnxruntime has no card to run on: the processor is used", reason=error.message
            )
        else:
            return with_card
    return runtime


def _offers_cuda() -> bool:
    return onnxruntime.is_built_for_cards() and PROVIDERS[Device.CUDA] in onnxruntime.offered_providers()


def describe_runtimes() -> list[str]:
    """What is installed, for people: onnxruntime with what it was built for, OpenVINO with what this processor has."""
    found = [f"onnxruntime {onnxruntime.version()} ({', '.join(onnxruntime.offered_providers())})"]
    if openvino.is_installed():
        fast = [openvino.fast_precision(Device.OPENVINO), *([Precision.INT8] if multiplies_bytes() else [])]
        found.append(f"OpenVINO {openvino.version()} (this processor: {', '.join(one.value for one in fast)})")
    return found


def _require_precision(runtime: RuntimeSettings) -> None:
    if runtime.precision in (Precision.AUTO, Precision.FP32):
        return
    if runtime.device in OPENVINO_DEVICES or (runtime.device is Device.AUTO and openvino.is_installed()):
        return
    raise UnavailableError(
        f"precision {runtime.precision.value} needs OpenVINO (DEVICE=openvino, extra `openvino`); on other cards "
        "FP16=true takes half-precision model files"
    )
