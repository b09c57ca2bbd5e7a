"""Finds a font that can draw a given text, Chinese and Japanese included, among those of this machine."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from PIL import ImageFont

FOLDERS = (
    "~/.local/share/fonts",
    "~/.fonts",
    "/usr/local/share/fonts",
    "/usr/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
)
CJK_NAMES = ("notosanscjk", "notosanssc", "sourcehansans", "wqy", "droidsansfallback", "pingfang", "hiragino", "uming")
"""Beginnings of the file names of common fonts with Han characters, best first."""

_MISSING = "\U0010ffff"
"""A noncharacter: every font draws its `missing` box for it."""


def candidates() -> Iterator[Path]:
    """Font files: one the user names in `IMMICH_MESH_FONT`, those with Han characters, then all others."""
    if named := os.environ.get("IMMICH_MESH_FONT"):
        yield Path(named).expanduser()
    files = [
        path
        for folder in FOLDERS
        for path in sorted(Path(folder).expanduser().rglob("*"))
        if path.suffix.lower() in {".ttf", ".ttc", ".otf"}
    ]
    for name in CJK_NAMES:
        yield from sorted((path for path in files if path.name.lower().startswith(name)), key=_plainness)
    yield from sorted(files, key=_plainness)


def _plainness(path: Path) -> tuple[bool, str]:
    """Sorts regular styles before bold and italic ones."""
    name = path.stem.lower()
    return any(style in name for style in ("bold", "italic", "oblique", "light", "black", "thin")), name


@cache
def load(path: Path, size: int) -> ImageFont.FreeTypeFont | None:
    """The font in pixels of `size`, or None for a file that is no usable font."""
    try:
        return ImageFont.truetype(str(path), size)
    except OSError:
        return None


def covers(font: ImageFont.FreeTypeFont, characters: Iterable[str]) -> bool:
    """Whether the font has a glyph of its own for every character."""
    missing = bytes(font.getmask(_MISSING))
    return all(bytes(font.getmask(character)) != missing for character in characters if not character.isspace())


def find_font(text: str) -> Path | None:
    """The first font file that covers all of `text`, or None."""
    characters = set(text)
    for path in candidates():
        font = load(path, 16)
        if font is not None and covers(font, characters):
            return path
    return None
