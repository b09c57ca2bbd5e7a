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
        return (Shape(batch, *size) for batch in self.batches for size in self.sizes)

    def __contains__(self, shape: Shape) -> bool:
        return shape.batch in self.batches and shape.size in self.sizes

    def __len__(self) -> int:
        return len(self.sizes) * len(self.batches)

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

    def batch_for(self, count: int, is_allowed: Callable[[int], bool] = lambda batch: True) -> int | None:
        """The smallest allowed batch of at least `count`, else the largest allowed one; None where none is allowed."""
        allowed = [batch for batch in self.batches if is_allowed(batch)]
        return next((batch for batch in allowed if batch >= count), allowed[-1] if allowed else None)

    def _known(self, side: int) -> set[int]:
        return {size[side] for size in self.sizes}


def batches_up_to(most: int) -> tuple[int, ...]:
    """1, 4, 16 and so on, and the most."""
    return (*(4**power for power in range(8) if 4**power < most), max(1, most))


def _beyond(side: int, known: set[int]) -> int:
    """A side as it is where the set has it (a line's height), else in whole steps."""
    return side if side in known else math.ceil(side / BEYOND) * BEYOND
