"""Photos and lines padded to a few sizes are read as they are without: real graphs, real photos."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.core.settings import BatchingSettings, Device, Precision
from mesh.serving import metrics
from mesh.serving.images import ChannelOrder, decode
from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes import openvino, openvino_files, selection
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import RuntimeSettings, StaticShapes
from ocr_service.config import DEFAULT_MODEL
from ocr_service.detection.detector import TextDetector
from ocr_service.options import Options
from ocr_service.reader import Line, read_photo
from ocr_service.recognition.recogniser import TextRecogniser
from ocr_service.self_check import recognition_check
from ocr_service.shapes import FIXED, sizes_for
from tests.integration.ocr.conftest import labelled, names
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

Parts = tuple[TextDetector, TextRecogniser]
PHOTOS = [name for name in names() if name.split(".")[0] in {"receipt", "curved", "vertical", "small", "screenshot"}]


@pytest.fixture(scope="module")
def padded(graphs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """The default model's halves, whatever they get padded to the sizes of `fixed`."""
    runtime = RuntimeSettings(device=Device.CPU, cores=1, cache_folder=tmp_path_factory.mktemp("cache"))
    compute, sizes = ComputePool(1), sizes_for(FIXED, Device.CPU)
    detector, recogniser = (
        Engine(graph, runtime, compute, model=DEFAULT_MODEL, part=part, sizes=sizes[part])
        for graph, part in zip(graphs, sizes, strict=True)
    )
    assert detector.pads
    assert recogniser.pads
    yield TextDetector(detector), TextRecogniser(recogniser, graphs[1].parent)
    compute.close()


async def read(photo: bytes, parts: Parts) -> list[Line]:
    image = decode(photo, max_pixels=10**9, order=ChannelOrder.BGR)
    return await read_photo(image.pixels, *parts, Options())


@pytest.mark.parametrize("name", PHOTOS)
async def test_texts_boxes_and_scores_are_the_same(name: str, parts: Parts, padded: Parts) -> None:
    photo, _ = labelled(name)
    plain, other = await read(photo, parts), await read(photo, padded)
    assert [line.text for line in other] == [line.text for line in plain]
    assert plain
    for one, two in zip(plain, other, strict=True):
        assert np.array_equal(one.quad, two.quad)
        assert two.detection_score == pytest.approx(one.detection_score, abs=1e-3)
        assert two.recognition_score == pytest.approx(one.recognition_score, abs=1e-3)


async def test_a_runtime_that_compiles_for_each_shape_does_so_for_a_few(
    graphs: tuple[Path, Path], parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO on the processor, where it would be on Intel's GPU: chosen, checked and compiled in the same way."""
    monkeypatch.setattr(openvino, "DEVICE_NAMES", {})
    compiled: list[str] = []
    original: Callable[..., OpenVinoSession] = openvino_files.open_source

    def open_source(*arguments: Any, shapes: StaticShapes) -> OpenVinoSession:
        compiled.append(shapes.name)
        return original(*arguments, shapes=shapes)

    monkeypatch.setattr(selection, "open_source", open_source)
    runtime = RuntimeSettings(
        device=Device.OPENVINO_GPU,
        precision=Precision.FP32,
        cores=1,
        cache_folder=tmp_path,
        batching=BatchingSettings(max_batch_size=1),
    )
    compute = ComputePool(1)
    engine = Engine(
        graphs[1],
        runtime,
        compute,
        model=DEFAULT_MODEL,
        part="recognition",
        sizes=((48, 160), (48, 320), (48, 800)),
        self_check=recognition_check,
    )
    assert engine.provider == "OpenVINO CPU fp32"
    of_checks = len(compiled)
    assert compiled.count("1x3x48x800") == 1  # holds whatever comes
    photo, _ = labelled("receipt.jpg")
    detector, recogniser = parts[0], TextRecogniser(engine, graphs[1].parent)

    plain = [line.text for line in await read(photo, parts)]
    assert [line.text for line in await read(photo, (detector, recogniser))] == plain
    assert len(plain) > 5
    assert len(compiled) == of_checks  # nobody waited

    engine.start()
    ready = metrics.SHAPES_READY.labels(DEFAULT_MODEL, "recognition")
    await until(lambda: ready._value.get() >= 3)
    assert [line.text for line in await read(photo, (detector, recogniser))] == plain
    assert len(compiled) <= of_checks + 2 + 3  # each of the others once, and once each for lines that fill it
    await engine.drain()
    engine.close()
    compute.close()
