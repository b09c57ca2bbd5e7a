"""Papers and screens as they are: worn slips, banners beside receipts, open books, small print, lone words."""

import cv2
import numpy as np

from bench.ocr import backgrounds, corpus, fonts
from bench.ocr.kind import Dice
from bench.ocr.scene import Canvas, Scene, rotate, text_width

INK = (28, 28, 32)
SHORT = ("19", "16", "80", "86", "69", "61", "IN", "7", "5", "A1", "3F", "No", "kg", "1.00", "0609", "1961", "25", "42")


def _price(dice: Dice) -> str:
    whole, part = dice.rng.choice((0, 1, 6, 8, 9, dice.between(1, 199))), dice.rng.choice((0, 6, 8, 9, 10, 50, 80, 99))
    return f"{whole}.{part:02d}"


def worn_slip(dice: Dice) -> Scene:
    """A thermal slip, its prices worn: pale, smeared, grainy."""
    size = (520, 760)
    canvas = Canvas(backgrounds.plain(size, (236, 236, 236)))
    step, face, letters = 48, dice.face(fonts.RECEIPT), dice.between(22, 28)
    pale = dice.between(130, 180)
    goods = dice.rng.choices((*corpus.GOODS[:30], "Bread", "Milk", "Eggs", "Coffee"), k=14)
    prices = []
    for row, name in enumerate(goods):
        canvas.write(name, 30, 34 + row * step, face, letters, INK)
        price, number = _price(dice), dice.face(fonts.LATIN)
        x, y = 480 - text_width(price, number, letters - 2), 36 + row * step
        canvas.write(price, x, y, number, letters - 2, (pale, pale, pale))
        prices.append((x, y))
    scene = canvas.scene()
    pixels = scene.pixels.astype(np.float32)
    blur, shift = dice.rng.uniform(0.6, 1.4), dice.between(1, 2)
    for x, y in prices:
        part = pixels[y - 6 : y + letters + 6, x - 8 : 500]
        ghost = np.roll(part, shift, axis=1)
        part[:] = cv2.GaussianBlur((part + ghost) / 2, (0, 0), blur)
    pixels += dice.grain.normal(0, dice.rng.uniform(3, 8), (size[1], size[0], 1))
    return Scene(np.clip(pixels, 0, 255).astype(np.uint8), scene.lines)


def short_lines(dice: Dice) -> Scene:
    """A list with values of one to four characters, on a photo that lies on its side or upside down."""
    canvas = Canvas(backgrounds.lit((1000, 760), (240, 240, 236), dice.grain))
    face, number, size = dice.face(fonts.SIMPLIFIED), dice.face(fonts.LATIN), dice.between(26, 36)
    for row, value in enumerate(dice.rng.sample(SHORT, 9)):
        y = 40 + row * 76
        canvas.write(corpus.phrase(dice.rng, corpus.SIMPLIFIED), 60, y, face, size, INK)
        canvas.write(value, 900 - text_width(value, number, size), y, number, size, INK)
    return rotate(canvas.scene(), dice.between(1, 3))


def beside_banner(dice: Dice) -> Scene:
    """A receipt, and a banner with large letters beside it: the one after the other, the left one first."""
    canvas = Canvas(backgrounds.wood((1600, 1200), dice.grain))
    face, size, rows = dice.face(fonts.RECEIPT), 26, dice.between(8, 14)
    on_left = dice.rng.random() < 0.5
    left = 900 if on_left else 80

    def banner() -> None:
        x, y = (80, dice.between(160, 500)) if on_left else (850, dice.between(160, 500))
        for row in range(dice.between(1, 3)):
            text = corpus.phrase(dice.rng, corpus.SIMPLIFIED)[:6]
            canvas.write(text, x, y + row * 170, fonts.BOLD[0], 96, (250, 250, 240), (10, 10, 10))

    def receipt() -> None:
        canvas.rectangle(left - 24, 80, left + 620, 140 + rows * 60, (246, 246, 242))
        for row, goods in enumerate(dice.rng.sample(corpus.GOODS, rows)):
            value, y = _price(dice), 110 + row * 60
            canvas.write(f"{goods} x{dice.between(1, 9)}", left, y, face, size, INK)
            canvas.write(value, left + 580 - text_width(value, face, size), y, face, size, INK)

    for part in (banner, receipt) if on_left else (receipt, banner):
        part()
    return canvas.scene()


