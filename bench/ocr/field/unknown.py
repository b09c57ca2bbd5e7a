"""What the models do not know: foreign scripts, strokes of a pen, marks, flags and textures."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from bench.ocr import backgrounds, corpus, fonts
from bench.ocr.field.scripts import WORDS
from bench.ocr.kind import Dice
from bench.ocr.scene import Canvas, Colour, Scene

GROUNDS: tuple[Colour, ...] = ((255, 255, 255), (240, 236, 226), (226, 232, 238), (28, 44, 70))
NUMBERS = ("86", "69", "98", "9", "6", "1966", "0.99", "66.90", "8:06", "168", "906", "19.80", "08:00", "618")
MARKS = "★☆♥♡♪♫✓✔✗●○◆◇■□▲△▶※✿❤☀☎¥€"
RATINGS = "★★★★★|★★★★☆|☆☆☆☆☆|♥♥♥|♡ ♡ ♡|♪♫♪|✓ ✓ ✓|● ● ●|○○○○|◆◆◆|■■■■|▲▲▲|¥ ¥ ¥|￥￥￥|✿✿✿|※※※|❤❤❤❤"


def _ground(dice: Dice, size: tuple[int, int]) -> tuple[Canvas, Colour]:
    colour = dice.rng.choice(GROUNDS)
    plain = dice.rng.random() < 0.5
    pixels = backgrounds.plain(size, colour) if plain else backgrounds.lit(size, colour, dice.grain)
    return Canvas(pixels), (245, 245, 240) if sum(colour) < 380 else (20, 20, 24)


def script(name: str) -> Callable[[Dice], Scene]:
    """A sign with one line, a list with prices, or a page, in one script."""

    def build(dice: Dice) -> Scene:
        canvas, ink = _ground(dice, (900, 680))
        faces, size = fonts.FOREIGN[name], dice.between(24, 64)
        rows = dice.between(1, 600 // (2 * size))
        face = dice.face(faces)
        for row, text in enumerate(dice.rng.sample(WORDS[name].split("|"), rows)):
            y = 40 + row * int(size * 1.9)
            right = canvas.write(text, 40, y, face, size, ink, legible=False)
            if right < 640 and dice.rng.random() < 0.4:
                canvas.write(dice.rng.choice(NUMBERS), 720, y, dice.face(fonts.LATIN), min(size, 48), ink)
        return canvas.scene()

    return build


def strokes(dice: Dice) -> Scene:
    """Lines of a pen that look like handwriting, and numbers in print below."""
    canvas, ink = _ground(dice, (900, 480))
    pixels = canvas.scene().pixels
    for row in range(dice.between(1, 3)):
        count, x0, y0 = dice.between(18, 60), dice.between(20, 200), 70 + row * 100
        high = dice.rng.uniform(14, 34)
        x = x0 + np.cumsum(dice.grain.uniform(2, 14, count))
        curly = dice.rng.random() < 0.5
        wave = np.sin(np.arange(count) * dice.rng.uniform(0.8, 1.6)) if curly else dice.grain.uniform(-1, 1, count)
        points = np.stack([x + (6 * np.cos(np.arange(count) * 1.3) if curly else 0), y0 + high * wave], axis=1)
        cv2.polylines(pixels, [points.astype(np.int32)], False, ink, dice.between(2, 4), cv2.LINE_AA)
    canvas = Canvas(pixels)
    for column, text in enumerate(dice.rng.sample(NUMBERS, 3)):
        canvas.write(text, 60 + column * 260, 390, dice.face(fonts.LATIN), 44, ink)
    return canvas.scene()


def marks(dice: Dice) -> Scene:
    """A shop's rating in stars, hearts or yen signs, between its name and its reviews."""
    canvas, ink = _ground(dice, (720, 420))
    size = dice.between(22, 44)
    canvas.write(
        f"{corpus.phrase(dice.rng, corpus.SIMPLIFIED)} {dice.between(1, 4)}.{dice.between(1, 9)}分",
        40,
        40,
        dice.face(),
        34,
        ink,
    )
    if dice.rng.random() < 0.7:
        row = dice.rng.choice(RATINGS.split("|"))
    else:
        row = dice.rng.choice(MARKS) * dice.between(1, 5)
    colour = dice.rng.choice((ink, (230, 160, 30), (210, 40, 60)))
    canvas.write(row, 44, 160, dice.face(fonts.MARKS), size, colour, legible=False)
    canvas.write(f"评价 {dice.between(11, 999)}条", 40, 300, dice.face(), 34, ink)
    return canvas.scene()


