"""The kinds of picture in the set: one function each, from a seed to a labelled scene. Those of `field` come last."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from bench.ocr import backgrounds, corpus, fonts
from bench.ocr.field import FIELD
from bench.ocr.fonts import Typeface
from bench.ocr.kind import Dice, Kind
from bench.ocr.scene import Canvas, Colour, Scene, add_noise, bend, motion_blur, rotate, text_width, warp

PORTRAIT, LANDSCAPE = (1440, 1920), (1920, 1440)
INK: Colour = (28, 28, 32)


def _face_for(text: str, dice: Dice) -> Typeface:
    return dice.face(fonts.LATIN if text.isascii() else fonts.SIMPLIFIED)


def _stack(
    canvas: Canvas,
    dice: Dice,
    texts: Sequence[str],
    area: tuple[int, int, int, int],
    ink: Colour,
    sizes: tuple[int, int],
) -> None:
    """Writes lines one below the other into an area (left, top, right, bottom), each at a size that fits."""
    left, top, right, bottom = area
    step = (bottom - top) // len(texts)
    for row, text in enumerate(texts):
        face = _face_for(text, dice)
        size = min(dice.between(*sizes), int(step * 0.6))
        while text_width(text, face, size) > right - left and size > 12:
            size -= 1
        slack = right - left - text_width(text, face, size)
        canvas.write(text, left + dice.between(0, max(0, slack // 3)), top + row * step, face, size, ink)


def clean(dice: Dice) -> Scene:
    """A well-lit sign or sheet."""
    canvas = Canvas(backgrounds.lit(PORTRAIT, (240, 238, 232), dice.grain))
    texts = [corpus.any_line(dice.rng) for _ in range(dice.between(6, 10))]
    _stack(canvas, dice, texts, (120, 160, 1320, 1800), INK, (30, 76))
    return canvas.scene()


def receipt(dice: Dice) -> Scene:
    """A till receipt, small in the picture, its text 12 to 18 pixels."""
    size = dice.between(12, 18)
    face = dice.face(fonts.RECEIPT)
    canvas = Canvas(backgrounds.wood(PORTRAIT, dice.grain))
    left, y = dice.between(200, 700), dice.between(150, 500)
    right = left + size * 24
    rows = dice.between(14, 20)
    canvas.rectangle(left - 24, y - 30, right + 24, y + int((rows + 8) * size * 1.9), (246, 246, 242))

    def line(name: str, value: str = "") -> None:
        nonlocal y
        canvas.write(name, left, y, face, size, INK)
        if value:
            canvas.write(value, right - text_width(value, face, size), y, face, size, INK)
        y += int(size * 1.9)

    line("永兴超市购物小票")
    line("单号 " + str(dice.between(10**9, 10**10 - 1)), corpus.number(dice.rng))
    for goods in dice.rng.sample(corpus.GOODS, rows):
        line(f"{goods} x{dice.between(1, 9)}", f"{dice.between(1, 99)}.{dice.between(0, 99):02d}")
    line("合计金额", f"{dice.between(100, 999)}.{dice.between(0, 99):02d}")
    line("谢谢惠顾欢迎再来")
    return canvas.scene()


def low_contrast(dice: Dice) -> Scene:
    """Ink barely darker or lighter than its ground."""
    tone = dice.between(110, 190)
    canvas = Canvas(backgrounds.lit(LANDSCAPE, (tone, tone, tone - 6), dice.grain))
    step = dice.rng.choice((-1, 1)) * dice.between(18, 32)
    texts = [corpus.any_line(dice.rng) for _ in range(6)]
    _stack(canvas, dice, texts, (160, 160, 1760, 1320), (tone + step, tone + step, tone + step), (48, 80))
    return canvas.scene()


def perspective(dice: Dice) -> Scene:
    """A board seen from the side, up to 25 degrees."""
    canvas = Canvas(backgrounds.lit(LANDSCAPE, (232, 228, 214), dice.grain))
    texts = [corpus.any_line(dice.rng) for _ in range(7)]
    _stack(canvas, dice, texts, (260, 220, 1660, 1240), INK, (36, 72))
    yaw, pitch, roll = (math.radians(dice.rng.uniform(-25, 25) * part) for part in (1, 0.6, 0.5))
    return warp(canvas.scene(), _camera(LANDSCAPE, yaw, pitch, roll), LANDSCAPE)


def _camera(size: tuple[int, int], yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Homography of a flat picture turned by three angles (radians) before a camera 1.6 widths away."""
    columns, rows = size
    distance = 1.6 * columns
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    turn = (
        np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    )
    centre = np.array([[1, 0, -columns / 2], [0, 1, -rows / 2], [0, 0, 1]])
    plane = np.column_stack([turn[:, 0], turn[:, 1], np.array([0, 0, distance])])
    lens = np.array([[distance * 0.92, 0, columns / 2], [0, distance * 0.92, rows / 2], [0, 0, 1]])
    matrix: np.ndarray = lens @ plane @ centre
    return matrix


