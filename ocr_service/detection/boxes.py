"""Boxes around lines of text, as the detector draws them."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

FAINT = 0.65
"""Least certainty of boxes around print, with few exceptions; those of textures have less."""

MAX_FAINT = 64
"""Fainter boxes of one photo that are read, the most certain ones: a texture may have a thousand."""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """The course of a line of text that is not straight.

    Attributes:
        course: shape (N, 2) float32: points along the middle of the text in pixels of the photo, from left to right, or
            from top to bottom where the text runs down the photo.
        height: of the text across its course, in pixels.
        runs_down: whether its box is taller than wide.
    """

    course: NDArray[np.float32]
    height: float
    runs_down: bool

    def moved(self, by: NDArray[np.float32]) -> "Bend":
        """The same course `by` (x, y) pixels farther on."""
        return replace(self, course=self.course + by)


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes around lines of text.

    Attributes:
        quads: shape (N, 4, 2) float32, pixels of the photo, clockwise from the corner that is top left in the photo.
        scores: shape (N,) float32, how certain each box is, 0 to 1.
        bends: courses of the lines that are not straight, by their index.
        missed: shape (M, 4) float32: left, top, right and bottom of places where something is surely text to the
            detector, but too little of it for a box.
    """

    quads: NDArray[np.float32]
    scores: NDArray[np.float32]
    bends: dict[int, Bend]
    missed: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 4), np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def where(self, keep: NDArray[np.bool_]) -> "Boxes":
        """The boxes that `keep`, of shape (N,), selects."""
        places = np.cumsum(keep) - 1
        bends = {int(places[index]): bend for index, bend in self.bends.items() if keep[index]}
        return Boxes(self.quads[keep], self.scores[keep], bends, self.missed)

    def with_few_faint(self) -> "Boxes":
        """The boxes without the faintest of those that are hardly print."""
        faint = self.scores[self.scores < FAINT]
        if len(faint) <= MAX_FAINT:
            return self
        return self.where(self.scores >= np.partition(faint, -MAX_FAINT)[-MAX_FAINT])

    def moved(self, by: NDArray[np.float32]) -> "Boxes":
        """The boxes `by` (x, y) pixels farther on."""
        bends = {index: bend.moved(by) for index, bend in self.bends.items()}
        return Boxes(self.quads + by, self.scores, bends, self.missed + np.tile(by, 2))

    def with_more(self, others: "Boxes") -> "Boxes":
        """These boxes, and then the others. What was missed in the first look alone counts."""
        bends = self.bends | {len(self) + index: bend for index, bend in others.bends.items()}
        quads, scores = np.concatenate([self.quads, others.quads]), np.concatenate([self.scores, others.scores])
        return Boxes(quads, scores, bends, self.missed)


NO_BOXES = Boxes(np.empty((0, 4, 2), np.float32), np.empty(0, np.float32), {})
