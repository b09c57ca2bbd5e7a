"""What lies behind the text, and photos that have none: drawn, no files needed."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def plain(size: tuple[int, int], colour: tuple[int, int, int]) -> Pixels:
    """One colour; `size` is columns and rows, here as everywhere."""
    return np.full((size[1], size[0], 3), colour, np.uint8)


def lit(size: tuple[int, int], colour: tuple[int, int, int], rng: np.random.Generator) -> Pixels:
    """A surface under uneven light, with a little grain: paper, a wall, a table."""
    coarse = rng.uniform(0.88, 1.04, (3, 4)).astype(np.float32)
    light = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[..., None]
    grain = rng.normal(0, 2.0, (size[1], size[0], 1))
    return np.clip(np.array(colour, np.float32) * light + grain, 0, 255).astype(np.uint8)


def clouds(size: tuple[int, int], rng: np.random.Generator, contrast: float = 60.0) -> Pixels:
    """Soft colour blotches at several scales: out-of-focus foliage, sky, cloth."""
    picture = np.full((size[1], size[0], 3), rng.uniform(80, 170, 3), np.float32)
    for cells in (3, 7, 17, 41):
        layer = rng.normal(0, contrast * 3 / (cells + 3), (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(layer, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def shapes(size: tuple[int, int], rng: np.random.Generator, count: int = 40) -> Pixels:
    """Overlapping discs, bars and boxes, slightly out of focus: a street, a room."""
    picture = clouds(size, rng)
    reach = min(size)
    for _ in range(count):
        colour = tuple(int(value) for value in rng.integers(20, 235, 3))
        x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        extent = int(rng.integers(reach // 30, reach // 4))
        kind = int(rng.integers(0, 3))
        if kind == 0:
            cv2.circle(picture, (x, y), extent, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(picture, (x, y), (x + extent, y + int(extent * rng.uniform(0.3, 2))), colour, -1)
        else:
            end = (x + int(rng.integers(-extent, extent)) * 2, y + int(rng.integers(-extent, extent)) * 2)
            cv2.line(picture, (x, y), end, colour, int(rng.integers(2, 14)), cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.uint8, copy=False)


def bricks(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A brick wall."""
    picture = lit(size, (176, 168, 158), rng)
    height, width = 46, 110
    for row, top in enumerate(range(0, size[1], height)):
        for left in range(-(row % 2) * width // 2, size[0], width):
            tone = rng.uniform(0.8, 1.15)
            colour = tuple(int(value * tone) for value in (150, 78, 60))
            cv2.rectangle(picture, (left + 4, top + 4), (left + width - 4, top + height - 4), colour, -1)
    grainy = np.clip(picture + rng.normal(0, 6, (size[1], size[0], 1)), 0, 255)
    wall: Pixels = grainy.astype(np.uint8)
    return wall


def wood(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Planks with grain."""
    streaks = rng.normal(0, 14, (size[1], max(2, size[0] // 160), 1)).astype(np.float32)
    grain = cv2.GaussianBlur(cv2.resize(streaks, size, interpolation=cv2.INTER_CUBIC), (0, 0), 1.2)[..., None]
    planks = np.array((168, 128, 84), np.float32) + grain * np.array((1.0, 0.8, 0.6), np.float32)
    board: Pixels = np.clip(planks, 0, 255).astype(np.uint8)
    return board


def fence(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Pickets before a garden: strokes that a detector may take for letters."""
    picture = clouds(size, rng)
    step = int(rng.integers(28, 60))
    for x in range(0, size[0], step):
        cv2.rectangle(picture, (x, size[1] // 3), (x + step // 3, size[1] * 4 // 5), (225, 220, 210), -1)
    for y in (size[1] * 2 // 5, size[1] * 7 // 10):
        cv2.rectangle(picture, (0, y), (size[0], y + 14), (210, 205, 196), -1)
    return picture


def windows(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A facade with rows of windows."""
    picture = lit(size, (198, 186, 170), rng)
    step = int(rng.integers(70, 130))
    for y in range(step // 2, size[1] - step, step):
        for x in range(step // 2, size[0] - step, step):
            glass = tuple(int(value) for value in rng.integers(40, 130, 3))
            cv2.rectangle(picture, (x, y), (x + step // 2, y + step * 2 // 3), glass, -1)
            cv2.line(picture, (x + step // 4, y), (x + step // 4, y + step * 2 // 3), (230, 230, 230), 3)
    return picture


def faces(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A group of simple heads before a blurred ground."""
    picture = clouds(size, rng)
    for _ in range(5):
        radius = int(min(size) * rng.uniform(0.06, 0.14))
        x, y = (int(rng.integers(radius, side - radius)) for side in size)
        cv2.ellipse(picture, (x, y), (radius, int(radius * 1.3)), 0, 0, 360, (222, 184, 158), -1, cv2.LINE_AA)
        for side in (-1, 1):
            cv2.circle(picture, (x + side * radius // 2, y - radius // 4), max(2, radius // 8), (40, 30, 30), -1)
        cv2.ellipse(picture, (x, y + radius // 2), (radius // 2, radius // 5), 0, 0, 180, (150, 60, 60), 3, cv2.LINE_AA)
    return picture


def sea(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Sky over rippled water."""
    picture = clouds(size, rng, 20)
    horizon = int(size[1] * 0.45)
    picture[:horizon] = np.clip(picture[:horizon] * 0.4 + np.array((110, 140, 190), np.float32), 0, 255).astype(
        np.uint8
    )
    for _ in range(260):
        y = int(horizon + (size[1] - horizon) * rng.uniform(0, 1) ** 1.5)
        x, length = int(rng.integers(0, size[0])), int(20 + (y - horizon) * 0.2)
        cv2.line(picture, (x, y), (x + length, y), (170, 190, 205), 1 + (y - horizon) // 160, cv2.LINE_AA)
    return picture


TEXT_FREE = (clouds, shapes, bricks, wood, fence, windows, faces, sea)
