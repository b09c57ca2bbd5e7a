"""The order in which a person reads lines of text, found in the frame of the text itself.

A photo may be rotated by any angle, so "top to bottom, left to right" is taken along the direction that most of the
text runs in, not along the photo's edges. Columns of vertical Chinese come out right to left the same way: turned so
that a column runs from left to right, the rightmost column is the top line.
"""

import numpy as np
from numpy.typing import NDArray

SAME_ROW = 0.5
"""Two lines share a row when their middles are apart by less than this part of the lower one's height."""


def reading_order(quads: NDArray[np.float32]) -> list[int]:
    """Indices of the lines in reading order.

    Args:
        quads: shape (N, 4, 2), clockwise from each text's own top left.
    """
    if len(quads) < 2:
        return list(range(len(quads)))
    upright = _turned_upright(quads)
    centres = upright.mean(axis=1)
    slopes = _slopes(upright)
    heights = (
        np.linalg.norm(upright[:, 3] - upright[:, 0], axis=1) + np.linalg.norm(upright[:, 2] - upright[:, 1], axis=1)
    ) / 2
    rows: list[list[int]] = []
    for index in np.argsort(centres[:, 1], kind="stable").tolist():
        row = next((row for row in reversed(rows[-3:]) if _continues(row, index, centres, slopes, heights)), None)
        if row is None:
            rows.append([index])
        else:
            row.append(index)
    rows.sort(key=lambda row: float(np.mean([centres[index, 1] for index in row])))
    return [index for row in rows for index in sorted(row, key=lambda index: float(centres[index, 0]))]


def _turned_upright(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    """The quads, turned about the origin so that most of the text runs from left to right."""
    runs = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) / 2
    quarter = np.round(np.degrees(np.arctan2(runs[:, 1], runs[:, 0])) / 90).astype(int) % 4
    lengths = np.linalg.norm(runs, axis=1)
    main = int(np.bincount(quarter, weights=lengths, minlength=4).argmax())
    x, y = runs[quarter == main].sum(axis=0)
    angle = np.arctan2(y, x)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn: NDArray[np.float32] = np.array([[cosine, -sine], [sine, cosine]], np.float32)
    return quads @ turn


def _slopes(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rise over run of each line; 0 for lines that run steeply, across the main direction."""
    runs = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) / 2
    flat = np.abs(runs[:, 1]) < np.abs(runs[:, 0])
    return np.divide(runs[:, 1], runs[:, 0], out=np.zeros(len(runs), np.float32), where=flat)


def _continues(
    row: list[int],
    index: int,
    centres: NDArray[np.float32],
    slopes: NDArray[np.float32],
    heights: NDArray[np.float32],
) -> bool:
    """Whether a line stands in a row: level with that row's nearest line, along the slope that both have."""
    nearest = min(row, key=lambda other: abs(float(centres[other, 0] - centres[index, 0])))
    across, down = centres[index] - centres[nearest]
    level = across * (slopes[index] + slopes[nearest]) / 2
    return bool(abs(down - level) < SAME_ROW * min(heights[index], heights[nearest]))