def curved(dice: Dice) -> Scene:
    """Text on a bottle or a flag."""
    canvas = Canvas(backgrounds.lit(LANDSCAPE, (222, 230, 236), dice.grain))
    texts = [corpus.any_line(dice.rng) for _ in range(5)]
    _stack(canvas, dice, texts, (260, 260, 1660, 1260), INK, (48, 80))
    return bend(canvas.scene(), dice.rng.choice((-1, 1)) * dice.rng.uniform(40, 90), dice.rng.uniform(1600, 2600))


def blurred(dice: Dice) -> Scene:
    """A shaken hand."""
    canvas = Canvas(backgrounds.lit(LANDSCAPE, (236, 234, 228), dice.grain))
    _stack(canvas, dice, [corpus.any_line(dice.rng) for _ in range(6)], (160, 160, 1760, 1320), INK, (54, 84))
    return motion_blur(canvas.scene(), dice.between(13, 22), dice.rng.uniform(0, 180))


def noisy(dice: Dice) -> Scene:
    """A dark room: noise, then strong compression."""
    canvas = Canvas(backgrounds.lit(LANDSCAPE, (170, 164, 150), dice.grain))
    _stack(canvas, dice, [corpus.any_line(dice.rng) for _ in range(6)], (160, 160, 1760, 1320), INK, (44, 72))
    return add_noise(canvas.scene(), dice.grain, dice.rng.uniform(40, 65))


def dark_sign(dice: Dice) -> Scene:
    """Light letters on a dark sign."""
    ground = dice.rng.choice(((20, 40, 90), (20, 70, 40), (110, 20, 24), (24, 24, 28)))
    ink = dice.rng.choice(((250, 250, 245), (255, 226, 90), (180, 255, 220)))
    canvas = Canvas(backgrounds.lit(LANDSCAPE, ground, dice.grain))
    _stack(canvas, dice, [corpus.any_line(dice.rng) for _ in range(6)], (160, 160, 1760, 1320), ink, (40, 96))
    return canvas.scene()


def vertical(dice: Dice) -> Scene:
    """Columns of Chinese, right to left."""
    canvas = Canvas(backgrounds.lit(PORTRAIT, (238, 228, 206), dice.grain))
    size, columns = dice.between(36, 72), dice.between(4, 7)
    for column in range(columns):
        text = corpus.phrase(dice.rng, corpus.SIMPLIFIED + corpus.TRADITIONAL)
        canvas.write_column(text, 1240 - column * 180, 180, dice.face(fonts.TRADITIONAL), size, INK)
    return canvas.scene()


def _turned(quarters: int) -> Callable[[Dice], Scene]:
    def build(dice: Dice) -> Scene:
        return rotate(clean(dice), quarters)

    return build


def busy(dice: Dice) -> Scene:
    """Letters right on a cluttered ground."""
    canvas = Canvas(
        dice.rng.choice((backgrounds.shapes, backgrounds.clouds, backgrounds.bricks))(LANDSCAPE, dice.grain)
    )
    y = 150
    for _ in range(5):
        text = corpus.any_line(dice.rng)
        face, size = _face_for(text, dice), dice.between(52, 88)
        x = dice.between(120, max(121, 1800 - text_width(text, face, size)))
        ink, shadow = dice.rng.choice(
            (((252, 252, 250), (10, 10, 10)), ((255, 240, 60), None), ((250, 250, 250), None))
        )
        canvas.write(text, x, y, face, size, ink, shadow)
        y += 250
    return canvas.scene()


def mixed(dice: Dice) -> Scene:
    """Chinese and English in one line."""
    canvas = Canvas(backgrounds.lit(LANDSCAPE, (240, 240, 236), dice.grain))
    for row in range(7):
        text, size = corpus.mixed(dice.rng), dice.between(44, 60)
        canvas.write(text, 140, 140 + row * 170, dice.face(), size, INK)
    return canvas.scene()


