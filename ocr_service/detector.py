"""Where text stands in a photo: a DB text detector (PP-OCR) behind its engine, with RapidOCR's post-processing."""

import asyncio
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess

from ocr_service.quads import sides
from ocr_service.tiles import STRIDE, cut_tiles, join_maps
from serving.engine import Engine
from serving.images import Pixels
from serving.model import EngineModel

BINARY_THRESHOLD = 0.3
UNCLIP_RATIO = 1.6
MIN_SIDE_PX = 3
"""RapidOCR's own settings; a box whose side is no longer than `MIN_SIDE_PX` holds no text."""

MAX_BOXES = 1000
"""Boxes of one photo that are read, the most certain ones: a page has a hundred, noise may have thousands."""

MAX_CANDIDATES = 5000
"""Regions that are looked at; more than RapidOCR's 1000, since specks count too and must not crowd out the text."""

BLANK = 0.05
"""An input whose values differ by less than this (six grey levels) is blank; the network sees specks all over it."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes around lines of text.

    Attributes:
        quads: shape (N, 4, 2) float32, pixels of the photo, clockwise from the corner that is top left in the photo.
        scores: shape (N,) float32, how certain each box is, 0 to 1.
    """

    quads: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def where(self, keep: NDArray[np.bool_]) -> "Boxes":
        """The boxes that `keep`, of shape (N,), selects."""
        return Boxes(self.quads[keep], self.scores[keep])


NO_BOXES = Boxes(np.empty((0, 4, 2), np.float32), np.empty(0, np.float32))


class TextDetector(EngineModel):
    """The detection half of a PP-OCR model, as the model manager holds it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._input = engine.inputs[0].name

    async def detect(self, pixels: Pixels, *, ratio: float, min_score: float) -> Boxes:
        """Finds the lines of text in a photo or in a part of one.

        Args:
            pixels: shape (rows, columns, 3), uint8, BGR; any size.
            ratio: how much smaller (or larger) the network sees it.
            min_score: least mean probability within a box.

        Returns:
            Boxes in pixels of `pixels`, in no particular order.

        Raises:
            Overloaded, DeadlineExceeded: from the engine.
        """
        blob = await self.engine.in_thread(lambda: to_input(pixels, ratio))
        maps = await asyncio.gather(*(self._map(tile) for tile in cut_tiles(blob)))
        size = (pixels.shape[0], pixels.shape[1])

        def boxes() -> Boxes:
            return to_boxes(join_maps(maps, blob.shape[2], blob.shape[3]), size, min_score)

        return await self.engine.in_thread(boxes)

    async def _map(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of text per pixel, shape (1, 1, rows, columns), for an input of shape (1, 3, rows, columns)."""
        if await self.engine.in_thread(lambda: float(np.ptp(tile))) < BLANK:
            return np.zeros((1, 1, *tile.shape[2:]), np.float32)
        return (await self.engine.infer({self._input: tile}))[0]


def scale_to(size: tuple[int, ...], short_side: int) -> float:
    """Ratio that brings the short side of (rows, columns, ...) down to `short_side`; never above 1."""
    return min(1.0, short_side / min(size[:2]))


def to_input(pixels: Pixels, ratio: float) -> NDArray[np.float32]:
    """The network's input: scaled by `ratio` to multiples of 32, values in -1 to 1, shape (1, 3, rows, columns)."""
    rows, columns = (max(STRIDE, round(int(side * ratio) / STRIDE) * STRIDE) for side in pixels.shape[:2])
    # Bilinear takes four neighbours into account: enough down to half the size, and several times faster than the area.
    interpolation = cv2.INTER_LINEAR if ratio > 0.5 else cv2.INTER_AREA
    scaled = cv2.resize(pixels, (columns, rows), interpolation=interpolation)
    blob = cv2.dnn.blobFromImage(scaled, scalefactor=1 / 127.5, mean=(127.5, 127.5, 127.5))
    return blob.astype(np.float32, copy=False)


def to_boxes(probabilities: NDArray[np.float32], size: tuple[int, int], min_score: float) -> Boxes:
    """Boxes around the regions of a probability map.

    Args:
        probabilities: shape (1, 1, rows, columns): the network's output.
        size: rows and columns of the pixels that the boxes refer to.
        min_score: least mean probability within a box.
    """
    process = DBPostProcess(
        thresh=BINARY_THRESHOLD,
        box_thresh=min_score,
        max_candidates=MAX_CANDIDATES,
        unclip_ratio=UNCLIP_RATIO,
        score_mode="fast",
        use_dilation=True,
    )
    found, scores = process(probabilities, size)
    if len(found) == 0:
        return NO_BOXES
    quads = np.asarray(found, np.float32)
    np.clip(quads, 0, np.array([size[1] - 1, size[0] - 1], np.float32), out=quads)
    widths, heights = sides(quads)
    boxes = Boxes(quads, np.asarray(scores, np.float32)).where((widths > MIN_SIDE_PX) & (heights > MIN_SIDE_PX))
    if len(boxes) <= MAX_BOXES:
        return boxes
    return boxes.where(boxes.scores >= np.partition(boxes.scores, -MAX_BOXES)[-MAX_BOXES])
