"""The seam between engines and inference runtimes: what a graph in memory can be asked, and where it shall run.

`selection` chooses the runtime; `onnxruntime` and `openvino` each hold one. Nothing outside this package knows them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mesh.core.cores import usable_cores
from mesh.core.settings import DEFAULT_CACHE_FOLDER, BatchingSettings, Device, Precision, ServiceSettings

Array = NDArray[Any]
Feeds = Mapping[str, Array]
"""One array per input of a graph."""


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
class StaticShapes:
    """The shapes that a session is opened for, where a device compiles a graph for each.

    Attributes:
        inputs: of each input, by its name; axis 0 is the batch.
        batches: least, usual and most items of a batch where the device compiles for a range of them; None where it is
            for exactly those of `inputs`.
        axis_names: what the graph calls the axes of each input; None for one of the mesh's own making.
    """

    inputs: Mapping[str, tuple[int, ...]]
    batches: tuple[int, int, int] | None = None
    axis_names: Mapping[str, Sequence[str]] | None = None

    @property
    def open_axes(self) -> dict[str, int]:
        """The size of each axis that is known, by its name; a name that several axes share tells nothing."""
        named = [
            (self._axis_name(name, axis), size)
            for name, shape in self.inputs.items()
            for axis, size in enumerate(shape)
            if axis or self.batches is None
        ]
        often = Counter(name for name, _ in named)
        return {name: size for name, size in named if name and often[name] == 1}

    def _axis_name(self, tensor: str, axis: int) -> str:
        return axis_name(tensor, axis) if self.axis_names is None else self.axis_names[tensor][axis]

    @property
    def name(self) -> str:
        """Of the first input, e.g. `1x3x736x992`; `any` for a batch of several sizes."""
        shape = next(iter(self.inputs.values()))
        return "x".join(["any" if self.batches else str(shape[0]), *map(str, shape[1:])])


def axis_name(tensor: str, axis: int) -> str:
    """What an open axis of an input is called in graphs of the mesh's own making."""
    return f"{tensor}_{axis}"


GRAPHS_OF_A_MODEL = 2
"""Detector and recogniser, or the encoders of photos and of text; on a card each has one session."""


@dataclass(frozen=True)
class RuntimeSettings:
    """Where and how sessions run; the part of a service's settings that sessions and engines need.

    Attributes:
        gpu_memory_limit_bytes: of one session: onnxruntime bounds each session's arena by itself. 0 for no limit.
        cores: cores that a CPU's runs may keep busy.
        cache_folder: of the models; what runtimes make of them is kept there too.
        int8_folder: of int8 versions that come with the service; None for none.
        open_session: opens every session with so many threads; None chooses the runtime.
    """

    device: Device = Device.CPU
    device_id: int = 0
    precision: Precision = Precision.AUTO
    gpu_memory_limit_bytes: int = 0
    fp16: bool = False
    cores: int = field(default_factory=usable_cores)
    low_latency_sessions: bool = True
    cache_folder: Path = DEFAULT_CACHE_FOLDER
    batching: BatchingSettings = field(default_factory=BatchingSettings)
    int8_folder: Path | None = None
    open_session: "Callable[[Path, RuntimeSettings, int], ModelSession] | None" = None

    @classmethod
    def of(cls, settings: ServiceSettings) -> "RuntimeSettings":
        """From a service's settings; `threads` 0 means every core that this process may use."""
        models = {settings.model_name, *settings.preload} - {""}
        return cls(
            device=settings.device,
            device_id=settings.device_id,
            precision=settings.precision,
            gpu_memory_limit_bytes=settings.gpu_memory_limit_bytes // (GRAPHS_OF_A_MODEL * max(1, len(models))),
            fp16=settings.fp16,
            cores=settings.threads or usable_cores(),
            low_latency_sessions=settings.low_latency_sessions,
            cache_folder=settings.cache_folder,
            batching=settings.batching,
        )


class InterruptedRunError(Exception):
    """A run was ended from outside. It changed nothing, and may begin anew."""


class Interruption(Protocol):
    """Who may end a run that is under way."""

    def may_end(self, end: Callable[[], None]) -> AbstractContextManager[None]:
        """A run goes on in the block, and `end` ends it; called from another thread, more than once."""


class _Nobody:
    def may_end(self, end: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


NOTHING_ENDS_IT: Interruption = _Nobody()


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
        """What runs it, e.g. `CPUExecutionProvider` or `OpenVINO CPU bf16`."""

    @property
    def memory_bytes(self) -> int:
        """What its weights take, in bytes: known from the files, whatever else this process does meanwhile."""

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """All outputs, in the graph's order. Raises InterruptedRunError: it was ended."""

    def release_memory(self) -> bool:
        """Gives back what runs work in, which the next run takes anew; returns whether no run was in the way."""

    def close(self) -> None:
        """Gives the memory back. No run may be under way or follow."""


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


def size_with_external_data(path: Path) -> int:
    """Bytes of a graph's file and of the data beside it."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.is_file())


def first_line(error: Exception) -> str:
    """What a runtime's error says, short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
