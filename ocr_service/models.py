"""Which OCR models are in memory: how their two parts are read, and acquired together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mesh.core.errors import ModelNotFoundError, ModelUnavailableError
from mesh.hub.catalogue import Family, names_language
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded
from mesh.serving.runtimes.self_check import MakeCheck
from mesh.serving.server import ServiceContext
from ocr_service.detection.detector import TextDetector
from ocr_service.recognition.recogniser import TextRecogniser
from ocr_service.self_check import detection_check, recognition_check
from ocr_service.shapes import AUTO, sizes_for

INT8_FOLDER = Path(__file__).parent / "int8"
"""Int8 versions of the graphs that come in packages: `python -m bench.ocr.quantise` makes them."""
TYPICAL_AXES = {"detection": {1: 736, 2: 736, 3: 992}, "recognition": {1: 48, 2: 48, 3: 320}}
"""Height and width, in pixels, of the usual photo and of the usual line, where a graph leaves them open: what
calibration times. Axes 2 and 3 of most graphs, 1 and 2 of those that take bytes; a line has to be 48 high, so that one
of the latter is timed on a short line."""


class OcrModels:
    """The models of the OCR service.

    Args:
        context: where files come from and graphs run.
        policy: when models leave memory.
        shapes: `OCR_SHAPES`.
        language_fallback: the default model answers for a language whose own model cannot be had.

    Attributes:
        manager: loads, hands out and unloads the parts.
    """

    def __init__(
        self, context: ServiceContext, policy: LifecyclePolicy, *, shapes: str = AUTO, language_fallback: bool = False
    ) -> None:
        self._context = replace(context, runtime=replace(context.runtime, int8_folder=INT8_FOLDER))
        self._sizes = sizes_for(shapes, context.runtime.device)
        self._language_fallback = language_fallback
        self._detection = ModelPart("detection", self._read_detector)
        self._recognition = ModelPart("recognition", self._read_recogniser)
        parts = (self._detection, self._recognition)
        self.manager = ModelManager(Family.OCR, context.store, parts, context.compute, policy)

    @asynccontextmanager
    async def acquire(self, name: str) -> AsyncIterator[tuple[TextDetector, TextRecogniser]]:
        """Acquires a model's two halves, loaded first when needed; empty for the default. Raises as the manager."""
        async with AsyncExitStack() as stack:
            try:
                pair = await stack.enter_async_context(self._pair(name))
            except (ModelNotFoundError, ModelUnavailableError):
                if not (self._language_fallback and names_language(name)):
                    raise
                pair = await stack.enter_async_context(self._pair(""))
            yield pair

    @asynccontextmanager
    async def _pair(self, name: str) -> AsyncIterator[tuple[TextDetector, TextRecogniser]]:
        acquire = self.manager.acquire
        async with acquire(self._detection, name) as detector, acquire(self._recognition, name) as recogniser:
            yield detector, recogniser

    def _read_detector(self, files: PartFiles) -> Loaded[TextDetector]:
        engine = self._engine(files, self._graph(files), detection_check)
        return Loaded(TextDetector(engine), engine)

    def _read_recogniser(self, files: PartFiles) -> Loaded[TextRecogniser]:
        graph = self._graph(files)
        engine = self._engine(files, graph, recognition_check)
        lines_at_once = max(1, self._context.runtime.batching.max_queue_size // 2)
        recogniser = TextRecogniser(engine, graph.parent, lines_at_once=lines_at_once, name=files.model)
        return Loaded(recogniser, engine)

    def _graph(self, files: PartFiles) -> Path:
        return files.graph(fp16=self._context.runtime.fp16)

    def _engine(self, files: PartFiles, graph: Path, check: MakeCheck) -> Engine:
        return Engine(
            graph,
            self._context.runtime,
            self._context.compute,
            model=files.model,
            part=files.part,
            typical_axes=TYPICAL_AXES[files.part],
            sizes=self._sizes[files.part],
            self_check=check,
        )
