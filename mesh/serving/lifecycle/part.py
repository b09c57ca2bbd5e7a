"""What a service gives the manager: its parts, and how each is read from a model's files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from mesh.core.errors import ModelNotFoundError
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.serving.lifecycle.slot import Loaded, M, Slot


@dataclass(frozen=True)
class PartFiles:
    """One part of a model on disk.

    Attributes:
        family: which of the cache's folders.
        model: its name.
        part: which of the family's parts.
        folder: the model's.
    """

    family: Family
    model: str
    part: str
    folder: Path

    def graph(self, *, fp16: bool) -> Path:
        """The part's .onnx file, in half precision where that is preferred and there. Raises ModelNotFoundError."""
        graph = layout.part_file(self.family, self.folder, self.part, fp16=fp16)
        if graph is None:
            raise ModelNotFoundError(
                f"model {self.model} has no {self.part}/{layout.MODEL_FILE} in {self.folder}: fetch it again"
            )
        return graph

    def size_bytes(self) -> int:
        """Size of the graph and the data beside it; 0 for what cannot be looked at."""
        try:
            file = layout.part_file(self.family, self.folder, self.part)
            return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*")) if file else 0
        except OSError:
            return 0


@dataclass(frozen=True, eq=False)
class ModelPart(Generic[M]):
    """One kind of part of a family's models.

    Attributes:
        name: one of the family's parts.
        read: brings a model's part into memory. Raises UnavailableError (a file is damaged, or not what it should be),
            ModelNotFoundError (a file is missing). Blocking; runs on a thread of its own.
        pinned: stays when idle, such as CLIP's text encoder; the budget may still put it out, last.
        slots: by the name of the model.
    """

    name: str
    read: Callable[[PartFiles], Loaded[M]]
    pinned: bool = False
    slots: dict[str, Slot[M]] = field(default_factory=dict, init=False)

    def slot(self, model: str) -> Slot[M]:
        """The slot of a model's part, made when there is none."""
        return self.slots.setdefault(model, self.empty(model))

    def empty(self, model: str) -> Slot[M]:
        """A slot of which nothing is known."""
        return Slot(model, self.name, self.pinned)
