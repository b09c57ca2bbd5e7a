"""Stock Immich ML's OCR (2.7.5), rebuilt from its settings as a baseline: the same models, its way of using them.

What it does, and where it loses: the short side goes to 736 with Lanczos; boxes are sorted, but by indices of lines
that were counted in another order; crops go through Pillow; lines are recognised in sixes, padded to the widest of the
six and at least to 320 pixels; nothing is ever read upside down; texts under 0.8 are dropped.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess
from rapidocr_onnxruntime.ch_ppocr_rec.utils import CTCLabelDecode

from bench.ocr.evaluate import ReadLine

STRIDE, BATCH, HEIGHT, LEAST_WIDTH = 32, 6, 48, 320

Quads = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StockOptions:
    """Immich's default settings of OCR."""

    min_detection_score: float = 0.5
    min_recognition_score: float = 0.8
    max_resolution: int = 736


class StockImmich:
    """Reads photos as stock Immich does."""

    def __init__(self, detection: Path, recognition: Path, options: StockOptions) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        self._options = options
        self._detector, self._recogniser = (
            onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
            for path in (detection, recognition)
        )
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"].split("\n")
        self._decode = CTCLabelDecode(character=characters)
        self._boxes = DBPostProcess(
            thresh=0.3,
            box_thresh=options.min_detection_score,
            max_candidates=1000,
            unclip_ratio=1.6,
            use_dilation=True,
            score_mode="fast",
        )

    def read(self, jpeg: bytes) -> list[ReadLine]:
        """The lines of a photo, in the order that Immich stores them in."""
        photo = Image.open(io.BytesIO(jpeg)).convert("RGB")
        if min(photo.size) < STRIDE:
            return []
        (probabilities,) = self._detector.run(None, {"x": self._detection_input(photo)})
        found, _ = self._boxes(probabilities, (photo.height, photo.width))
        quads = _clipped(np.array(found, np.float32).reshape(-1, 4, 2), photo.size)
        if len(quads) == 0:
            return []
        quads = _sorted(quads)
        texts = self._recognise([_crop(photo, quad) for quad in quads])
        least = self._options.min_recognition_score
        return [ReadLine(text, quad) for quad, (text, score) in zip(quads, texts, strict=True) if score > least]

    def _detection_input(self, photo: Image.Image) -> NDArray[np.float32]:
        ratio = min(1.0, self._options.max_resolution / min(photo.size))
        columns, rows = (max(STRIDE, round(int(side * ratio) / STRIDE) * STRIDE) for side in photo.size)
        scaled = np.asarray(photo.resize((columns, rows), Image.Resampling.LANCZOS), np.float32)[:, :, ::-1]
        normalised = (scaled - np.float32(0.5)) / np.float32(127.5)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])

    def _recognise(self, crops: list[Pixels]) -> list[tuple[str, float]]:
        aspects = np.array([crop.shape[1] / crop.shape[0] for crop in crops])
        order = np.argsort(aspects)
        results: list[tuple[str, float]] = [("", 0.0)] * len(crops)
        for start in range(0, len(crops), BATCH):
            group = order[start : start + BATCH]
            width = int(HEIGHT * max(LEAST_WIDTH / HEIGHT, *aspects[group]))
            batch = np.stack([_recognition_input(crops[index], width) for index in group])
            (probabilities,) = self._recogniser.run(None, {"x": batch})
            for index, result in zip(group, self._decode(probabilities), strict=True):
                results[index] = result
        return results


def _clipped(quads: Quads, size: tuple[int, int]) -> Quads:
    quads = np.clip(quads, 0, np.array(size, np.float32) - 1)
    edges = np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=2)
    kept: Quads = quads[(edges.astype(int) > 3).all(axis=1)]
    return kept


def _sorted(quads: Quads) -> Quads:
    """Immich's own order, its mistake included: line numbers of the sorted boxes are looked up by unsorted indices."""
    by_y = np.argsort(quads[:, 0, 1], kind="stable")
    line = np.concatenate([[0], np.cumsum(np.abs(np.diff(quads[by_y, 0, 1])) >= 10)])
    final = np.argsort(line[by_y] * 1e6 + quads[by_y, 0, 0], kind="stable")
    result: Quads = quads[by_y[final]]
    return result


def _crop(photo: Image.Image, quad: Quads) -> Pixels:
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width, height = int(max(edges[0], edges[2])), int(max(edges[1], edges[3]))
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, quad.astype(np.float32))
    crop = photo.transform(
        (width, height), Image.Transform.PERSPECTIVE, matrix.ravel()[:8].tolist(), Image.Resampling.BICUBIC
    )
    if height / width >= 1.5:
        crop = crop.rotate(90, expand=True)
    return np.asarray(crop)[:, :, ::-1]


def _recognition_input(crop: Pixels, width: int) -> NDArray[np.float32]:
    columns = min(width, int(np.ceil(HEIGHT * crop.shape[1] / crop.shape[0])))
    scaled = cv2.resize(crop, (columns, HEIGHT)).astype(np.float32).transpose(2, 0, 1)
    padded = np.zeros((3, HEIGHT, width), np.float32)
    padded[:, :, :columns] = scaled / 127.5 - 1
    return padded
