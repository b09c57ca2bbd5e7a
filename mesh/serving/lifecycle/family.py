"""What every service's `models` module is made of: the models of one family, read part by part and lent to calls."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypedDict, TypeVar, Unpack

from mesh.core.errors import ModelNotFoundError
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.serving.gate import Gate
from mesh.serving.inference.compute import Lane
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.manager import LifecyclePolicy, ModelManager
from mesh.serving.lifecycle.slot import M
from mesh.serving.runtimes.self_check import MakeCheck
from mesh.serving.runtimes.session import TensorInfo
from mesh.serving.server import ServiceContext

P = TypeVar("P")
Q = TypeVar("Q")


class EngineOptions(TypedDict, total=False):
    """What families say of their graphs; see `Engine`."""

    lane: Lane
    can_stack: Callable[[Sequence[TensorInfo]], bool]
    typical_axes: Mapping[int, int]
    self_check: MakeCheck


@dataclass(frozen=True)
class PartFiles:
    """One part of a model on disk.

    Attributes:
        model: its name.
        part: which of the family's parts.
        folder: the model's.
        graph: the part's .onnx file, in half precision where that is preferred.
    """

    model: str
    part: str
    folder: Path
    graph: Path


class FamilyModels(ABC, Generic[M]):
    """The models of one service. A service says which family they are of, and how a part is read.

    Args:
        foundation: where files come from and graphs run.
        policy: when models leave memory.

    Attributes:
        manager: loads, lends and unloads them.
        gate: the door of the service's pipeline.
    """

    family: ClassVar[Family]

    def __init__(self, foundation: ServiceContext, policy: LifecyclePolicy) -> None:
        self.foundation = foundation
        self.gate = Gate.of(foundation.runtime)
        self.manager: ModelManager[M] = ModelManager(
            self.family, foundation.store, self._load, foundation.compute, policy
        )

    @abstractmethod
    def read(self, files: PartFiles) -> M:
        """One part in memory. Raises UnavailableError: a file is damaged, or not what it should be. Blocking."""

    @asynccontextmanager
    async def lend(self, name: str, part: str, kind: type[P]) -> AsyncIterator[P]:
        """Lends one part, loaded first when needed; an empty name is the default. Raises as the manager does."""
        async with self.manager.use(name, part) as model:
            assert isinstance(model, kind)
            yield model

    @asynccontextmanager
    async def lend_both(self, name: str, first: type[P], second: type[Q]) -> AsyncIterator[tuple[P, Q]]:
        """Lends both parts of a model, in the family's order; otherwise as `lend`."""
        parts = self.family.parts
        async with self.lend(name, parts[0], first) as one, self.lend(name, parts[1], second) as other:
            yield one, other

    def engine(self, files: PartFiles, **options: Unpack[EngineOptions]) -> Engine:
        """The part's graph, ready to answer; `options` as `Engine` takes them. Raises UnavailableError. Blocking."""
        runtime, compute = self.foundation.runtime, self.foundation.compute
        return Engine(files.graph, runtime, compute, model=files.model, part=files.part, **options)

    def _load(self, name: str, part: str, folder: Path) -> M:
        graph = layout.part_file(self.family, folder, part, fp16=self.foundation.runtime.fp16)
        if graph is None:
            raise ModelNotFoundError(f"model {name} has no {part}/{layout.MODEL_FILE} in {folder}: fetch it again")
        return self.read(PartFiles(name, part, folder, graph))
