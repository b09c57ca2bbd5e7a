"""To which sizes photos and lines are padded, for devices that compile a graph for each: `OCR_SHAPES`."""

from collections.abc import Mapping

from mesh.core.settings import Device
from mesh.serving.shapes.shape_set import Size

AUTO, DYNAMIC, FIXED = "auto", "dynamic", "fixed"
PHOTO_STEP, LARGEST_SIDE = 32, 8192
LINE_HEIGHT, WIDTH_STEP, LONGEST_LINE = 48, 8, 3200
"""What sides may be, in pixels, as the detector and the recogniser see them."""

PHOTOS: tuple[Size, ...] = (
    *((736, 992), (992, 736), (736, 1312), (1312, 736), (736, 1120), (1120, 736)),  # 4:3, 16:9, 3:2
    *((320, 320), (672, 896), (896, 672), (480, 896), (896, 480), (512, 768), (768, 512)),  # small photos, places
    *((736, 736), (736, 1600), (1600, 736), (320, 640), (640, 320)),  # squares, screens of phones
    *((1120, 1120), (1120, 1600), (1600, 1120), (1600, 1600)),  # second looks
)
"""Rows and columns that the detector sees, the usual photo's first. Between them 250 looks of the rendered set cost 2 %
more pixels than as they are."""
LINE_WIDTHS = (
    *(128, 192, 160, 224, 272, 320, 384, 464, 552, 664, 800, 952),
    *(1144, 1376, 1648, 1976, 2368, 2840, LONGEST_LINE),
)
"""A fifth apart: 4250 lines of the rendered set cost 5 % more columns."""


def sizes_for(setting: str, device: Device) -> Mapping[str, tuple[Size, ...]]:
    """The sizes of each part of a model, the most frequent first; none where inputs keep theirs.

    Args:
        setting: `auto`, `dynamic`, `fixed`, or a list: 736x992 of a photo, 48x320 of a line. A part that it does not
            name has the sizes of `fixed`.
        device: where graphs run; `auto` pads for those that compile for each shape.

    Raises:
        ValueError: no such setting; says what would be one.
    """
    value = setting.strip().lower()
    if value == DYNAMIC or (value == AUTO and not device.compiles_per_shape):
        return {"detection": (), "recognition": ()}
    named = [] if value in (AUTO, FIXED) else [_size(part.strip()) for part in value.split(",")]
    photos = tuple(dict.fromkeys(size for size in named if size[0] != LINE_HEIGHT))
    lines = tuple(dict.fromkeys(size for size in named if size[0] == LINE_HEIGHT))
    return {"detection": photos or PHOTOS, "recognition": lines or tuple((LINE_HEIGHT, width) for width in LINE_WIDTHS)}


def _size(name: str) -> Size:
    """One of a list. Raises ValueError."""
    parts = name.split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"{name!r}: {AUTO}, {DYNAMIC}, {FIXED}, or sizes such as 736x992,48x320 (rows x columns)")
    rows, columns = (int(part) for part in parts)
    if rows == LINE_HEIGHT:
        if columns % WIDTH_STEP or not 0 < columns <= LONGEST_LINE:
            raise ValueError(f"{name}: a line is a multiple of {WIDTH_STEP} wide, at most {LONGEST_LINE}")
    elif any(side % PHOTO_STEP or not 0 < side <= LARGEST_SIDE for side in (rows, columns)):
        raise ValueError(
            f"{name}: a photo's sides are multiples of {PHOTO_STEP}, at most {LARGEST_SIDE}; a line is 48 high"
        )
    return rows, columns
