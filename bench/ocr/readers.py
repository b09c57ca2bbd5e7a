"""Who reads the set: this project's service, stock Immich's pipeline, RapidOCR's defaults. All on one thread per run,
so that their CPU times compare."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from bench import report
from bench.ocr.evaluate import ReadLine
from bench.ocr.stock import StockImmich, StockOptions
from mesh.core.settings import Device, Precision
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.hub.store import ModelStore
from mesh.serving.images import ChannelOrder, decode
from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import RuntimeSettings
from ocr_service.detection.detector import TextDetector
from ocr_service.models import INT8_FOLDER, TYPICAL_AXES
from ocr_service.options import Options
from ocr_service.reader import read_photo
from ocr_service.recognition.recogniser import TextRecogniser
from ocr_service.self_check import detection_check, recognition_check
from ocr_service.shapes import DYNAMIC, sizes_for

Reader = Callable[[bytes], list[ReadLine]]

cv2.setNumThreads(1)

COMPILED = report.OUT / "compiled"
"""What OpenVINO makes of the graphs."""
V4, V6 = "PP-OCRv4_mobile", "PP-OCRv6_small"


def graphs(model: str) -> tuple[Path, Path]:
    """Detection and recognition graph of a bundled model."""
    folder = ModelStore(Path("/nonexistent"), offline=True).fetch(Family.OCR, model)
    files = [layout.part_file(Family.OCR, folder, part) for part in Family.OCR.parts]
    assert files[0]
    assert files[1]
    return files[0], files[1]


def mesh(
    model: str,
    options: Options | None = None,
    *,
    shapes: str = DYNAMIC,
    precision: Precision = Precision.FP32,
) -> Reader:
    """This project's service, from bytes to lines; in fp32 by onnxruntime, in less by OpenVINO.

    Args:
        model: a bundled one.
        options: of every photo.
        shapes: as `OCR_SHAPES`.
        precision: of both graphs.

    Raises SystemExit: this processor, or both graphs, have no such precision.
    """
    runtime, compute = RuntimeSettings(cores=1), ComputePool(1)
    if precision is not Precision.FP32:
        runtime = replace(
            runtime, device=Device.OPENVINO, precision=precision, int8_folder=INT8_FOLDER, cache_folder=COMPILED
        )
    sizes, checks = sizes_for(shapes, runtime.device), (detection_check, recognition_check)
    engines = [
        Engine(
            graph,
            runtime,
            compute,
            model=model,
            part=part,
            typical_axes=TYPICAL_AXES[part],
            self_check=check,
            sizes=sizes[part],
        )
        for graph, part, check in zip(graphs(model), Family.OCR.parts, checks, strict=True)
    ]
    if precision is not Precision.FP32 and not any(engine.provider.endswith(precision.value) for engine in engines):
        raise SystemExit(f"asked for {precision.value}: {'; '.join(engine.reason for engine in engines)}")
    detector, recogniser = TextDetector(engines[0]), TextRecogniser(engines[1], graphs(model)[1].parent)
    loop = asyncio.new_event_loop()

    def read(jpeg: bytes) -> list[ReadLine]:
        image = decode(jpeg, max_pixels=10**9, order=ChannelOrder.BGR)
        lines = loop.run_until_complete(read_photo(image.pixels, detector, recogniser, options or Options()))
        return [ReadLine(line.text, line.quad) for line in lines]

    return read


def stock(model: str) -> Reader:
    """Stock Immich's pipeline at its default settings."""
    return StockImmich(*graphs(model), StockOptions()).read


def rapid(model: str) -> Reader:
    """RapidOCR (rapidocr-onnxruntime) at its own defaults, with a model's graphs."""
    from rapidocr_onnxruntime import RapidOCR

    detection, recognition = graphs(model)
    engine = RapidOCR(
        det_model_path=str(detection), rec_model_path=str(recognition), intra_op_num_threads=1, inter_op_num_threads=1
    )

    def read(jpeg: bytes) -> list[ReadLine]:
        lines, _ = engine(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
        return [ReadLine(text, np.array(quad, np.float32)) for quad, text, _ in lines or ()]

    return read


READERS: dict[str, Callable[[], Reader]] = {
    "mesh v6": lambda: mesh(V6),
    "mesh v6 int8": lambda: mesh(V6, precision=Precision.INT8),
    "mesh v4": lambda: mesh(V4),
    "stock v6": lambda: stock(V6),
    "stock v4": lambda: stock(V4),
    "rapid v6": lambda: rapid(V6),
    "rapid v4": lambda: rapid(V4),
}


def cpu_seconds() -> float:
    """CPU time of this process so far, all threads."""
    times = os.times()
    return times.user + times.system
