"""Every kind of photo that Immich, a browser or a curious person may send, and everything that is none."""

import io
import tracemalloc
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.core.errors import InvalidInputError
from mesh.serving.images import ChannelOrder, Image, decode

LIMIT = 10_000_000
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 64, height: int = 48) -> PIL.Image.Image:
    """Top left red, top right green, bottom left blue, bottom right white: shows every rotation and channel swap."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = WHITE
    return PIL.Image.fromarray(pixels)


def encoded(image: PIL.Image.Image, fmt: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, fmt, **options)
    return out.getvalue()


def rgb(data: bytes, min_short_side: int | None = None) -> Image:
    return decode(data, max_pixels=LIMIT, order=ChannelOrder.RGB, min_short_side=min_short_side)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Colours near the four corners: top left, top right, bottom left, bottom right."""
    rows, columns = pixels.shape[:2]
    near, right, low = 3, columns - 4, rows - 4
    return [tuple(int(v) for v in pixels[y, x]) for y, x in ((near, near), (near, right), (low, near), (low, right))]


def assert_quarters(pixels: np.ndarray, expected: list[tuple[int, int, int]], tolerance: int = 12) -> None:
    np.testing.assert_allclose(corners(pixels), expected, atol=tolerance)


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
    ],
)
def test_every_format(fmt: str, options: dict[str, object]) -> None:
    image = rgb(encoded(quarters(), fmt, **options))
    assert (image.width, image.height, image.scale) == (64, 48, 1.0)
    assert image.pixels.shape == (48, 64, 3)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.c_contiguous
    assert_quarters(image.pixels, [RED, GREEN, BLUE, WHITE], tolerance=40)  # lossy colour at quality 95


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_channel_order(fmt: str) -> None:
    data = encoded(quarters(), fmt, quality=95)
    bgr = decode(data, max_pixels=LIMIT, order=ChannelOrder.BGR)
    np.testing.assert_array_equal(bgr.pixels[:, :, ::-1], rgb(data).pixels)
    assert bgr.pixels.flags.c_contiguous


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (9, [RED, GREEN, BLUE, WHITE]),
    ],
)
def test_exif_rotation(fmt: str, orientation: int, expected: list[tuple[int, int, int]]) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = rgb(encoded(quarters(), fmt, exif=exif, quality=100))
    assert (image.width, image.height) == ((48, 64) if orientation in (5, 6, 7, 8) else (64, 48))
    assert image.pixels.shape == (image.height, image.width, 3)
    assert_quarters(image.pixels, expected, tolerance=40)


def test_rotation_agrees_with_pillow_on_a_nearly_square_reduced_photo() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image = rgb(encoded(quarters(1000, 999), "JPEG", exif=exif), min_short_side=100)
    assert (image.width, image.height, image.scale) == (999, 1000, 1 / 8)


