"""What a class of pictures is, and the chance that makes each picture another one."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.ocr import fonts
from bench.ocr.fonts import Typeface
from bench.ocr.scene import Scene


@dataclass
class Dice:
    """The two sources of chance of one picture."""

    rng: random.Random
    grain: np.random.Generator

    def face(self, faces: Sequence[Typeface] = fonts.SIMPLIFIED) -> Typeface:
        """One typeface."""
        return self.rng.choice(list(faces))

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self.rng.randint(low, high)


@dataclass(frozen=True)
class Kind:
    """One class of the set.

    Attributes:
        name: as reports show it.
        count: pictures in the set.
        build: makes one.
        quality: JPEG quality it is stored with; Immich's previews have 80.
        target: character error rate that is asked for; None for pictures without text that can be read.
    """

    name: str
    count: int
    build: Callable[[Dice], Scene]
    quality: int = 85
    target: float | None = 0.003