def _of(source: tuple[str, ...], faces: Sequence[Typeface]) -> Callable[[Dice], Scene]:
    def build(dice: Dice) -> Scene:
        canvas = Canvas(backgrounds.lit(LANDSCAPE, (242, 240, 234), dice.grain))
        for row, text in enumerate(dice.rng.sample(source, 7)):
            x, size = 140 + dice.between(0, 200), dice.between(48, 76)
            canvas.write(text, x, 140 + row * 170, dice.face(faces), size, INK)
        return canvas.scene()

    return build


def dense(dice: Dice) -> Scene:
    """A printed page of sixty lines."""
    canvas = Canvas(backgrounds.lit(PORTRAIT, (250, 249, 244), dice.grain))
    chinese = dice.rng.random() < 0.5
    face = dice.face(fonts.SIMPLIFIED if chinese else fonts.LATIN)
    size = 21 if chinese else 19
    for row in range(60):
        canvas.write(corpus.page_line(dice.rng, chinese), 110, 90 + row * 29, face, size, INK)
    return canvas.scene()


def panorama(dice: Dice) -> Scene:
    """6000x1200, with signs here and there."""
    size = (6000, 1200)
    canvas = Canvas(backgrounds.clouds(size, dice.grain, 25))
    for column in range(6):
        text, y, letters = corpus.any_line(dice.rng), dice.between(200, 900), dice.between(36, 60)
        face = _face_for(text, dice)
        x, width = 150 + column * 970, text_width(text, face, letters)
        canvas.rectangle(x - 24, y - 24, x + width + 24, y + letters + 30, (245, 245, 240))
        canvas.write(text, x, y, face, letters, INK)
    return canvas.scene()


def small(dice: Dice) -> Scene:
    """A thumbnail or an old phone's picture."""
    size = dice.rng.choice(((400, 300), (320, 240), (480, 360), (300, 400)))
    canvas = Canvas(backgrounds.lit(size, (238, 238, 232), dice.grain))
    texts = [corpus.any_line(dice.rng) for _ in range(4)]
    _stack(canvas, dice, texts, (20, 24, size[0] - 16, size[1] - 20), INK, (14, 26))
    return canvas.scene()


def screenshot(dice: Dice) -> Scene:
    """A settings page of a phone."""
    size = (1080, 1920)
    canvas = Canvas(backgrounds.plain(size, (250, 250, 252)))
    canvas.rectangle(0, 0, size[0], 150, (52, 120, 246))
    canvas.write(
        dice.rng.choice(("系统设置", "消息通知", "我的订单", "账户安全")), 60, 64, fonts.BOLD[0], 48, (255, 255, 255)
    )
    y = 220
    for _ in range(9):
        canvas.write(corpus.any_line(dice.rng)[:24].strip(), 60, y, fonts.SIMPLIFIED[0], 40, (30, 30, 34))
        canvas.write(corpus.phrase(dice.rng, corpus.SIMPLIFIED), 60, y + 66, fonts.SIMPLIFIED[0], 28, (140, 140, 146))
        canvas.rectangle(60, y + 130, size[0], y + 131, (224, 224, 228))
        y += 180
    return canvas.scene()


def no_text(dice: Dice) -> Scene:
    """A photo without a letter."""
    ground = backgrounds.TEXT_FREE[dice.between(0, len(backgrounds.TEXT_FREE) - 1)]
    return Scene(cv2.GaussianBlur(ground(LANDSCAPE, dice.grain), (0, 0), 0.8).astype(np.uint8, copy=False))


KINDS = (
    Kind("clean", 6, clean),
    Kind("receipt", 6, receipt),
    Kind("low contrast", 6, low_contrast, target=0.04),
    Kind("perspective", 6, perspective),
    Kind("curved", 6, curved, target=0.04),
    Kind("motion blur", 6, blurred, target=0.02),
    Kind("noise", 6, noisy, quality=40, target=0.04),
    Kind("dark sign", 6, dark_sign),
    Kind("vertical", 6, vertical, target=0.01),
    Kind("rotated 90", 4, _turned(3), target=0.01),
    Kind("rotated 180", 4, _turned(2), target=0.01),
    Kind("rotated 270", 4, _turned(1), target=0.01),
    Kind("busy", 6, busy, target=0.02),
    Kind("mixed", 6, mixed),
    Kind("traditional", 6, _of(corpus.TRADITIONAL, fonts.TRADITIONAL)),
    Kind("kana", 6, _of(corpus.JAPANESE, fonts.JAPANESE)),
    Kind("dense", 4, dense),
    Kind("panorama", 6, panorama, target=0.01),
    Kind("small", 6, small),
    Kind("screenshot", 6, screenshot),
    Kind("no text", 8, no_text, target=None),
    *FIELD,
)
