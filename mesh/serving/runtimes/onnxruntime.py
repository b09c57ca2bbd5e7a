"""Graphs in onnxruntime: on the processor in fp32, or on CUDA, TensorRT, ROCm (MIGraphX) and CoreML as providers."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mesh.core.errors import UnavailableError
from mesh.core.memory import trim_heap
from mesh.core.settings import Device
from mesh.serving.runtimes.arena import shrink_arena, use_shared_arena
from mesh.serving.runtimes.cuda_driver import driver_fault
from mesh.serving.runtimes.providers import PROVIDERS, TINY_GRAPH, engine_cache, provider_options
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
    import onnxruntime

LEAST_CUDA = "13.0"
"""What the locked wheel was built for, where a wheel does not say."""
REMEDIES = {
    Device.CUDA: "install the extra `cuda` instead of `cpu` (DEVICE=cuda make run)",
    Device.TENSORRT: "install the extra `cuda` instead of `cpu` (DEVICE=tensorrt make run), and NVIDIA's TensorRT 10 "
    "for CUDA 13 with its libraries on LD_LIBRARY_PATH; the images hold none",
    Device.ROCM: "install AMD's wheel onnxruntime-migraphx in place of onnxruntime",
    Device.COREML: "CoreML is part of onnxruntime on macOS alone",
}
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

    def __init__(
        self,
        path: Path,
        runtime: RuntimeSettings,
        threads: int = 1,
        *,
        spin: bool = True,
        shapes: StaticShapes | None = None,
    ) -> None:
        """Reads the model. Blocking: seconds for large models. Its threads have the niceness of the caller's.

        Args:
            path: the .onnx file; external data is looked for beside it.
            runtime: device and its limits.
            threads: threads of one run on the CPU.
            spin: whether several threads wait for each other spinning.
            shapes: the only ones that will be run; None for any.

        Raises:
            UnavailableError: the file cannot be read, or the device that was asked for is not active.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # With several threads, one that sleeps between two operators of a run costs a third of its speed (measured:
        # text detection 7.2 runs per second spinning, 5.2 sleeping, on two cores). A single thread never waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin and threads > 1)))
        # But not when the run is over: its threads would spin for some 35 ms more, on cores that the next step of the
        # same photo needs (measured: faces of a lone photo 338 ms spinning on, 300 ms not).
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._in_shared_arena = runtime.device not in PROVIDERS
        if self._in_shared_arena:
            use_shared_arena(options)
        session = self._session = open_on_device(path, runtime, options, shapes)
        self.provider: str = session.get_providers()[0]
        self.inputs = tuple(_tensor_info(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor_info(node) for node in session.get_outputs())
        self._output_names = [output.name for output in self.outputs]
        self.metadata: Mapping[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        # What reading took beside the weights: two thirds of a ViT-B-16's file.
        trim_heap()
        self.memory_bytes = size_with_external_data(path)

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """All outputs, in the graph's order. Blocks; releases the GIL while the graph runs.

        Raises:
            InterruptedRunError: it was ended, after the operator that was under way.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()

        def end() -> None:
            options.terminate = True

        try:
            with interruption.may_end(end):
                outputs: list[Array] = self._session.run(self._output_names, dict(feeds), options)
        except Exception as error:
            # onnxruntime's own class of this is derived from Exception alone, like those of every other error.
            if options.terminate:
                raise InterruptedRunError from error
            raise
        return outputs

    def release_memory(self) -> bool:
        """Gives back what no run of this process works in."""
        if self._in_shared_arena:
            shrink_arena()
        return True

    def close(self) -> None:
        """Gives the memory back."""
        del self._session
        if self._in_shared_arena:
            shrink_arena()


class ReferenceRun:
    """A graph as it is written, in fp32 on one thread, its operators neither joined nor moved: to look into it.

    Args:
        graph: an .onnx file, or what would be in one.

    Raises:
        UnavailableError: it cannot be read.

    Attributes:
        inputs, outputs: the graph's, in its order.
        axis_names: what it calls the axes of each input; empty for those whose size it knows, or that have no name.
    """

    def __init__(self, graph: Path | bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        self._session = open_on_device(graph, RuntimeSettings(device=Device.CPU), options)
        nodes = self._session.get_inputs()
        self.inputs = tuple(_tensor_info(node) for node in nodes)
        self.outputs = tuple(_tensor_info(node) for node in self._session.get_outputs())
        self.axis_names = {
            node.name: tuple(size if isinstance(size, str) else "" for size in node.shape) for node in nodes
        }

    def __call__(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> list[Array]:
        """These tensors of it, or its outputs. Blocking. Raises UnavailableError: it takes no such inputs."""
        try:
            found: list[Array] = self._session.run(outputs, dict(feeds))
        except Exception as error:
            # onnxruntime's own classes, derived from Exception alone.
            raise UnavailableError(f"the model cannot be run: {first_line(error)}") from error
        return found


def open_on_device(
    source: Path | bytes,
    runtime: RuntimeSettings,
    options: "onnxruntime.SessionOptions",
    shapes: StaticShapes | None = None,
) -> "onnxruntime.InferenceSession":
    """An onnxruntime session on the device that was asked for, and on no other, now and later.

    Raises:
        UnavailableError: the file cannot be read, or the device is not active.
    """
    import onnxruntime

    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    for axis, size in shapes.open_axes.items() if shapes else ():
        options.add_free_dimension_override_by_name(axis, size)
    providers = provider_options(runtime, shapes)
    wanted = providers[0][0]
    if wanted in (PROVIDERS[Device.CUDA], PROVIDERS[Device.TENSORRT]):
        onnxruntime.preload_dlls()
    if runtime.device is Device.TENSORRT:
        try:
            engine_cache(runtime, shapes).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"TensorRT needs a folder for the engines that it builds: {error}") from error
    name = source if isinstance(source, Path) else Path("a graph of one operator")
    try:
        session = onnxruntime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=providers
        )
    except Exception as error:
        # onnxruntime raises classes of its own, derived from Exception alone, for every kind of bad file.
        raise UnavailableError(f"cannot read the model {name}: {first_line(error)}") from error
    session.disable_fallback()  # else a run that fails on the card would make a new session on the CPU, and stay there
    active = session.get_providers()[0]
    if active != wanted:
        raise UnavailableError(
            f"{runtime.device.value} was asked for, but onnxruntime runs {name.name} on {active}: "
            "run `immich-mesh doctor`"
        )
    return session


def can_prepack() -> bool:
    """Whether what `prepack` writes can be run: of some graphs onnxruntime 1.31, the GPU build now, dies by SIGSEGV."""
    major, minor = (int(number) for number in version().split(".")[:2])
    return (major, minor) >= (1, 32)


def prepack(graph: Path, target: Path) -> None:
    """Writes a graph as it is run on this processor: optimised, its weights beside it (.bin) in their order of use.

    Sessions map that file instead of packing weights of their own, and so share them, in this process and with others.

    Raises:
        UnavailableError: the graph cannot be read.
        OSError: the files cannot be written.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    weights = target.with_suffix(".bin")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights.name)
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    open_on_device(graph, RuntimeSettings(device=Device.CPU), options)
    weights.touch()  # a graph of small weights alone has none beside it


def is_built_for_cards() -> bool:
    """Whether the installed onnxruntime may run on a card of NVIDIA's, told by its files: importing it takes 10 MB."""
    found = importlib.util.find_spec("onnxruntime")
    folders = found.submodule_search_locations if found else None
    return any(any(Path(folder, "capi").glob("*onnxruntime_providers_cuda*")) for folder in folders or ())


def offered_providers() -> list[str]:
    """The execution providers that the installed onnxruntime was built with, the preferred first; not what works."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def version() -> str:
    """Of the installed onnxruntime."""
    import onnxruntime

    return str(onnxruntime.__version__)


def require(runtime: RuntimeSettings) -> None:
    """Runs a graph of one operator on the device: what a wheel was built with says nothing about what is there.

    Raises:
        UnavailableError: onnxruntime has no provider for the device, or the provider does not run; says why.
    """
    import onnxruntime

    wanted, offered = provider_options(runtime)[0][0], offered_providers()
    if wanted not in offered:
        raise UnavailableError(
            f"device {runtime.device.value} needs onnxruntime's {wanted}, but this installation offers only "
            f"{', '.join(offered)}: {REMEDIES[runtime.device]}, or set DEVICE=auto"
        )
    try:
        session = open_on_device(TINY_GRAPH, runtime, onnxruntime.SessionOptions())
    except UnavailableError as error:
        if runtime.device not in (Device.CUDA, Device.TENSORRT):
            raise
        fault = driver_fault(runtime.device_id, str(getattr(onnxruntime, "cuda_version", "") or LEAST_CUDA))
        if not fault and runtime.device is Device.TENSORRT:  # the wheel has the provider, but not its library
            fault = REMEDIES[Device.TENSORRT]
        raise UnavailableError(f"{error.message}: {fault}" if fault else error.message) from error
    numbers = np.arange(4, dtype=np.float32).reshape(2, 2)
    try:
        (product,) = session.run(None, {"x": numbers})
    except Exception as error:
        # onnxruntime's own classes, derived from Exception alone: no kernel for this card, its driver too old.
        raise UnavailableError(f"device {runtime.device.value} cannot run a graph: {first_line(error)}") from error
    if not np.allclose(product, numbers @ numbers):
        raise UnavailableError(f"device {runtime.device.value} computes wrong numbers: check driver and card")


def _tensor_info(node: Any) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))