def open_book(dice: Dice) -> Scene:
    """Two pages side by side; the left one is read first."""
    canvas = Canvas(backgrounds.lit((1800, 1200), (246, 242, 230), dice.grain))
    chinese = dice.rng.random() < 0.6
    face, size = dice.face(fonts.SIMPLIFIED if chinese else fonts.LATIN), dice.between(24, 34)
    canvas.rectangle(896, 0, 904, 1200, (190, 184, 170))
    for left in (90, 960):
        y = dice.between(90, 150)
        for row in range(dice.between(8, 16)):
            text = corpus.page_line(dice.rng, chinese)
            while text_width(text, face, size) > 740:
                text = text[:-1].rstrip("， ")
            text = text if row % 5 != 4 else text[: len(text) // 2].rstrip("， ")
            canvas.write(text, left, y + row * 2 * size, face, size, INK)
    return canvas.scene()


def letter_spaced(dice: Dice) -> Scene:
    """Titles whose letters stand wide apart: each line is still one line."""
    canvas = Canvas(backgrounds.lit((1440, 900), (242, 240, 234), dice.grain))
    for row in range(4):
        latin, size = dice.rng.random() < 0.3, dice.between(40, 64)
        text = dice.rng.choice(corpus.WORDS).upper() if latin else corpus.phrase(dice.rng, corpus.SIMPLIFIED)
        face = dice.face(fonts.LATIN if latin else fonts.SIMPLIFIED)
        canvas.write("  ".join(text[:9]) if latin else " ".join(text[:9]), 120, 100 + row * 200, face, size, INK)
    return canvas.scene()


def on_nothing(dice: Dice) -> Scene:
    """Bright text, or dark, on a transparent ground."""
    canvas = Canvas(np.zeros((600, 1000, 4), np.uint8))
    ink = dice.rng.choice(((255, 255, 255), (255, 240, 120), (200, 255, 255), (20, 20, 24)))
    for row in range(4):
        text, size = corpus.any_line(dice.rng), dice.between(34, 52)
        face = dice.face(fonts.LATIN if text.isascii() else fonts.SIMPLIFIED)
        canvas.write(text, 60, 50 + row * 135, face, size, ink)
    return canvas.scene()


def small_print(dice: Dice) -> Scene:
    """Small print along an edge of a photo that has no other text."""
    ground = dice.rng.choice((backgrounds.clouds, backgrounds.sea, backgrounds.faces))
    canvas = Canvas(ground((1920, 1440), dice.grain))
    text, size = corpus.any_line(dice.rng), dice.between(18, 26)
    face = dice.face(fonts.LATIN if text.isascii() else fonts.SIMPLIFIED)
    right = 1920 - text_width(text, face, size) - dice.between(6, 40)
    x, y = dice.rng.choice((dice.between(6, 40), right)), dice.rng.choice((8, 1440 - size - 12))
    canvas.write(text, x, y, face, size, (252, 252, 250), (10, 10, 10))
    return canvas.scene()


def lone_word(dice: Dice) -> Scene:
    """A chat bubble or a title: one short word in a large frame."""
    colour = dice.rng.choice(((255, 255, 255), (245, 245, 245), (30, 30, 34)))
    canvas = Canvas(backgrounds.plain((1920, 1080), colour))
    text = dice.rng.choice(("嗯", "好", "是的", "谢谢", "晚安", "OK", "收到", "早", "哈哈", "在吗"))
    face = dice.face(fonts.LATIN if text.isascii() else fonts.SIMPLIFIED)
    ink = INK if sum(colour) > 380 else (240, 240, 240)
    canvas.write(text, dice.between(100, 1700), dice.between(80, 950), face, dice.between(28, 64), ink)
    return canvas.scene()