def flags(dice: Dice) -> Scene:
    """A flag of stripes, stars, crosses or rings, waving or flat: nothing to read."""
    size = (1200, 900)
    picture = backgrounds.clouds(size, dice.grain, 25)
    left, top = dice.between(80, 400), dice.between(80, 300)
    wide, high = dice.between(400, 700), dice.between(260, 420)
    palette = [tuple(int(v) for v in dice.grain.integers(0, 256, 3)) for _ in range(4)]
    bands = dice.between(1, 13)
    for band in range(bands):
        cv2.rectangle(
            picture,
            (left, top + band * high // bands),
            (left + wide, top + (band + 1) * high // bands),
            palette[band % 2],
            -1,
        )
    sign = dice.between(0, 3)
    count = dice.between(1, 6)
    for place in range(count):
        x, y = left + 60 + place * min(90, wide // (count + 1)), top + 60 + dice.between(0, high - 120)
        _sign(picture, sign, (x, y), dice.between(12, 44), palette[2])
    if dice.rng.random() < 0.5:
        columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
        wave = (rows + 14 * np.sin(columns / dice.between(40, 90))).astype(np.float32)
        waving = cv2.remap(picture, columns, wave, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return Scene(waving.astype(np.uint8, copy=False))
    return Scene(picture)


def _sign(picture: backgrounds.Pixels, sign: int, at: tuple[int, int], reach: int, colour: tuple[int, ...]) -> None:
    x, y = at
    if sign == 0:
        turns = [math.pi * (0.2 * corner - 0.5) for corner in range(10)]
        points = [
            (
                x + reach * (1 if corner % 2 == 0 else 0.4) * math.cos(turn),
                y + reach * (1 if corner % 2 == 0 else 0.4) * math.sin(turn),
            )
            for corner, turn in enumerate(turns)
        ]
        cv2.fillPoly(picture, [np.array(points).astype(np.int32)], colour, cv2.LINE_AA)
    elif sign == 1:
        cv2.rectangle(picture, (x - reach, y - reach // 4), (x + reach, y + reach // 4), colour, -1)
        cv2.rectangle(picture, (x - reach // 4, y - reach), (x + reach // 4, y + reach), colour, -1)
    elif sign == 2:
        cv2.circle(picture, at, reach, colour, max(2, reach // 6), cv2.LINE_AA)
    else:
        cv2.circle(picture, at, reach, colour, -1, cv2.LINE_AA)
        cv2.circle(picture, (x + reach // 3, y), int(reach * 0.8), (255, 255, 255), -1, cv2.LINE_AA)


def textures(dice: Dice) -> Scene:
    """Grids, pickets, hatching, dots, waves and pebbles: regular as print, and no print."""
    size = (1200, 900)
    picture = backgrounds.lit(size, tuple(dice.between(90, 220) for _ in range(3)), dice.grain)  # type: ignore[arg-type]
    ink = tuple(dice.between(10, 80) for _ in range(3))
    pattern, step = dice.between(0, 4), dice.between(14, 60)
    thick = max(1, step // dice.between(4, 10))
    for y in range(step, size[1], step):
        for x in range(step, size[0], step):
            jitter = (x + dice.between(-2, 2), y + dice.between(-2, 2))
            if pattern == 0:
                cv2.rectangle(picture, jitter, (x + step // 2, y + step // 2), ink, thick)
            elif pattern == 1:
                cv2.line(picture, jitter, (x, y + int(step * 0.7)), ink, thick, cv2.LINE_AA)
            elif pattern == 2:
                cv2.line(picture, jitter, (x + step // 2, y + step // 2), ink, thick, cv2.LINE_AA)
            elif pattern == 3:
                cv2.circle(picture, jitter, step // 3, ink, thick, cv2.LINE_AA)
            else:
                axes = (dice.between(step // 5, step // 2), dice.between(step // 6, step // 3))
                cv2.ellipse(picture, jitter, axes, dice.between(0, 180), 0, 360, ink, thick, cv2.LINE_AA)
    return Scene(cv2.GaussianBlur(picture, (0, 0), 0.8).astype(np.uint8, copy=False))
