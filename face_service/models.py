"""Which packs of face models are in memory: how their two parts are read, and acquired together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from face_service.detector import FaceDetector
from face_service.recogniser import FaceRecogniser
from mesh.core.errors import UnavailableError
from mesh.hub.catalogue import Family
from mesh.serving.image_input import ImageInput
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded
from mesh.serving.runtimes.session import TensorInfo
from mesh.serving.server import ServiceContext

OUTPUTS_WITH_LANDMARKS = (9, 15)
"""Outputs of SCRFD graphs that give landmarks, on three grids or on five."""


class FaceModels:
    """The packs of the face service.

    Args:
        context: where files come from and graphs run.
        policy: when models leave memory.
        window: most faces of one photo in a recogniser's queue at once.

    Attributes:
        manager: loads, hands out and unloads the parts.
    """

    def __init__(self, context: ServiceContext, policy: LifecyclePolicy, *, window: int) -> None:
        self._context = context
        self._window = window
        self._detection = ModelPart("detection", self._read_detector)
        self._recognition = ModelPart("recognition", self._read_recogniser)
        parts = (self._detection, self._recognition)
        self.manager = ModelManager(Family.FACE, context.store, parts, context.compute, policy)

    @asynccontextmanager
    async def acquire(self, name: str) -> AsyncIterator[tuple[FaceDetector, FaceRecogniser]]:
        """Acquires a pack, loaded first when needed; an empty name is the default. Raises as the manager does."""
        acquire = self.manager.acquire
        async with acquire(self._detection, name) as detector, acquire(self._recognition, name) as recogniser:
            yield detector, recogniser

    def _read_detector(self, files: PartFiles) -> Loaded[FaceDetector]:
        runtime, graph = self._context.runtime, files.graph(fp16=self._context.runtime.fp16)
        engine = Engine(
            graph,
            runtime,
            self._context.compute,
            model=files.model,
            part=files.part,
            can_stack=_have_batch_axis,
            typical_axes={1: 640, 2: 640, 3: 640},
        )
        if len(engine.outputs) not in OUTPUTS_WITH_LANDMARKS:
            engine.close()
            raise UnavailableError(f"{graph} has {len(engine.outputs)} outputs: it is no SCRFD detector with landmarks")
        return Loaded(FaceDetector(engine), engine)

    def _read_recogniser(self, files: PartFiles) -> Loaded[FaceRecogniser]:
        runtime, graph = self._context.runtime, files.graph(fp16=self._context.runtime.fp16)
        engine = Engine(graph, runtime, self._context.compute, model=files.model, part=files.part)
        dimension = engine.outputs[0].shape[-1]
        if dimension is None:
            engine.close()
            raise UnavailableError(f"{graph} does not say the length of its embeddings: it is no ArcFace recogniser")
        recogniser = FaceRecogniser(engine, ImageInput.of(engine.inputs[0], graph), self._window)
        return Loaded(recogniser, engine, dimension)


def _have_batch_axis(outputs: Sequence[TensorInfo]) -> bool:
    """Whether outputs are (batch, anchors, width); without a batch axis the first one counts anchors."""
    return all(len(info.shape) == 3 for info in outputs)
