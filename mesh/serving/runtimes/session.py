"""A model in memory that can be run. The only module that imports onnxruntime, so the only one that knows devices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mesh.core.cores import usable_cores
from mesh.core.errors import UnavailableError
from mesh.core.settings import BatchingSettings, Device, ServiceSettings
from mesh.serving.lifecycle.memory import resident_bytes, trim_heap

if TYPE_CHECKING:
    import onnxruntime

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph.

    Attributes:
        name: as the graph names it.
        shape: one entry per axis; None where the graph leaves the size open.
        dtype: NumPy's name, e.g. `float32`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class RuntimeSettings:
    """Where and how sessions run; the part of a service's settings that sessions and engines need.

    Attributes:
        cores: cores that a CPU's runs may keep busy.
        engine_cache: folder where TensorRT keeps what it builds.
    """

    device: Device = Device.CPU
    device_id: int = 0
    gpu_memory_limit_bytes: int = 0
    fp16: bool = False
    cores: int = field(default_factory=usable_cores)
    lone_request_sessions: bool = True
    engine_cache: Path = Path("tensorrt")
    batching: BatchingSettings = field(default_factory=BatchingSettings)

    @classmethod
    def of(cls, settings: ServiceSettings) -> "RuntimeSettings":
        """From a service's settings; `threads` 0 means every core that this process may use."""
        return cls(
            device=settings.device,
            device_id=settings.device_id,
            gpu_memory_limit_bytes=settings.gpu_memory_limit_bytes,
            fp16=settings.fp16,
            cores=settings.threads or usable_cores(),
            lone_request_sessions=settings.lone_request_sessions,
            engine_cache=settings.cache_folder / "tensorrt",
            batching=settings.batching,
        )


class ModelSession(Protocol):
    """A model in memory. Thread-safe; `run` blocks."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The graph's inputs, in its order."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The graph's outputs, in its order."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Key-value notes stored in the model file."""

    @property
    def provider(self) -> str:
        """The execution provider that runs it, e.g. `CPUExecutionProvider`."""

    @property
    def memory_bytes(self) -> int:
        """Memory it holds, in bytes."""

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs, in the graph's order."""

    def close(self) -> None:
        """Gives the memory back. No run may be under way or follow."""


