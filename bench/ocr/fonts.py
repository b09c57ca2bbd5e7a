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
    """

    path: str
    package: str
    index: int = 0

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """This face at a size in pixels."""
        return _load(self.path, size, self.index)


@lru_cache(maxsize=512)
def _load(path: str, size: int, index: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / path), size, index=index, layout_engine=ImageFont.Layout.BASIC)


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

ALL = (*SIMPLIFIED, *TRADITIONAL, *JAPANESE, *LATIN, *RECEIPT, *BOLD)


def require() -> None:
    """Refuses to go on without every font, naming the packages to install. Raises MissingFonts."""
    missing = sorted({face.package for face in ALL if not (FONTS / face.path).is_file()})
    if missing:
        raise MissingFonts(f"The set needs fonts that are not installed: apt-get install {' '.join(missing)}")
