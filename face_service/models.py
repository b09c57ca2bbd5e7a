"""Which packs of face models are in memory: reads their parts, lends them to calls."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from face_service.detector import FaceDetector
from face_service.recogniser import FaceRecogniser
from mesh.core.errors import UnavailableError
from mesh.hub.catalogue import Family
from mesh.serving.image_input import ImageInput
from mesh.serving.lifecycle.family import FamilyModels, PartFiles
from mesh.serving.runtimes.session import TensorInfo

FacePart = FaceDetector | FaceRecogniser

OUTPUTS_WITH_LANDMARKS = (9, 15)
"""Outputs of SCRFD graphs that give landmarks, on three grids or on five."""


class FaceModels(FamilyModels[FacePart]):
    """The packs of the face service."""

    family = Family.FACE

    def use(self, name: str) -> AbstractAsyncContextManager[tuple[FaceDetector, FaceRecogniser]]:
        """Lends a pack, loaded first when needed; an empty name is the default. Raises as the manager does."""
        return self.lend_both(name, FaceDetector, FaceRecogniser)

    def read(self, files: PartFiles) -> FacePart:
        """One part. Raises UnavailableError (damaged, or no face model). Blocking."""
        return self._detector(files) if files.part == "detection" else self._recogniser(files)

    def _detector(self, files: PartFiles) -> FaceDetector:
        engine = self.engine(files, can_stack=_have_batch_axis, typical_axes={1: 640, 2: 640, 3: 640})
        if len(engine.outputs) not in OUTPUTS_WITH_LANDMARKS:
            engine.close()
            raise UnavailableError(
                f"{files.graph} has {len(engine.outputs)} outputs: it is no SCRFD detector with landmarks"
            )
        return FaceDetector(engine)

    def _recogniser(self, files: PartFiles) -> FaceRecogniser:
        engine = self.engine(files)
        dimension = engine.outputs[0].shape[-1]
        if dimension is None:
            engine.close()
            raise UnavailableError(
                f"{files.graph} does not say the length of its embeddings: it is no ArcFace recogniser"
            )
        # What passes the gate never finds the recogniser's queue full.
        window = max(1, self.foundation.runtime.batching.max_queue_size // self.gate.places)
        return FaceRecogniser(engine, ImageInput.of(engine.inputs[0], files.graph), dimension, window)


def _have_batch_axis(outputs: Sequence[TensorInfo]) -> bool:
    """Whether outputs are (batch, anchors, width); without a batch axis the first one counts anchors."""
    return all(len(info.shape) == 3 for info in outputs)
