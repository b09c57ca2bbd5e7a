"""Which OCR models are in memory: reads their parts, lends them to calls."""

from contextlib import AbstractAsyncContextManager

from mesh.hub.catalogue import Family
from mesh.serving.lifecycle.family import FamilyModels, PartFiles
from ocr_service.detection.detector import TextDetector
from ocr_service.recognition.recogniser import TextRecogniser
from ocr_service.self_check import detection_check, recognition_check

OcrPart = TextDetector | TextRecogniser

TYPICAL_AXES = {"detection": {2: 736, 3: 992}, "recognition": {2: 48, 3: 320}}
"""Height and width, in pixels, of the usual photo and of the usual line: what calibration times."""
SELF_CHECKS = {"detection": detection_check, "recognition": recognition_check}


class OcrModels(FamilyModels[OcrPart]):
    """The models of the OCR service."""

    family = Family.OCR

    def use(self, name: str) -> AbstractAsyncContextManager[tuple[TextDetector, TextRecogniser]]:
        """Lends a model's two halves, loaded first when needed; empty for the default. Raises as the manager."""
        return self.lend_both(name, TextDetector, TextRecogniser)

    def read(self, files: PartFiles) -> OcrPart:
        """One half. Raises UnavailableError (a file is damaged). Blocking."""
        engine = self.engine(files, typical_axes=TYPICAL_AXES[files.part], self_check=SELF_CHECKS[files.part])
        if files.part == "detection":
            return TextDetector(engine)
        lines_at_once = max(1, self.foundation.runtime.batching.max_queue_size // 2)
        return TextRecogniser(engine, files.graph.parent, lines_at_once=lines_at_once)
