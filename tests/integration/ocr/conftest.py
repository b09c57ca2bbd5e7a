"""The OCR service on its bundled models, by a client; the models' two halves without a server; labelled photos."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

from bench.ocr.scene import LabelledLine
from mesh.core.rpc.channels import open_channel
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.hub.store import ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import RuntimeSettings
from mesh.serving.server import ServiceContext, running
from ocr_service.__main__ import build
from ocr_service.config import OcrSettings
from ocr_service.detection.detector import TextDetector
from ocr_service.recognition.recogniser import TextRecogniser
from tests.waiting import PATIENCE_SECONDS

PHOTOS = Path(__file__).parent / "photos"
DEFAULT_MODEL = "PP-OCRv6_small"


@dataclass
class OcrCaller:
    """Calls the service."""

    stub: "ocr_pb2_grpc.OcrServiceAsyncStub"
    channel: grpc.aio.Channel

    async def read(self, image: bytes, **fields: Any) -> ocr_pb2.RecognizeResponse:
        return await self.stub.Recognize(ocr_pb2.RecognizeRequest(image=image, **fields), timeout=PATIENCE_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ocr(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OcrCaller]:
    """One service for a module's tests: reading the models takes longer than any of them."""
    fields: dict[str, Any] = {
        "port": 0,
        "cache_folder": tmp_path_factory.mktemp("cache"),
        "offline": True,
        "threads": 2,
    }
    settings = OcrSettings(**fields)
    context = ServiceContext.of(settings)
    async with running(build(settings, context), settings) as server, open_channel(server.address) as channel:
        await server.ready.wait()
        yield OcrCaller(ocr_pb2_grpc.OcrServiceStub(channel), channel)
    context.compute.close()


@pytest.fixture(scope="session")
def graphs() -> tuple[Path, Path]:
    """Detection and recognition graph of the default model, out of its package."""
    folder = ModelStore(Path("/nonexistent"), offline=True).fetch(Family.OCR, DEFAULT_MODEL)
    detection, recognition = (layout.part_file(Family.OCR, folder, part) for part in Family.OCR.parts)
    assert detection
    assert recognition
    return detection, recognition


@pytest.fixture(scope="session")
def parts(graphs: tuple[Path, Path]) -> Iterator[tuple[TextDetector, TextRecogniser]]:
    """The default model's halves, on one core."""
    detection, recognition = graphs
    runtime, compute = RuntimeSettings(cores=1), ComputePool(1)
    detector = TextDetector(Engine(detection, runtime, compute, model=DEFAULT_MODEL, part="detection"))
    engine = Engine(recognition, runtime, compute, model=DEFAULT_MODEL, part="recognition")
    yield detector, TextRecogniser(engine, recognition.parent)
    compute.close()


def labelled(name: str) -> tuple[bytes, list[LabelledLine]]:
    """A photo of the sample (made by `python -m bench.ocr --sample`), and what it says."""
    labels = json.loads((PHOTOS / "labels.json").read_text())[name]
    lines = [LabelledLine(label["text"], np.array(label["outline"], np.float32)) for label in labels]
    return (PHOTOS / name).read_bytes(), lines


def names() -> list[str]:
    """The photos of the sample."""
    return sorted(json.loads((PHOTOS / "labels.json").read_text()))
