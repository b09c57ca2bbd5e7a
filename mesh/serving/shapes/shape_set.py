"""The fixed set of shapes: which sizes of pictures, and how many in a batch."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

Size = tuple[int, int]
"""Rows and columns, in pixels."""

BEYOND = 512
"""A picture that no size of a set holds is padded to multiples of this: few shapes more, whatever comes."""
RUN_PIXELS = 512 * 1024
"""A run of several holds at most so many, 32 lines of 320 x 48, or as many as the largest picture alone: each session
keeps what its runs work in, on a card for good."""
ROOM = 8
"""All shapes that are compiled beforehand hold at most so many times the pixels of one run."""
FILLED = " filled"


class Shape(NamedTuple):
    """Of one run: so many pictures of so many rows and columns, padded ones or such that fill it (`is_filled`)."""

    batch: int
    rows: int
    columns: int
    is_filled: bool = False

    @property
    def size(self) -> Size:
        """Of each picture."""
        return self.rows, self.columns

    @property
    def pixels(self) -> int:
        """Of all its pictures."""
        return self.batch * self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.batch}x{self.rows}x{self.columns}{FILLED if self.is_filled else ''}"

    @classmethod
    def of(cls, name: str) -> "Shape | None":
        """From its name; None where that is none."""
        found = re.fullmatch(rf"(\d+)x(\d+)x(\d+)({FILLED})?", name)
        return cls(int(found[1]), int(found[2]), int(found[3]), bool(found[4])) if found else None


@dataclass(frozen=True)
class ShapeSet:
    """What inputs are padded to.

    Attributes:
        sizes: of pictures, the most frequent first.
        batches: numbers of pictures in a run, rising; the first is 1.
    """

    sizes: tuple[Size, ...]
    batches: tuple[int, ...] = (1,)

    def __iter__(self) -> Iterator[Shape]:
        """All of them, what is needed first first: every size for a photo that is alone, then for several."""
        return (Shape(batch, *size) for batch in self.batches for size in self.sizes if batch in self.batches_of(size))

    def __contains__(self, shape: Shape) -> bool:
        return shape.size in self.sizes and shape.batch in self.batches_of(shape.size)

    def __len__(self) -> int:
        return sum(len(self.batches_of(size)) for size in self.sizes)

    @property
    def run_pixels(self) -> int:
        """Most pixels of a run of several pictures."""
        return max(RUN_PIXELS, self.largest[0] * self.largest[1])

    @property
    def room_pixels(self) -> int:
        """Most pixels of all shapes that are compiled beforehand."""
        return ROOM * self.run_pixels

    def batches_of(self, size: Size) -> tuple[int, ...]:
        """How many pictures of a size may share a run, rising; any of the batches where all have one size."""
        if len(self.sizes) == 1:
            return self.batches
        return tuple(batch for batch in self.batches if batch == 1 or Shape(batch, *size).pixels <= self.run_pixels)

    @property
    def largest(self) -> Size:
        """The size that holds most."""
        return max(self.sizes, key=lambda size: size[0] * size[1])

    def holding(self, size: Size, is_allowed: Callable[[Size], bool] = lambda size: True) -> Size | None:
        """The smallest allowed size that holds a picture of `size`; None where none does."""
        fits = (one for one in self.sizes if one[0] >= size[0] and one[1] >= size[1] and is_allowed(one))
        return min(fits, key=lambda one: (one[0] * one[1], one), default=None)

    def place_for(self, size: Size) -> Size:
        """The size that a picture is padded to, beyond the set where the set holds none."""
        return self.holding(size) or (_beyond(size[0], self._known(0)), _beyond(size[1], self._known(1)))

    def batch_for(self, count: int, size: Size, is_allowed: Callable[[int], bool] = lambda batch: True) -> int:
        """The batch for the next run of `count` pictures of a size, among those that are allowed; 1 where none is.

        The smallest that holds them all where at least half of it is pictures, else the largest that they fill.
        """
        allowed = [batch for batch in self.batches_of(size) if is_allowed(batch)]
        full = [batch for batch in allowed if batch <= count]
        return next((batch for batch in allowed if count <= batch <= 2 * count), full[-1] if full else 1)

    def _known(self, side: int) -> set[int]:
        return {size[side] for size in self.sizes}


def batches_up_to(most: int) -> tuple[int, ...]:
    """1, 4, 16 and so on, and the most."""
    return (*(4**power for power in range(8) if 4**power < most), max(1, most))


def _beyond(side: int, known: set[int]) -> int:
    """A side as it is where the set has it (a line's height), else in whole steps."""
    return side if side in known else math.ceil(side / BEYOND) * BEYOND
