"""How much of a line's ink was not read: a model passes over letters that it does not know, and gives what is left."""

from collections.abc import Sequence

import cv2
import numpy as np

from mesh.serving.images import Pixels

NEAR = 0.6
"""Ink within this many line heights of a character's middle belongs to it."""

CONTRAST = 0.3
"""What differs from a column's ground by this part of the line's strongest contrast is ink."""

TALL = 0.25
"""Ink of a letter spreads over this part of the line's height or more; rules, dots and dashes are no letters."""


def unread_share(line: Pixels, places: Sequence[float]) -> float:
    """Part of a line's inked columns that no character was read from, 0 to 1.

    Args:
        line: shape (rows, columns, 3), uint8, as it was read.
        places: of its characters, as parts of its width.
    """
    rows, columns = line.shape[:2]
    grey = cv2.cvtColor(np.ascontiguousarray(line), cv2.COLOR_BGR2GRAY).astype(np.float32)
    apart = np.abs(grey - np.median(grey, axis=0))
    ink = apart > CONTRAST * max(1.0, float(apart.max()))
    first, last = ink.argmax(axis=0), rows - 1 - ink[::-1].argmax(axis=0)
    inked = ink.any(axis=0) & (last - first >= TALL * rows)
    if not inked.any():
        return 0.0
    middles = np.asarray(places, np.float32) * columns
    away = np.abs(np.nonzero(inked)[0][:, None] - middles[None]).min(axis=1, initial=np.inf)
    return float((away > NEAR * rows).mean())
