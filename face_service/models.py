"""Which packs of face models are in memory: reads their parts, lends them to calls."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from common.errors import ModelNotFound, Unavailable
from face_service.detector import FaceDetector
from face_service.recogniser import FaceRecogniser
from models import layout
from models.catalogue import Family
from serving.engine import Engine
from serving.gate import Gate
from serving.lifecycle import LifecyclePolicy, ModelManager
from serving.server import Foundation
from serving.session import TensorInfo

FacePart = FaceDetector | FaceRecogniser

OUTPUTS_WITH_LANDMARKS = (9, 15)
"""Outputs of SCRFD graphs that give landmarks, on three grids or on five."""


class FaceModels:
    """The packs of the face service.

    Args:
        foundation: where files come from and graphs run.
        policy: when models leave memory.
    """

    def __init__(self, foundation: Foundation, policy: LifecyclePolicy) -> None:
        self._foundation = foundation
        self.gate = Gate.of(foundation.runtime)
        self.manager: ModelManager[FacePart] = ModelManager(
            Family.FACE, foundation.store, self._load, foundation.compute, policy
        )

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[tuple[FaceDetector, FaceRecogniser]]:
        """Lends a pack, loaded first when needed; an empty name is the default. Raises as the manager does."""
        async with self.manager.use(name, "detection") as detector, self.manager.use(name, "recognition") as recogniser:
            assert isinstance(detector, FaceDetector)
            assert isinstance(recogniser, FaceRecogniser)
            yield detector, recogniser

    def _load(self, name: str, part: str, folder: Path) -> FacePart:
        """Reads one part. Raises Unavailable (damaged or no face model), ModelNotFound (missing). Blocking."""
        runtime = self._foundation.runtime
        graph = layout.part_file(Family.FACE, folder, part, fp16=runtime.fp16)
        if graph is None:
            raise ModelNotFound(f"pack {name} has no {part} model in {folder}: fetch it again")
        if part == "detection":
            return self._detector(name, graph)
        engine = Engine(graph, runtime, self._foundation.compute, model=name, part=part)
        dimension = engine.outputs[0].shape[-1]
        if dimension is None:
            engine.close()
            raise Unavailable(f"{graph} does not say the length of its embeddings: it is no ArcFace recogniser")
        # What passes the gate never finds the recogniser's queue full.
        window = max(1, runtime.batching.max_queue_size // self.gate.places)
        return FaceRecogniser(engine, dimension, window)

    def _detector(self, name: str, graph: Path) -> FaceDetector:
        foundation = self._foundation
        engine = Engine(
            graph,
            foundation.runtime,
            foundation.compute,
            model=name,
            part="detection",
            can_stack=_have_batch_axis,
            typical_axes={2: 640, 3: 640},
        )
        if len(engine.outputs) not in OUTPUTS_WITH_LANDMARKS:
            engine.close()
            raise Unavailable(f"{graph} has {len(engine.outputs)} outputs: it is no SCRFD detector with landmarks")
        return FaceDetector(engine)


def _have_batch_axis(outputs: Sequence[TensorInfo]) -> bool:
    """Whether outputs are (batch, anchors, width); without a batch axis the first one counts anchors."""
    return all(len(info.shape) == 3 for info in outputs)
