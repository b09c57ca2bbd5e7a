"""The photos that benchmarks send: like Immich's previews, with as many faces and lines of text as the targets name."""

import io
import itertools
from collections.abc import Iterator

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

WIDTH, HEIGHT = 1920, 1440
FACES = {"magenta": (255, 0, 255), "cyan": (0, 255, 255)}
"""Coloured squares that the benchmark's detector reports as faces, see `tests/builders/faces.py`."""
FACE_SIDE = 220
LINES = 10
WORDS = (
    "meadow",
    "harbour",
    "invoice",
    "winter",
    "station",
    "lantern",
    "orchard",
    "signal",
    "garden",
    "bridge",
    "silver",
)


def preview(seed: int) -> bytes:
    """One photo as Immich sends it: a baseline JPEG of 1440 pixels on the short edge, about 150 KB."""
    rng = np.random.default_rng(seed)
    image = PIL.Image.fromarray(_background(rng))
    draw = PIL.ImageDraw.Draw(image)
    for index, colour in enumerate(FACES.values()):
        x, y = 1380, 160 + index * 600 + int(rng.integers(0, 200))
        draw.rectangle((x, y, x + FACE_SIDE, y + FACE_SIDE), fill=colour)
    font = PIL.ImageFont.load_default(46)
    draw.rectangle((80, 80, 1240, 1360), fill=(245, 245, 240))
    for line in range(LINES):
        words = " ".join(rng.choice(WORDS, int(rng.integers(3, 6))))
        draw.text((120, 130 + line * 120), f"{words} {rng.integers(100, 9999)}", fill=(20, 20, 30), font=font)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def stream(count: int = 16) -> Iterator[bytes]:
    """Photos without end, no two alike to the byte: `count` different ones, each time with another comment inside.

    The router answers equal requests that are in flight together with one call; a benchmark must not profit from that.
    """
    photos = [preview(seed) for seed in range(count)]
    for number in itertools.count():
        photo = photos[number % count]
        comment = number.to_bytes(8, "big")
        yield photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + photo[2:]


def queries() -> Iterator[str]:
    """Search queries without end, no two alike."""
    for number in itertools.count():
        yield f"{WORDS[number % len(WORDS)]} 海边的日落 {number}"


def _background(rng: np.random.Generator) -> np.ndarray:
    """Soft muted shapes, unlike the markers, and the grain of a camera."""
    coarse = rng.integers(60, 180, (9, 12, 1)) + rng.integers(0, 25, (9, 12, 3))
    shapes = PIL.Image.fromarray(coarse.astype(np.uint8))
    smooth = np.asarray(shapes.resize((WIDTH, HEIGHT), PIL.Image.Resampling.BICUBIC), np.float32)
    grain = rng.normal(0, 1.2, (HEIGHT, WIDTH, 1)).astype(np.float32)
    return np.asarray(np.clip(smooth + grain, 0, 255), np.uint8)