_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class OnnxSession:
    """An ONNX model in onnxruntime."""

    def __init__(self, path: Path, runtime: RuntimeSettings, threads: int = 1) -> None:
        """Reads the model. Blocking: seconds for large models. Its threads are as nice as the caller's.

        Args:
            path: the .onnx file; external data is looked for beside it.
            runtime: device and its limits.
            threads: threads of one run on the CPU.

        Raises:
            UnavailableError: the file cannot be read, or the device that was asked for is not active.
        """
        import onnxruntime

        before = resident_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # With several threads, one that sleeps between two operators of a run costs a third of its speed (measured:
        # text detection 7.2 runs per second spinning, 5.2 sleeping, on two cores). A single thread never waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 1)))
        # But not when the run is over: its threads would spin for some 35 ms more, on cores that the next step of the
        # same photo needs (measured: faces of a lone photo 338 ms spinning on, 300 ms not).
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = self._session = open_on_device(path, runtime, options)
        self.provider: str = session.get_providers()[0]
        self.inputs = tuple(_tensor_info(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor_info(node) for node in session.get_outputs())
        self._output_names = [output.name for output in self.outputs]
        self.metadata: Mapping[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        # What reading took beside the weights: two thirds of a ViT-B-16's file.
        trim_heap()
        size = _size_with_external_data(path)
        # What a card holds is not seen from here: the file's size stands for it.
        self.memory_bytes = max(resident_bytes() - before, size) if runtime.device is Device.CPU else size

    def run(self, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs, in the graph's order. Blocks; releases the GIL while the graph runs."""
        outputs: list[Array] = self._session.run(self._output_names, dict(feeds))
        return outputs

    def close(self) -> None:
        """Gives the memory back."""
        del self._session


def open_on_device(
    path: Path, runtime: RuntimeSettings, options: "onnxruntime.SessionOptions"
) -> "onnxruntime.InferenceSession":
    """An onnxruntime session on the device that was asked for, and on no other, now and later.

    Raises:
        UnavailableError: the file cannot be read, or the device is not active.
    """
    import onnxruntime

    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    providers = provider_options(runtime)
    if runtime.device is not Device.CPU:
        onnxruntime.preload_dlls()
    if runtime.device is Device.TENSORRT:
        try:
            runtime.engine_cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"TensorRT needs a folder for the engines that it builds: {error}") from error
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        # onnxruntime raises classes of its own, derived from Exception alone, for every kind of bad file.
        raise UnavailableError(f"cannot read the model {path}: {_first_line(error)}") from error
    session.disable_fallback()  # else a run that fails on the card would make a new session on the CPU, and stay there
    active = session.get_providers()[0]
    if active != providers[0][0]:
        raise UnavailableError(
            f"{runtime.device.value} was asked for, but onnxruntime runs {path.name} on {active}: "
            "run `immich-mesh doctor`"
        )
    return session


def provider_options(runtime: RuntimeSettings) -> list[tuple[str, dict[str, str]]]:
    """onnxruntime's providers for a device, the wanted one first.

    The CPU stands last for a graph's few nodes that a GPU provider has no kernel for (shape arithmetic); a GPU provider
    that is not active at all is refused by `open_on_device`.
    """
    cpu: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})
    if runtime.device is Device.CPU:
        return [cpu]
    limit = {"gpu_mem_limit": str(runtime.gpu_memory_limit_bytes)} if runtime.gpu_memory_limit_bytes else {}
    cuda = (
        "CUDAExecutionProvider",
        {
            "device_id": str(runtime.device_id),
            # Shapes vary (OCR): grow by what is asked, not by powers of two, and do not search algorithms per shape.
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
            "cudnn_conv_use_max_workspace": "1",
            **limit,
        },
    )
    if runtime.device is Device.CUDA:
        return [cuda, cpu]
    workspace = {"trt_max_workspace_size": limit["gpu_mem_limit"]} if limit else {}
    tensorrt = (
        "TensorrtExecutionProvider",
        {
            "device_id": str(runtime.device_id),
            "trt_fp16_enable": str(runtime.fp16),
            # An engine is built for minutes, for every new range of shapes: kept beside the models, not built again.
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(runtime.engine_cache),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(runtime.engine_cache),
            **workspace,
        },
    )
    return [tensorrt, cuda, cpu]


def offered_providers() -> list[str]:
    """The execution providers of the installed onnxruntime, the preferred first."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def require_device(runtime: RuntimeSettings) -> None:
    """Refuses a device that this onnxruntime does not offer. Raises UnavailableError, saying how to get it."""
    wanted = provider_options(runtime)[0][0]
    offered = offered_providers()
    if wanted not in offered:
        raise UnavailableError(
            f"device {runtime.device.value} needs onnxruntime's {wanted}, but this installation offers only "
            f"{', '.join(offered)}: install the extra `cuda` instead of `cpu` (DEVICE=cuda make run), or set DEVICE=cpu"
        )


def _size_with_external_data(path: Path) -> int:
    beside = path.parent.glob(f"{path.name}*")
    return sum(file.stat().st_size for file in beside if file.is_file())


def _tensor_info(node: Any) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def dummy_feeds(inputs: tuple[TensorInfo, ...], open_axes: Mapping[int, int]) -> dict[str, Array]:
    """Zeros for every input of a graph, to warm it up.

    Args:
        inputs: the graph's inputs.
        open_axes: size to use for each axis that the graph leaves open, by its index.
    """
    return {
        info.name: np.zeros(
            tuple(open_axes.get(axis, 1) if size is None else size for axis, size in enumerate(info.shape)), info.dtype
        )
        for info in inputs
    }
