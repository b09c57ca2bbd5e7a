"""Which OCR models are in memory: reads their parts, lends them to calls."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from mesh.core.errors import ModelNotFoundError, ModelUnavailableError
from mesh.hub.catalogue import Family, names_language
from mesh.serving.lifecycle.family import FamilyModels, PartFiles
from mesh.serving.lifecycle.manager import LifecyclePolicy
from mesh.serving.server import ServiceContext
from ocr_service.detection.detector import TextDetector
from ocr_service.recognition.recogniser import TextRecogniser
from ocr_service.self_check import detection_check, recognition_check

OcrPart = TextDetector | TextRecogniser

TYPICAL_AXES = {"detection": {1: 736, 2: 736, 3: 992}, "recognition": {1: 48, 2: 48, 3: 320}}
"""Height and width, in pixels, of the usual photo and of the usual line, where a graph leaves them open: what
calibration times. Axes 2 and 3 of most graphs, 1 and 2 of those that take bytes; a line has to be 48 high, so that one
of the latter is timed on a short line."""
SELF_CHECKS = {"detection": detection_check, "recognition": recognition_check}


class OcrModels(FamilyModels[OcrPart]):
    """The models of the OCR service.

    Args:
        foundation, policy: as `FamilyModels` takes them.
        language_fallback: the default model answers for a language whose own model cannot be had.
    """

    family = Family.OCR

    def __init__(self, foundation: ServiceContext, policy: LifecyclePolicy, *, language_fallback: bool = False) -> None:
        super().__init__(foundation, policy)
        self._language_fallback = language_fallback

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[tuple[TextDetector, TextRecogniser]]:
        """Lends a model's two halves, loaded first when needed; empty for the default. Raises as the manager."""
        async with AsyncExitStack() as stack:
            try:
                lent = await stack.enter_async_context(self.lend_both(name, TextDetector, TextRecogniser))
            except (ModelNotFoundError, ModelUnavailableError):
                if not (self._language_fallback and names_language(name)):
                    raise
                lent = await stack.enter_async_context(self.lend_both("", TextDetector, TextRecogniser))
            yield lent

    def read(self, files: PartFiles) -> OcrPart:
        """One half. Raises UnavailableError (a file is damaged). Blocking."""
        engine = self.engine(files, typical_axes=TYPICAL_AXES[files.part], self_check=SELF_CHECKS[files.part])
        if files.part == "detection":
            return TextDetector(engine)
        lines_at_once = max(1, self.foundation.runtime.batching.max_queue_size // 2)
        return TextRecogniser(engine, files.graph.parent, lines_at_once=lines_at_once, name=files.model)
