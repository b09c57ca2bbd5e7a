"""The typefaces of the rendered set: files of Debian packages, so that the set is the same on every machine."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

FONTS = Path("/usr/share/fonts")


class MissingFonts(SystemExit):
    """Fonts that the set needs are not installed."""


@dataclass(frozen=True)
class Typeface:
    """One face of one font file.

    Attributes:
        path: below /usr/share/fonts.
        package: the Debian package that installs it.
        index: number of the face within a collection.
        shaped: whether its letters change with their neighbours, or stand on top of each other.
    """

    path: str
    package: str
    index: int = 0
    shaped: bool = False

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """This face at a size in pixels."""
        return _load(self.path, size, self.index, self.shaped)


@lru_cache(maxsize=512)
def _load(path: str, size: int, index: int, shaped: bool) -> ImageFont.FreeTypeFont:
    layout = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(FONTS / path), size, index=index, layout_engine=layout)


_NOTO = "fonts-noto-cjk"
_SANS, _BOLD = "opentype/noto/NotoSansCJK-Regular.ttc", "opentype/noto/NotoSansCJK-Bold.ttc"
_SERIF, _SERIF_BOLD = "opentype/noto/NotoSerifCJK-Regular.ttc", "opentype/noto/NotoSerifCJK-Bold.ttc"
_DEJAVU, _LIBERATION = "truetype/dejavu/", "truetype/liberation/"

# Within Noto's collections face 0 is Japanese, 2 simplified Chinese, 3 traditional Chinese.
SIMPLIFIED = (
    Typeface(_SANS, _NOTO, 2),
    Typeface(_BOLD, _NOTO, 2),
    Typeface(_SERIF, _NOTO, 2),
    Typeface(_SERIF_BOLD, _NOTO, 2),
    Typeface("truetype/wqy/wqy-zenhei.ttc", "fonts-wqy-zenhei"),
    Typeface("truetype/wqy/wqy-microhei.ttc", "fonts-wqy-microhei"),
)
TRADITIONAL = (Typeface(_SANS, _NOTO, 3), Typeface(_BOLD, _NOTO, 3), Typeface(_SERIF, _NOTO, 3))
JAPANESE = (Typeface(_SANS, _NOTO, 0), Typeface(_BOLD, _NOTO, 0), Typeface(_SERIF, _NOTO, 0))
LATIN = (
    Typeface(_DEJAVU + "DejaVuSans.ttf", "fonts-dejavu-core"),
    Typeface(_DEJAVU + "DejaVuSans-Bold.ttf", "fonts-dejavu-core"),
    Typeface(_DEJAVU + "DejaVuSerif.ttf", "fonts-dejavu-core"),
    Typeface(_LIBERATION + "LiberationSans-Regular.ttf", "fonts-liberation"),
    Typeface(_LIBERATION + "LiberationSerif-Bold.ttf", "fonts-liberation"),
)
RECEIPT = (Typeface(_SANS, _NOTO, 2), Typeface("truetype/wqy/wqy-zenhei.ttc", "fonts-wqy-zenhei"))
BOLD = (Typeface(_BOLD, _NOTO, 2), Typeface(_SERIF_BOLD, _NOTO, 2))


def _core(name: str) -> tuple[Typeface, ...]:
    faces = (f"truetype/noto/{name}-{weight}.ttf" for weight in ("Regular", "Bold"))
    return tuple(Typeface(path, "fonts-noto-core", shaped=True) for path in faces)


FOREIGN = {
    "cyrillic": (*LATIN, *_core("NotoSans")),
    "greek": (*LATIN, *_core("NotoSans")),
    "hebrew": _core("NotoSansHebrew"),
    "arabic": _core("NotoSansArabic"),
    "thai": _core("NotoSansThai"),
    "devanagari": _core("NotoSansDevanagari"),
    "tamil": _core("NotoSansTamil"),
    "georgian": _core("NotoSansGeorgian"),
    "korean": (Typeface(_SANS, _NOTO, 1), Typeface(_BOLD, _NOTO, 1), Typeface(_SERIF, _NOTO, 1)),
}
"""Faces of scripts that the default model does not read."""
MARKS = (Typeface(_DEJAVU + "DejaVuSans.ttf", "fonts-dejavu-core"), Typeface(_SANS, _NOTO, 2))

ALL = (
    *SIMPLIFIED,
    *TRADITIONAL,
    *JAPANESE,
    *LATIN,
    *RECEIPT,
    *BOLD,
    *MARKS,
    *(face for faces in FOREIGN.values() for face in faces),
)


def require() -> None:
    """Refuses to go on without every font, naming the packages to install. Raises MissingFonts."""
    missing = sorted({face.package for face in ALL if not (FONTS / face.path).is_file()})
    if missing:
        raise MissingFonts(f"The set needs fonts that are not installed: apt-get install {' '.join(missing)}")