def test_damaged_exif_is_ignored() -> None:
    data = encoded(quarters(), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff garbage", quality=95)
    assert_quarters(rgb(data).pixels, [RED, GREEN, BLUE, WHITE], tolerance=40)


def test_cmyk_jpeg_is_not_inverted() -> None:
    image = rgb(encoded(quarters().convert("CMYK"), "JPEG", quality=95, subsampling=0))
    assert_quarters(image.pixels, [RED, GREEN, BLUE, WHITE], tolerance=40)


def test_grey_becomes_three_equal_channels() -> None:
    for fmt in ("JPEG", "PNG", "TIFF", "BMP", "GIF"):
        pixels = rgb(encoded(PIL.Image.new("L", (16, 16), 77), fmt)).pixels
        np.testing.assert_allclose(pixels, 77, atol=2)


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_brightness(fmt: str) -> None:
    grey = PIL.Image.fromarray(np.full((16, 16), 0x8000, np.uint16))
    np.testing.assert_allclose(rgb(encoded(grey, fmt)).pixels, 0x80, atol=1)


def test_16_bit_colour_png() -> None:
    pixels = np.zeros((16, 16, 3), np.uint16)
    pixels[:] = (0xFFFF, 0x8000, 0x1000)  # OpenCV writes BGR
    done, data = cv2.imencode(".png", pixels)
    assert done
    np.testing.assert_allclose(rgb(data.tobytes()).pixels[0, 0], (0x10, 0x80, 0xFF), atol=1)


def test_float_tiff_is_stretched_to_its_own_range() -> None:
    ramp = np.linspace(-2, 6, 256, dtype=np.float32).reshape(16, 16)
    pixels = rgb(encoded(PIL.Image.fromarray(ramp), "TIFF")).pixels
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_lab_tiff() -> None:
    lab = PIL.Image.new("LAB", (16, 16), (255, 128, 128))  # L = 100 %, a = b = 0 is white
    np.testing.assert_allclose(rgb(encoded(lab, "TIFF")).pixels, 255, atol=3)


def test_bilevel() -> None:
    np.testing.assert_array_equal(rgb(encoded(PIL.Image.new("1", (9, 9), 1), "PNG")).pixels, 255)


@pytest.mark.parametrize("fmt", ["PNG", "WEBP", "TIFF"])
def test_transparency_lies_on_white(fmt: str) -> None:
    # Black text on nothing: dropping the alpha channel would leave black on black.
    image = PIL.Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (8, 8, 24, 24))
    pixels = rgb(encoded(image, fmt, lossless=True)).pixels
    assert tuple(pixels[1, 1]) == WHITE
    assert tuple(pixels[16, 16]) == (0, 0, 0)


