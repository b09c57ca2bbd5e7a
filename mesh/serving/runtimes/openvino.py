"""Graphs in OpenVINO: on the processor in bf16 or fp32, on Intel's GPUs and NPUs.

A graph is first written as OpenVINO's own files (`compiled`), whose weights are mapped from disk and, for a precision
of two bytes, kept in two bytes. Read straight from ONNX, they would stay in memory beside the packed ones.
"""

import importlib.util
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from mesh.core.errors import UnavailableError
from mesh.core.memory import release_mapping, trim_heap
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Array,
    Feeds,
    InterruptedRunError,
    Interruption,
    RuntimeSettings,
    StaticShapes,
    TensorInfo,
    first_line,
    size_with_external_data,
)

if TYPE_CHECKING:
    import openvino

log = structlog.get_logger()

DEVICE_NAMES = {Device.OPENVINO_GPU: "GPU", Device.OPENVINO_NPU: "NPU"}
"""OpenVINO's names of what is not the processor."""
HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.FP16: "f16", Precision.INT8: "f32"}
"""An int8 graph says itself which of its operators compute in eight bits."""
FAST_PRECISIONS = {"CPU": Precision.BF16, "GPU": Precision.FP16, "NPU": Precision.FP16}
"""What each device computes fast in where it says that it can. A processor's fp16 is left out: it overflows."""
REMEDIES = {
    "CPU": "install the extra `openvino`",
    "GPU": "install Intel's OpenCL driver (intel-opencl-icd) and let this user open /dev/dri",
    "NPU": "install Intel's NPU driver and let this user open /dev/accel",
}


def is_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return importlib.util.find_spec("openvino") is not None


def device_name(device: Device) -> str:
    """OpenVINO's name of a device."""
    return DEVICE_NAMES.get(device, "CPU")


def version() -> str:
    """Of the installed OpenVINO."""
    import openvino

    return str(openvino.get_version())


def processor_name() -> str:
    """What OpenVINO calls this processor."""
    return str(_core().get_property("CPU", "FULL_DEVICE_NAME"))


def fast_precision(device: Device) -> Precision:
    """The precision that this very device is fast in; fp32 where it has no other."""
    name = device_name(device)
    fast = FAST_PRECISIONS[name]
    return fast if fast.name in _core().get_property(name, "OPTIMIZATION_CAPABILITIES") else Precision.FP32


