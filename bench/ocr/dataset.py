"""The set: about 220 rendered photos with their text, the same on every machine for the same seed."""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from bench.ocr import fonts
from bench.ocr.kind import Dice, Kind
from bench.ocr.kinds import KINDS
from bench.ocr.scene import LabelledLine, Pixels


@dataclass(frozen=True)
class Sample:
    """One photo of the set.

    Attributes:
        kind: its class.
        name: unique within the set.
        data: the encoded photo: JPEG, or PNG where it has transparency.
        lines: what it says, in reading order; outlines in pixels of the photo.
    """

    kind: Kind
    name: str
    data: bytes
    lines: list[LabelledLine]


def build(seed: int, kinds: tuple[Kind, ...] = KINDS, limit: int | None = None) -> Iterator[Sample]:
    """The set of a seed.

    Args:
        seed: 1 is the set that reports show; others validate that nothing was fitted to it.
        kinds: classes to render.
        limit: pictures per class at most; None for the set's own numbers.

    Raises:
        MissingFonts: a Debian package is not installed; says which.
    """
    fonts.require()
    for kind in kinds:
        for number in range(kind.count if limit is None else min(limit, kind.count)):
            chance = zlib.crc32(f"{seed}/{kind.name}/{number}".encode())
            scene = kind.build(Dice(random.Random(chance), np.random.default_rng(chance)))
            yield Sample(kind, f"{kind.name} {number + 1}", _encoded(scene.pixels, kind.quality), scene.lines)


def _encoded(pixels: Pixels, quality: int) -> bytes:
    if pixels.shape[2] == 4:
        return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    return cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
