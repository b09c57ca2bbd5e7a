"""Any of Pillow's modes to 8-bit RGB, a strip of rows at a time, so that no second copy of the photo stands beside it.

High bit depths keep their brightness. Transparency lies on white, or on what shows the visible where white hides it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageCms

from mesh.serving.images.cost import STRIP_PIXELS

BACKDROPS = (255, 0, 128)
"""Grey levels that a transparent photo may be laid on, the usual one first."""
APART = 48
"""Grey levels between a pixel and its backdrop below which one does not see it."""
_GAIN = 0.05
"""Part of the visible that another backdrop must show beyond the usual one."""
_LEVELS_OF_ALPHA = (64, 128, 192, 255)
"""A pixel counts once for each of these that its opacity reaches: faint shadows count less than letters."""

Rgb = npt.NDArray[np.uint8]
ToRgb = Callable[[PIL.Image.Image], PIL.Image.Image]


def to_rgb(image: PIL.Image.Image, *, reverse: bool) -> Rgb:
    """A loaded photo as an array of shape (rows, columns, 3), in C order; its channels as BGR with `reverse`."""
    convert = _conversion(image)
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top, strip in _strips(image):
        rows = np.asarray(convert(strip))
        pixels[top : top + strip.height] = rows[:, :, ::-1] if reverse else rows
    return pixels


def _strips(image: PIL.Image.Image) -> Iterator[tuple[int, PIL.Image.Image]]:
    """Strips of about `STRIP_PIXELS`, each with the row that it begins at."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _conversion(image: PIL.Image.Image) -> ToRgb:
    if image.mode.startswith("I;16"):
        return _on_backdrop(image) if "transparency" in image.info else lambda strip: _high_byte(strip).convert("RGB")
    if image.mode in ("I", "F"):
        return _stretch(image)
    if image.mode == "LAB":
        return _lab()
    if image.has_transparency_data:
        return _on_backdrop(image)
    return lambda strip: strip.convert("RGB")


def _high_byte(strip: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray((np.asarray(strip).astype(np.uint16) >> 8).astype(np.uint8))


def _on_backdrop(image: PIL.Image.Image) -> ToRgb:
    """A transparent photo lies on the first backdrop that hides hardly more of its visible pixels than any other."""
    seen = sum((_visible_levels(_with_alpha(strip)) for _, strip in _strips(image)), np.zeros(256))
    apart = np.abs(np.arange(256)[:, None] - np.array(BACKDROPS)) >= APART
    shown = seen @ apart
    level = BACKDROPS[int(np.argmax(shown >= shown.max() - _GAIN * seen.sum()))]

    def laid(strip: PIL.Image.Image) -> PIL.Image.Image:
        strip = _with_alpha(strip)
        backdrop = PIL.Image.new("RGB", strip.size, (level, level, level))
        backdrop.paste(strip, mask=strip.getchannel("A"))
        return backdrop

    return laid


def _with_alpha(strip: PIL.Image.Image) -> PIL.Image.Image:
    if not strip.mode.startswith("I;16"):
        return strip.convert("RGBA")
    transparent = np.asarray(strip) == strip.info["transparency"]  # the one level of a 16-bit PNG that is not seen
    result = _high_byte(strip).convert("RGBA")
    result.putalpha(PIL.Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8)))
    return result


def _visible_levels(strip: PIL.Image.Image) -> npt.NDArray[np.float64]:
    """How much of a strip in RGBA is seen at each grey level; shape (256,)."""
    grey, alpha = strip.convert("L"), strip.getchannel("A")
    masks = (alpha.point([255 * (opacity >= least) for opacity in range(256)]) for least in _LEVELS_OF_ALPHA)
    levels: npt.NDArray[np.float64] = np.array([grey.histogram(mask) for mask in masks], np.float64).sum(axis=0)
    return levels


def _stretch(image: PIL.Image.Image) -> ToRgb:
    """32-bit and float pixels have no fixed white: the brightest of the photo becomes white, the darkest black."""
    ends = [(float(values.min()), float(values.max())) for _, strip in _strips(image) for values in [_finite(strip)]]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    factor = 255 / ((high - low) or 1)

    def stretched(strip: PIL.Image.Image) -> PIL.Image.Image:
        return PIL.Image.fromarray(((_finite(strip) - low) * factor).round().astype(np.uint8)).convert("RGB")

    return stretched


def _finite(strip: PIL.Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(strip, np.float64), posinf=0.0, neginf=0.0)


def _lab() -> ToRgb:
    profiles = (PIL.ImageCms.createProfile("LAB"), PIL.ImageCms.createProfile("sRGB"))
    transform = PIL.ImageCms.buildTransform(*profiles, "LAB", "RGB")

    def converted(strip: PIL.Image.Image) -> PIL.Image.Image:
        result = PIL.ImageCms.applyTransform(strip, transform)
        if result is None:
            raise ValueError("no conversion from LAB")
        return result

    return converted