def white_bar(mode: str) -> PIL.Image.Image:
    """A bright bar on nothing, faint at its edges, in a mode that knows transparency."""
    image = PIL.Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((250, 250, 250, 90), (7, 7, 25, 25))
    image.paste((250, 250, 250, 255), (8, 8, 24, 24))
    return image if mode == "RGBA" else image.quantize(8) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(
    ("fmt", "mode"),
    [("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("WEBP", "RGBA"), ("TIFF", "RGBA"), ("GIF", "RGBA")],
)
def test_white_on_nothing_lies_on_black(fmt: str, mode: str) -> None:
    pixels = rgb(encoded(white_bar(mode), fmt, lossless=True)).pixels
    assert pixels[1, 1].max() < 10
    assert pixels[16, 16].min() > 240


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_one_level_that_is_not_seen(mode: str) -> None:
    # PNG's colour key: every pixel of this colour is nothing.
    if mode == "I;16":
        pixels = np.full((32, 32), 0x8000, np.uint16)
        pixels[8:24, 8:24] = 0xFF00
        data = encoded(PIL.Image.fromarray(pixels), "PNG", transparency=0x8000)
    else:
        image = PIL.Image.new("L", (32, 32), 7)
        image.paste(250, (8, 8, 24, 24))
        data = encoded(image.convert(mode), "PNG", transparency=7 if mode == "L" else (7, 7, 7))
    read = rgb(data).pixels
    assert tuple(read[1, 1]) == (0, 0, 0)
    assert read[16, 16].min() > 240


def test_dark_and_bright_on_nothing_both_show() -> None:
    image = PIL.Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (2, 2, 16, 30))
    image.paste((0, 0, 0, 255), (16, 2, 30, 30))
    pixels = rgb(encoded(image, "PNG")).pixels
    backdrop, white, black = (int(pixels[at][0]) for at in ((0, 0), (8, 8), (8, 24)))
    assert black + 100 < backdrop < white - 100


def test_nothing_at_all_is_white() -> None:
    assert tuple(rgb(encoded(PIL.Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")).pixels[4, 4]) == WHITE


def test_palette_with_a_transparent_entry() -> None:
    image = quarters().quantize(4)
    index = image.getpixel((1, 1))
    pixels = rgb(encoded(image, "PNG", transparency=index)).pixels
    assert_quarters(pixels, [WHITE, GREEN, BLUE, WHITE])


def test_first_frame_of_an_animation() -> None:
    frames = [PIL.Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    for fmt in ("GIF", "WEBP", "TIFF"):
        data = encoded(frames[0], fmt, save_all=True, append_images=frames[1:], lossless=True)
        assert tuple(rgb(data).pixels[5, 5]) == RED


def test_one_pixel_and_panorama() -> None:
    assert rgb(encoded(PIL.Image.new("RGB", (1, 1), "red"), "JPEG")).pixels.shape == (1, 1, 3)
    image = rgb(encoded(quarters(6000, 1200), "JPEG"))
    assert (image.width, image.height, image.pixels.shape) == (6000, 1200, (1200, 6000, 3))


@pytest.mark.parametrize(
    ("size", "min_short_side", "scale"),
    [
        ((1920, 1440), None, 1),
        ((1920, 1440), 1440, 1),
        ((1920, 1440), 721, 1),
        ((1920, 1440), 720, 1 / 2),
        ((1920, 1440), 448, 1 / 2),
        ((1920, 1440), 224, 1 / 4),
        ((1920, 1440), 100, 1 / 8),
        ((100, 100), 224, 1),
    ],
)
def test_jpeg_is_decoded_reduced(size: tuple[int, int], min_short_side: int | None, scale: float) -> None:
    image = rgb(encoded(quarters(*size), "JPEG", quality=90), min_short_side=min_short_side)
    assert (image.width, image.height, image.scale) == (*size, scale)
    assert image.pixels.shape == (size[1] * scale, size[0] * scale, 3)
    assert_quarters(image.pixels, [RED, GREEN, BLUE, WHITE], tolerance=40)


def test_only_jpeg_is_reduced() -> None:
    assert rgb(encoded(quarters(800, 800), "PNG"), min_short_side=100).scale == 1


def png_bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises `width` x `height` pixels, with next to no data behind it."""
    small = bytearray(encoded(PIL.Image.new("RGB", (1, 1)), "PNG"))
    small[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    small[29:33] = zlib.crc32(bytes(small[12:29])).to_bytes(4, "big")
    return bytes(small)


def test_a_bomb_is_refused_by_its_header() -> None:
    tracemalloc.start()
    with pytest.raises(
        InvalidInputError, match=r"30000x30000 pixels, more than the limit of 10000000 pixels: send a smaller"
    ):
        rgb(png_bomb(30_000, 30_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_limit_is_inclusive() -> None:
    data = encoded(quarters(40, 30), "PNG")
    assert decode(data, max_pixels=1200, order=ChannelOrder.RGB).width == 40
    with pytest.raises(InvalidInputError):
        decode(data, max_pixels=1199, order=ChannelOrder.RGB)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello", "no known type"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
        (b'\n<?xml version="1.0"?>\n<svg></svg>', "SVG"),
        (b"<!DOCTYPE html><p>502", "text document"),
        (b'{"error": 1}', "text document"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (bytes(4096), "no known type"),
        (b"\xff\xd8\xff", "no known type"),
    ],
)
def test_not_an_image(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        rgb(data)
    assert "send the" in caught.value.message


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_cut_off(fmt: str, share: float) -> None:
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    data = encoded(noise, fmt)
    with pytest.raises(InvalidInputError, match="send the"):
        rgb(data[: int(len(data) * share)])


@settings(max_examples=150, deadline=None)
@given(fmt=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]), seed=st.integers(0, 2**32 - 1))
def test_damage_is_an_image_or_invalid_input(fmt: str, seed: int) -> None:
    """Whatever bytes flip, the answer is pixels or `InvalidInputError`: never another exception, never a crash."""
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(quarters(), fmt))
    for position in rng.integers(0, len(data), 6):
        data[position] = rng.integers(0, 256)
    try:
        image = rgb(bytes(data), min_short_side=16)
    except InvalidInputError:
        return
    assert image.pixels.ndim == 3
