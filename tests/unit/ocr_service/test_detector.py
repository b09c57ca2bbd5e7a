"""From photos to the network's input, from its map to boxes."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rapidocr_onnxruntime.ch_ppocr_det.utils import DetPreProcess

from ocr_service.detection.detector import TextDetector, scale_to, to_input
from ocr_service.detection.tiles import cut_tiles, join_maps, tile_spans
from tests.unit.ocr_service.doubles import FakeEngine


def test_same_input_as_rapidocr() -> None:
    photo = np.random.default_rng(1).integers(0, 255, (736, 1000, 3), np.uint8)
    theirs = DetPreProcess(736, "min")(photo)
    np.testing.assert_allclose(to_input(photo, 1.0), theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "columns", "ratio", "shape"),
    [(1, 1, 1.0, (32, 32)), (1440, 1920, 0.5111, (736, 992)), (300, 400, 1.0, (288, 384)), (1, 5000, 1.0, (32, 4992))],
)
def test_any_photo_becomes_multiples_of_32(rows: int, columns: int, ratio: float, shape: tuple[int, int]) -> None:
    assert to_input(np.zeros((rows, columns, 3), np.uint8), ratio).shape == (1, 3, *shape)


def test_never_enlarged() -> None:
    assert scale_to((300, 400), 736) == 1.0
    assert scale_to((1440, 1920), 720) == 0.5


@pytest.mark.parametrize(("rows", "columns"), [(736, 3680), (3680, 736), (736, 992), (32, 4992), (608, 3008)])
def test_tiles_cover_everything_and_join_without_a_seam(rows: int, columns: int) -> None:
    blob = np.random.default_rng(2).random((1, 3, rows, columns)).astype(np.float32)
    tiles = cut_tiles(blob)
    assert len({tile.shape for tile in tiles}) == 1, "equal shapes share a batch"
    assert all(side % 32 == 0 for tile in tiles for side in tile.shape[2:])
    np.testing.assert_array_equal(join_maps([tile[:, :1] for tile in tiles], rows, columns), blob[:, :1])


def test_only_long_pictures_are_cut() -> None:
    assert tile_spans(1632, 736) == [(0, 1632)]
    assert len(tile_spans(3680, 736)) == 3
    spans = tile_spans(20_000, 736)
    assert all(later[0] - earlier[1] <= -64 for earlier, later in pairwise(spans))


async def test_a_blank_photo_is_not_run() -> None:
    engine = FakeEngine(lambda blob: np.ones((1, 1, *blob.shape[2:]), np.float32))
    detector = TextDetector(engine.as_engine())
    assert len(await detector.detect(np.full((64, 64, 3), 250, np.uint8), ratio=1.0, min_score=0.1)) == 0
    assert engine.shapes == []


async def test_a_panorama_is_run_in_tiles() -> None:
    def ink(blob: NDArray[np.float32]) -> NDArray[np.float32]:
        return (blob[:, :1] < 0).astype(np.float32)

    engine = FakeEngine(ink)
    photo = np.full((736, 3680, 3), 255, np.uint8)
    cv2.rectangle(photo, (1100, 300), (1500, 330), (0, 0, 0), -1)  # across the first seam
    boxes = await TextDetector(engine.as_engine()).detect(photo, ratio=1.0, min_score=0.5)
    assert len(engine.shapes) == 2, "the blank tile is left out"
    assert len(boxes) == 1
    assert boxes.quads[0][:, 0].min() == pytest.approx(1100, abs=40)
    assert boxes.quads[0][:, 0].max() == pytest.approx(1500, abs=40)
