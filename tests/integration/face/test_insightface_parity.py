"""The whole pipeline against InsightFace's own, on the same graphs at equal settings."""

from pathlib import Path

import numpy as np
import pytest
from insightface.app import FaceAnalysis

from tests.builders.faces import marker_photo, write_faces, write_insightface
from tests.builders.graph import FLOAT, Graph
from tests.integration.face.conftest import Serve
from tests.integration.face.test_face_service import box_of, cosine, encoded

pytestmark = pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")  # InsightFace's own call

PHOTOS = {
    "small": ((400, 300), {"magenta": (30, 40, 130, 140), "cyan": (200, 90, 380, 270)}),
    "landscape": ((1920, 1080), {"magenta": (100, 700, 160, 760), "yellow": (900, 100, 1300, 600)}),
    "portrait": ((1080, 1920), {"cyan": (3, 5, 333, 400), "yellow": (700, 1500, 1080, 1920)}),
    "panorama": ((3000, 600), {"magenta": (1400, 100, 1800, 500)}),
}


def textured(pixels: np.ndarray) -> np.ndarray:
    """The photo with a pattern: crops that are shifted or turned get other embeddings."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    pattern = 18 * np.sin(rows / 17) + 18 * np.sin(columns / 11 + rows / 29)
    return np.asarray(np.clip(pixels + pattern[:, :, None], 0, 255), np.uint8)


def write_pattern_recogniser(path: Path) -> None:
    """A recogniser whose embedding is the crop itself, 14 x 14 cells of three colours: sees where everything lies."""
    graph = Graph()
    crop = graph.input("input.1", ["batch", 3, 112, 112], FLOAT)
    cells = graph.op("AveragePool", crop, kernel_shape=[8, 8], strides=[8, 8])
    graph.output(graph.op("Flatten", cells), "683", ["batch", 14 * 14 * 3])
    graph.save(path)


@pytest.fixture(scope="module")
def insightface(tmp_path_factory: pytest.TempPathFactory) -> FaceAnalysis:
    folder = write_insightface(tmp_path_factory.mktemp("insightface"))
    write_pattern_recogniser(folder / "w600k_r50.onnx")
    analysis = FaceAnalysis(name=str(folder), providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=-1, det_thresh=0.5, det_size=(640, 640))
    return analysis


@pytest.mark.parametrize("name", PHOTOS)
async def test_same_faces(serve: Serve, tmp_path: Path, insightface: FaceAnalysis, name: str) -> None:
    (width, height), boxes = PHOTOS[name]
    pixels = textured(marker_photo(width, height, boxes))
    theirs = insightface.get(np.ascontiguousarray(pixels[:, :, ::-1]))
    assert len(theirs) == len(boxes)
    write_pattern_recogniser(write_faces(tmp_path) / "recognition" / "model.onnx")
    async with serve() as faces:
        ours = (await faces.detect(encoded(pixels), min_score=0.5)).faces
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.score == pytest.approx(float(their.det_score), abs=1e-4)
        np.testing.assert_allclose(box_of(our), np.clip(their.bbox, 0, [width, height] * 2), atol=1)
        np.testing.assert_allclose([(point.x, point.y) for point in our.landmarks], their.kps, atol=0.05)
        assert cosine(our.embedding, their.embedding) > 0.9999
