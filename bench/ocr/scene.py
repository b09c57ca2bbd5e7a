"""A picture with text whose place and content are known, and what a camera does to both."""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.ocr.fonts import Typeface

Pixels = NDArray[np.uint8]
Polygon = NDArray[np.float32]
Colour = tuple[int, int, int]

EDGE_POINTS = 12
"""Points along the upper and the lower edge of a line's outline: enough to follow a curve."""


@dataclass(frozen=True)
class LabelledLine:
    """One line of text.

    Attributes:
        text: what it says.
        outline: polygon around its em box, shape (2 * EDGE_POINTS, 2), clockwise from the text's own top left, in
            pixels.
        legible: whether the default model knows its script; what is read there is wrong unless it says the same.
    """

    text: str
    outline: Polygon
    legible: bool = True


@dataclass(frozen=True)
class Scene:
    """A picture and its lines in reading order. Immutable: effects give a new one.

    Attributes:
        pixels: shape (rows, columns, 3), uint8, RGB; or 4, with transparency.
        lines: in the order in which a person reads them.
    """

    pixels: Pixels
    lines: list[LabelledLine] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.pixels.shape[1], self.pixels.shape[0]


class Canvas:
    """A picture that text is written on."""

    def __init__(self, pixels: Pixels) -> None:
        self._image = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self._image)
        self._lines: list[LabelledLine] = []

    def write(
        self,
        text: str,
        x: int,
        y: int,
        face: Typeface,
        size: int,
        fill: Colour,
        shadow: Colour | None = None,
        *,
        legible: bool = True,
    ) -> int:
        """Writes a line with its ink's top left at (x, y).

        Returns:
            Its ink's right edge in pixels.
        """
        font = face.at(size)
        left, top, right, bottom = font.getbbox(text)
        if shadow is not None:
            self._draw.text((x - left + 2, y - top + 2), text, font=font, fill=shadow)
        self._draw.text((x - left, y - top), text, font=font, fill=fill)
        width = int(right - left)
        # As annotators draw it: the line's em box, so that "nose" and "dog" are equally high, and all of its ink.
        baseline = y - top + font.getmetrics()[0]
        above, below = min(y, baseline - 0.86 * size), max(y + bottom - top, baseline + 0.14 * size)
        self._lines.append(LabelledLine(text, _outline(x, above, x + width, below), legible))
        return x + width

    def write_column(self, text: str, x: int, y: int, face: Typeface, size: int, fill: Colour) -> int:
        """Writes characters upright one below the other, centred at x from y on. Returns the lower edge in pixels."""
        font = face.at(size)
        step = round(size * 1.12)
        for row, character in enumerate(text):
            self._draw.text((x, y + row * step + step // 2), character, font=font, fill=fill, anchor="mm")
        bottom = y + len(text) * step
        self._lines.append(LabelledLine(text, _outline(x - size // 2, y, x + size // 2, bottom)))
        return bottom

    def rectangle(self, left: int, top: int, right: int, bottom: int, fill: Colour) -> None:
        """Fills a rectangle."""
        self._draw.rectangle((left, top, right, bottom), fill=fill)

    def scene(self) -> Scene:
        """The picture as it is now."""
        return Scene(np.asarray(self._image).copy(), list(self._lines))


def text_width(text: str, face: Typeface, size: int) -> int:
    """Width of a line's ink in pixels."""
    left, _, right, _ = face.at(size).getbbox(text)
    return int(right - left)


def _outline(left: float, top: float, right: float, bottom: float) -> Polygon:
    across = np.linspace(left, right, EDGE_POINTS)
    upper = np.stack([across, np.full(EDGE_POINTS, top)], axis=1)
    lower = np.stack([across[::-1], np.full(EDGE_POINTS, bottom)], axis=1)
    return np.concatenate([upper, lower]).astype(np.float32)


def warp(scene: Scene, matrix: NDArray[np.float64], size: tuple[int, int]) -> Scene:
    """The scene through a homography, on a canvas of `size` (columns, rows)."""
    pixels = cv2.warpPerspective(
        scene.pixels, matrix, size, flags=cv2.INTER_AREA | cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    lines = [
        replace(line, outline=cv2.perspectiveTransform(line.outline[None], matrix)[0].astype(np.float32))
        for line in scene.lines
    ]
    return Scene(pixels.astype(np.uint8, copy=False), lines)


def rotate(scene: Scene, quarters: int) -> Scene:
    """The scene turned by quarter turns, counter-clockwise."""
    columns, rows = scene.size
    pixels = np.ascontiguousarray(np.rot90(scene.pixels, quarters))

    def turn(points: Polygon) -> Polygon:
        x, y = points[:, 0], points[:, 1]
        turned = {0: (x, y), 1: (y, columns - x), 2: (columns - x, rows - y), 3: (rows - y, x)}[quarters % 4]
        return np.stack(turned, axis=1).astype(np.float32)

    return Scene(pixels, [replace(line, outline=turn(line.outline)) for line in scene.lines])


def bend(scene: Scene, rise: float, wavelength: float) -> Scene:
    """The scene bent up and down along a cosine: `rise` pixels high, one period per `wavelength` pixels."""
    columns, rows = scene.size
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    middle = columns / 2

    def lift(at: NDArray[np.float32]) -> NDArray[np.float32]:
        lifted: NDArray[np.float32] = (rise * np.cos(2 * np.pi * (at - middle) / wavelength)).astype(np.float32)
        return lifted

    bent = (y - lift(x)).astype(np.float32)
    pixels = cv2.remap(scene.pixels, x, bent, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    lines = [
        replace(line, outline=np.stack([line.outline[:, 0], line.outline[:, 1] + lift(line.outline[:, 0])], axis=1))
        for line in scene.lines
    ]
    return Scene(pixels.astype(np.uint8, copy=False), lines)


def motion_blur(scene: Scene, length: int, degrees: float) -> Scene:
    """The scene as a moving camera sees it: smeared over `length` pixels."""
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), degrees, 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length)).astype(np.float32)
    return replace(scene, pixels=cv2.filter2D(scene.pixels, -1, kernel / kernel.sum()).astype(np.uint8, copy=False))


def add_noise(scene: Scene, rng: np.random.Generator, sigma: float) -> Scene:
    """The scene with sensor noise of standard deviation `sigma`, in grey levels."""
    noise = rng.normal(0, sigma, scene.pixels.shape)
    return replace(scene, pixels=np.clip(scene.pixels + noise, 0, 255).astype(np.uint8))