def require(device: Device) -> None:
    """Compiles and runs a graph of one operator on the device. Raises UnavailableError: it does not work; says why."""
    name = device_name(device)
    if not is_installed():
        raise UnavailableError(f"device {device.value} needs OpenVINO: install the extra `openvino`")
    import openvino
    from openvino import opset13

    number = opset13.parameter([2, 2], np.float32)
    graph = openvino.Model([opset13.matmul(number, number, False, False)], [number], "probe")
    numbers = np.arange(4, dtype=np.float32).reshape(2, 2)
    try:
        request = _core().compile_model(graph, name, {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
        request.infer({0: numbers})
    except RuntimeError as error:
        reason = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
        raise UnavailableError(
            f"device {device.value} cannot run a graph: {(reason or ['no reason given'])[0][:300]}: "
            f"{REMEDIES[name]}, or set DEVICE=auto"
        ) from error
    if not np.allclose(request.get_output_tensor(0).data, numbers @ numbers, rtol=1e-2):
        raise UnavailableError(f"device {device.value} computes wrong numbers: check its driver")


def convert(graph: Path, target: Path, precision: Precision) -> None:
    """Writes an ONNX graph as OpenVINO's `target` (.xml) and the weights beside it (.bin).

    Raises:
        UnavailableError: OpenVINO cannot read the graph.
        OSError: the files cannot be written.
    """
    import openvino

    openvino.save_model(_read(graph), str(target), compress_to_fp16=precision is not Precision.FP32)
    if not target.with_suffix(".bin").exists():
        raise OSError(f"OpenVINO wrote no weights beside {target}")


class OpenVinoSession:
    """A graph in OpenVINO: one compiled model, as many requests as may run side by side."""

    def __init__(
        self,
        path: Path,
        runtime: RuntimeSettings,
        precision: Precision,
        threads: int = 1,
        compiled: bytes | None = None,
        shapes: StaticShapes | None = None,
    ) -> None:
        """Compiles the graph, or takes it as it was compiled. Blocking. Its threads have the niceness of the caller's.

        Args:
            path: OpenVINO's .xml with the weights beside it, or an .onnx file.
            runtime: device and cores.
            precision: what it computes in.
            threads: threads of one run on the processor; as many runs go side by side as the cores have room for.
            compiled: what `export` gave of such a session of these files, device and version.
            shapes: the only ones that will be run; None for any.

        Raises:
            UnavailableError: the file cannot be read or compiled for the device.
        """
        name = device_name(runtime.device)
        at_once = max(1, runtime.cores // threads) if name == "CPU" else 1
        config = _config(path, name, precision, threads, at_once)
        graph = _read(path)
        if shapes is not None:
            graph.reshape({name: list(shape) for name, shape in shapes.inputs.items()})
        model = _as_compiled(compiled, path, name, config) if compiled else None
        self.was_compiled = model is None
        try:
            model = model or _core().compile_model(graph, name, config)
        except RuntimeError as error:
            raise UnavailableError(f"cannot compile the model {path} for {name}: {_reason(error)}") from error
        self.provider = f"OpenVINO {name} {precision.value}"
        self.metadata: Mapping[str, str] = _metadata(graph)
        del graph
        self.inputs = tuple(_tensor_info(port) for port in model.inputs)
        self.outputs = tuple(_tensor_info(port) for port in model.outputs)
        self._model: openvino.CompiledModel | None = model
        self._at_once = at_once
        self._requests: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(at_once):
            self._requests.put(model.create_infer_request())
        self._weights = path.with_suffix(".bin") if path.suffix == ".xml" else None
        trim_heap()
        if self._weights is not None:
            self.memory_bytes = self._weights.stat().st_size
        else:  # the file's own beside those that are packed from it
            size = size_with_external_data(path)
            self.memory_bytes = size + (size if precision is Precision.FP32 else size // 2)

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """All outputs, in the graph's order, as arrays of their own. Blocks; releases the GIL while the graph runs.

        Raises:
            InterruptedRunError: it was ended, after the operator that was under way.
            RuntimeError: OpenVINO cannot run it on these inputs.
        """
        request = self._requests.get()
        ended = threading.Event()

        def end() -> None:
            ended.set()
            request.cancel()

        try:
            with interruption.may_end(end):
                request.infer(dict(feeds), share_inputs=True)
            outputs = [np.array(request.get_output_tensor(index).data) for index in range(len(self.outputs))]
        except RuntimeError as error:
            # OpenVINO has one class for every error. One that has nothing to do with the end comes again in a next run.
            if ended.is_set():
                raise InterruptedRunError from error
            raise
        finally:
            self._requests.put(request)
        if self._weights is not None:
            # The first run packs the weights into their order of use; the mapped file is then read no more.
            weights, self._weights = self._weights, None
            release_mapping(weights)
        return outputs

    def export(self) -> bytes:
        """The graph as it was compiled, without its weights. Raises RuntimeError: OpenVINO cannot give it."""
        assert self._model is not None
        content: bytes = self._model.export_model().getvalue()
        return content

    def release_memory(self) -> bool:
        """Gives back what runs work in: of each stream as much as its largest run took. Not while one is under way."""
        held: list[openvino.InferRequest] = []
        try:
            while len(held) < self._at_once:
                held.append(self._requests.get_nowait())
            assert self._model is not None  # who closes it waits for this as for a run
            self._model.release_memory()
        except queue.Empty:
            return False
        finally:
            for request in held:
                self._requests.put(request)
        return True

    def close(self) -> None:
        """Gives the memory back."""
        while not self._requests.empty():
            self._requests.get()
        self._model = None


def _config(path: Path, device: str, precision: Precision, threads: int, at_once: int) -> dict[str, Any]:
    """OpenVINO's settings of a session."""
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": HINTS[precision]}
    if device == "CPU":
        return config | {
            "NUM_STREAMS": at_once,
            "INFERENCE_NUM_THREADS": at_once * threads,
            # Services share the cores: pinned threads of two processes would sit on the same one.
            "ENABLE_CPU_PINNING": False,
            "CACHE_MODE": "OPTIMIZE_SIZE",  # what is exported refers to the weights beside the graph
        }
    # Other devices keep what they compiled by themselves, for a driver that only they know.
    return config | ({"CACHE_DIR": str(path.parent)} if path.suffix == ".xml" else {})


def _as_compiled(
    compiled: bytes, path: Path, device: str, config: Mapping[str, Any]
) -> "openvino.CompiledModel | None":
    """A graph as it was compiled; None where this OpenVINO does not take it."""
    try:
        return _core().import_model(compiled, device, {**config, "WEIGHTS_PATH": str(path.with_suffix(".bin"))})
    except RuntimeError as error:
        log.info("compiled anew", graph=str(path), reason=_reason(error))
        return None


_cores: "list[openvino.Core]" = []


def _core() -> "openvino.Core":
    """The one core of this process: devices are looked for when it is made."""
    if not _cores:
        import openvino

        _cores.append(openvino.Core())
    return _cores[0]


def _read(path: Path) -> "openvino.Model":
    try:
        return _core().read_model(str(path))
    except RuntimeError as error:
        raise UnavailableError(f"cannot read the model {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What OpenVINO says, without the places in its source that it begins with."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line[:300] for line in lines if line and not line.startswith("Exception from")), first_line(error))


def _metadata(graph: "openvino.Model") -> dict[str, str]:
    """The notes of the ONNX file, which OpenVINO keeps under `framework`."""
    if not graph.has_rt_info("framework"):
        return {}
    return {name: graph.get_rt_info(["framework", name]).astype(str) for name in graph.get_rt_info()["framework"]}


def _tensor_info(port: Any) -> TensorInfo:
    shape = tuple(size.get_length() if size.is_static else None for size in port.get_partial_shape())
    return TensorInfo(port.get_any_name(), shape, np.dtype(port.get_element_type().to_dtype()).name)
