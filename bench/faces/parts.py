"""The work between the graphs, ours against InsightFace's, on prepared outputs in place of inference."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeVar, cast

import numpy as np
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils.face_align import norm_crop

from face_service import alignment
from face_service.alignment import TEMPLATE, Landmarks
from face_service.detector import FaceDetector
from mesh.serving.images import Pixels
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import Array, TensorInfo

T = TypeVar("T")

SIDE = 640
STRIDES = (8, 16, 32)
MIN_SCORE = 0.7

IMPORTS = """
import json, sys, time
import face_service.__main__
from mesh.core.memory import resident_bytes
before, modules, started = resident_bytes(), len(sys.modules), time.perf_counter()
import insightface.model_zoo.scrfd, insightface.model_zoo.arcface_onnx, insightface.utils.face_align
print(json.dumps({"seconds": time.perf_counter() - started, "memory_mb": (resident_bytes() - before) / 1e6,
                  "modules": len(sys.modules) - modules}))
"""


class Prepared:
    """Stands where a session or an engine stands, and gives the same outputs every time."""

    def __init__(self, faces: int) -> None:
        random = np.random.default_rng(faces)
        sizes = [2 * (SIDE // stride) ** 2 for stride in STRIDES]
        scores = [np.full((size, 1), 0.01, np.float32) for size in sizes]
        cells = random.choice(sizes[0] // 8, faces, replace=False) * 8  # every fourth point of the grid: no overlap
        scores[0][cells] = 0.9
        boxes = [np.full((size, 4), 1.5, np.float32) for size in sizes]
        landmarks = [np.tile(random.random(10, np.float32), (size, 1)) for size in sizes]
        self._outputs: list[Array] = [*scores, *boxes, *landmarks]
        self.inputs = (TensorInfo("input.1", (1, 3, None, None), "float32"),)
        self.outputs = tuple(TensorInfo(str(i), (None, o.shape[1]), "float32") for i, o in enumerate(self._outputs))

    def get_inputs(self) -> Sequence[TensorInfo]:
        """As onnxruntime's session has it."""
        return self.inputs

    def get_outputs(self) -> Sequence[TensorInfo]:
        """As onnxruntime's session has it."""
        return self.outputs

    def run(self, names: Sequence[str], feeds: dict[str, Array]) -> list[Array]:
        """As onnxruntime's session has it."""
        return self._outputs

    async def infer(self, feeds: dict[str, Array]) -> list[Array]:
        """As the engine has it."""
        return self._outputs

    async def in_thread(self, work: Callable[[], T]) -> T:
        """As the engine has it, but at once."""
        return work()


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each step: median milliseconds of both, and the median of the ratios of pairs run in turn."""
    pixels = np.random.default_rng(0).integers(0, 255, (1440, 1920, 3), np.uint8)
    rows = []
    for faces in (2, 40):
        rows.append(_pair(f"detection without the graph, {faces} faces", *_detection(pixels, faces), rounds))
        rows.append(_pair(f"alignment of {faces} faces", *_alignment(pixels, faces), rounds))
    return rows


def import_cost() -> dict[str, float]:
    """What InsightFace's classes add to a face service that has been imported: seconds, MB in RAM, modules."""
    done = subprocess.run([sys.executable, "-P", "-c", IMPORTS], capture_output=True, text=True, check=True)
    return cast("dict[str, float]", json.loads(done.stdout.splitlines()[-1]))


def _detection(pixels: Pixels, faces: int) -> tuple[Callable[[], int], Callable[[], int]]:
    prepared = Prepared(faces)
    detector = FaceDetector(cast("Engine", prepared))
    scrfd = SCRFD(session=prepared, static_shape_sessions=False)
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    loop = asyncio.new_event_loop()

    def ours() -> int:
        return len(loop.run_until_complete(detector.detect(pixels, min_score=MIN_SCORE, limit=500)))

    def theirs() -> int:
        return len(scrfd.detect(bgr, input_size=(SIDE, SIDE), det_thresh=MIN_SCORE)[0])

    return ours, theirs


def _alignment(pixels: Pixels, faces: int) -> tuple[Callable[[], int], Callable[[], int]]:
    random = np.random.default_rng(faces)
    found: list[Landmarks] = []
    for _ in range(faces):
        shift = random.uniform(0, 1200, 2)
        found.append((TEMPLATE * random.uniform(0.5, 2) + shift + random.normal(0, 2, (5, 2))).astype(np.float32))

    def ours() -> int:
        transforms = [alignment.similarity(five) for five in found]
        return len([alignment.crop(pixels, transform) for transform in transforms if transform is not None])

    def theirs() -> int:
        return len([norm_crop(pixels, five) for five in found])

    return ours, theirs


def _pair(step: str, ours: Callable[[], int], theirs: Callable[[], int], rounds: int) -> dict[str, Any]:
    if ours() != theirs():
        raise RuntimeError(f"{step}: {ours()} of ours, {theirs()} of InsightFace's: they do not do the same work")
    pairs = [(_cpu_seconds(ours), _cpu_seconds(theirs)) for _ in range(rounds)]
    return {
        "step": step,
        "mesh_ms": 1000 * median(mine for mine, _ in pairs),
        "insightface_ms": 1000 * median(theirs for _, theirs in pairs),
        "ratio": median(theirs / mine for mine, theirs in pairs),
    }


def _cpu_seconds(work: Callable[[], int]) -> float:
    """CPU time of this process: other processes disturb it less than the clock."""
    started = time.process_time()
    work()
    return time.process_time() - started
