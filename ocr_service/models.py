"""Which OCR models are in memory: reads their parts, lends them to calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from common.errors import ModelNotFound
from models import layout
from models.catalogue import Family
from ocr_service.detector import TextDetector
from ocr_service.recogniser import TextRecogniser
from serving.engine import Engine
from serving.gate import Gate
from serving.lifecycle import LifecyclePolicy, ModelManager
from serving.server import Foundation

OcrPart = TextDetector | TextRecogniser

TYPICAL_AXES = {"detection": {2: 736, 3: 992}, "recognition": {2: 48, 3: 320}}
"""Height and width, in pixels, of the usual photo and of the usual line: what calibration times."""


class OcrModels:
    """The models of the OCR service.

    Args:
        foundation: where files come from and graphs run.
        policy: when models leave memory.
    """

    def __init__(self, foundation: Foundation, policy: LifecyclePolicy) -> None:
        self._foundation = foundation
        self.gate = Gate.of(foundation.runtime)
        self.manager: ModelManager[OcrPart] = ModelManager(
            Family.OCR, foundation.store, self._load, foundation.compute, policy
        )

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[tuple[TextDetector, TextRecogniser]]:
        """Lends a model's two halves, loaded first when needed; empty for the default. Raises as the manager."""
        async with self.manager.use(name, "detection") as detector, self.manager.use(name, "recognition") as recogniser:
            assert isinstance(detector, TextDetector)
            assert isinstance(recogniser, TextRecogniser)
            yield detector, recogniser

    def _load(self, name: str, part: str, folder: Path) -> OcrPart:
        """Reads one part. Raises Unavailable (a file is damaged), ModelNotFound (it is missing). Blocking."""
        runtime, compute = self._foundation.runtime, self._foundation.compute
        graph = layout.part_file(Family.OCR, folder, part, fp16=runtime.fp16)
        if graph is None:
            raise ModelNotFound(f"model {name} has no {part}/model.onnx in {folder}: fetch it again")
        engine = Engine(graph, runtime, compute, model=name, part=part, typical_axes=TYPICAL_AXES[part])
        if part == "detection":
            return TextDetector(engine)
        return TextRecogniser(engine, graph.parent, lines_at_once=max(1, runtime.batching.max_queue_size // 2))
