"""`python -m bench.ocr.parts`: from the detector's map to boxes, ours against RapidOCR's, on maps of upright lines."""

import sys
import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess

from bench import report
from ocr_service.detection.regions import UNCLIP_RATIO, to_boxes

MAP = (736, 992)
PHOTO = (1440, 1920)
MIN_SCORE = 0.5
ROUNDS = 25

COLUMNS = {"step": "CPU time", "mesh_ms": "mesh ms", "rapid_ms": "RapidOCR ms", "ratio": "RapidOCR / mesh"}


def text_map(lines: int) -> NDArray[np.float32]:
    """A probability map of that many lines of text, in two columns."""
    probabilities = np.full(MAP, 0.02, np.float32)
    per_column = (lines + 1) // 2
    pitch = (MAP[0] - 20) // per_column
    for line in range(lines):
        left, top = 20 + (line % 2) * MAP[1] // 2, 10 + (line // 2) * pitch
        right = left + 200 + 37 * line % 240
        cv2.rectangle(probabilities, (left, top), (right, top + max(3, pitch // 2)), 0.93, cv2.FILLED)
    return probabilities


def main() -> int:
    """The command. Returns its exit code."""
    cv2.setNumThreads(1)
    rapid = DBPostProcess(
        thresh=0.3, box_thresh=MIN_SCORE, max_candidates=1000, unclip_ratio=UNCLIP_RATIO, use_dilation=True
    )
    machine, rows = report.machine(), []
    for lines in (10, 100):
        probabilities = text_map(lines)
        batch = probabilities[np.newaxis, np.newaxis]
        if (ours := len(to_boxes(probabilities, PHOTO, MIN_SCORE))) != (theirs := len(rapid(batch, PHOTO)[0])):
            raise RuntimeError(f"{ours} boxes of ours, {theirs} of RapidOCR's: they do not do the same work")
        pairs = [
            (_cpu_ms(lambda m: to_boxes(m, PHOTO, MIN_SCORE), probabilities), _cpu_ms(lambda m: rapid(m, PHOTO), batch))
            for _ in range(ROUNDS)
        ]
        rows.append(
            {
                "step": f"boxes of {lines} lines",
                "mesh_ms": median(mine for mine, _ in pairs),
                "rapid_ms": median(theirs for _, theirs in pairs),
                "ratio": median(theirs / mine for mine, theirs in pairs),
            }
        )
    print(report.table(rows, COLUMNS))
    report.save("ocr-parts", {"machine": machine, "steps": rows})
    return 0


def _cpu_ms(work: Callable[[NDArray[np.float32]], object], probabilities: NDArray[np.float32]) -> float:
    started = time.process_time()
    work(probabilities)
    return 1000 * (time.process_time() - started)


if __name__ == "__main__":
    sys.exit(main())
