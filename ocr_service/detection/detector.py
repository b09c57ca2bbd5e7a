"""Where text stands in a photo: a DB text detector (PP-OCR) behind its engine."""

import asyncio

import cv2
import numpy as np
from numpy.typing import NDArray

from mesh.serving.images import Pixels
from mesh.serving.images.transform import resize, to_tensor
from mesh.serving.inference.engine import Engine
from ocr_service.detection.boxes import Boxes
from ocr_service.detection.regions import to_boxes
from ocr_service.detection.tiles import STRIDE, cut_tiles, join_maps
from ocr_service.raw_input import as_wanted

BLANK = 0.05
"""An input whose values differ by less than this (six grey levels) is blank; the network sees specks all over it."""


class TextDetector:
    """The detection half of a PP-OCR model, as the model manager holds it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._input = engine.inputs[0]

    async def detect(self, pixels: Pixels, *, ratio: float, min_score: float) -> Boxes:
        """Finds the lines of text in a photo or in a part of one.

        Args:
            pixels: shape (rows, columns, 3), uint8, BGR; any size.
            ratio: how much smaller (or larger) the network sees it.
            min_score: least mean probability within a box.

        Returns:
            Boxes in pixels of `pixels`, in no particular order.

        Raises:
            OverloadedError, DeadlineExceededError: from the engine.
        """
        blob = await self.engine.in_thread(lambda: to_input(pixels, ratio))
        maps = await asyncio.gather(*(self._map(tile) for tile in cut_tiles(blob)))
        size = (pixels.shape[0], pixels.shape[1])

        def boxes() -> Boxes:
            return to_boxes(join_maps(maps, blob.shape[2], blob.shape[3])[0, 0], size, min_score)

        return await self.engine.in_thread(boxes)

    async def _map(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of text per pixel, shape (1, 1, rows, columns), for an input of shape (1, 3, rows, columns)."""
        if await self.engine.in_thread(lambda: float(np.ptp(tile))) < BLANK:
            return np.zeros((1, 1, *tile.shape[2:]), np.float32)
        outputs = await self.engine.infer({self._input.name: as_wanted(tile, self._input)})
        return outputs[0].astype(np.float32, copy=False).reshape(1, 1, *tile.shape[2:])


def scale_to(size: tuple[int, ...], short_side: int) -> float:
    """Ratio that brings the short side of (rows, columns, ...) down to `short_side`; never above 1."""
    return min(1.0, short_side / min(size[:2]))


def input_size(rows: int, columns: int, ratio: float) -> tuple[int, int]:
    """Rows and columns of the network's input for a photo of that size, seen at `ratio`."""
    high, wide = (max(STRIDE, round(int(side * ratio) / STRIDE) * STRIDE) for side in (rows, columns))
    return high, wide


def to_input(pixels: Pixels, ratio: float) -> NDArray[np.float32]:
    """The network's input: scaled by `ratio` to multiples of 32, values in -1 to 1, shape (1, 3, rows, columns)."""
    rows, columns = input_size(pixels.shape[0], pixels.shape[1], ratio)
    # Bilinear takes four neighbours into account: enough down to half the size, and several times faster than the area.
    interpolation = cv2.INTER_LINEAR if ratio > 0.5 else cv2.INTER_AREA
    return to_tensor(resize(pixels, (columns, rows), interpolation), mean=127.5, std=127.5)
