"""The estimate of a photo's memory covers what a process takes to decode it, and is not out of all proportion."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from mesh.core.errors import InvalidInputError
from mesh.serving.images import ChannelOrder, decode
from tests.builders import bombs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

SIDE = 4000
SCRIPT = """
import sys
from pathlib import Path
from mesh.serving.images import ChannelOrder, open_photo
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) << 10
small, data = (Path(name).read_bytes() for name in sys.argv[1:])
open_photo(small, max_pixels=1 << 30).decode(ChannelOrder.BGR)
photo = open_photo(data, max_pixels=1 << 30)
before = peak()
photo.decode(ChannelOrder.BGR)
print(peak() - before, photo.decode_bytes)
"""


def encoded(fmt: str, mode: str, side: int, **options: Any) -> bytes:
    out = io.BytesIO()
    image = PIL.Image.linear_gradient("L").resize((side, side))
    (image if mode == "L" else image.convert(mode)).save(out, fmt, **options)
    return out.getvalue()


TURNED = PIL.Image.Exif()
TURNED[0x0112] = 6

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg turned": ("JPEG", "RGB", {"exif": TURNED}),
    "jpeg progressive": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {"compress_level": 1}),
    "png rgba turned": ("PNG", "RGBA", {"compress_level": 1, "exif": TURNED}),
    "png palette": ("PNG", "P", {"compress_level": 1, "transparency": 0}),
    "webp": ("WEBP", "RGB", {"lossless": True, "method": 0, "quality": 0}),
    "webp rgba": ("WEBP", "RGBA", {"lossless": True, "method": 0, "quality": 0}),
    "gif": ("GIF", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff lzw turned": ("TIFF", "RGB", {"compression": "tiff_lzw", "exif": TURNED}),
    "tiff float": ("TIFF", "F", {"compression": "tiff_adobe_deflate"}),
}


@pytest.mark.parametrize("name", CASES)
def test_an_estimate_covers_what_is_taken(name: str, tmp_path: Path) -> None:
    fmt, mode, options = CASES[name]
    for side in (64, SIDE):
        (tmp_path / str(side)).write_bytes(encoded(fmt, mode, side, **options))
    files = [str(tmp_path / str(side)) for side in (64, SIDE)]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    taken, estimated = map(int, done.stdout.split())
    noise = 16 << 20
    assert taken <= estimated + noise
    assert estimated <= 2.5 * taken + 4 * noise


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: bombs.float_tiff(13376, 13376), id="tiff float"),
        pytest.param(lambda: bombs.png(13376, 13376, bombs.RGBA), id="png rgba"),
        pytest.param(lambda: bombs.png(13376, 13376, bombs.RGBA, depth=16), id="png rgba of 16 bits"),
        pytest.param(lambda: bombs.png(1, 178_956_970), id="png 1 pixel wide"),
        pytest.param(lambda: bombs.png(178_956_970, 1), id="png 1 pixel high"),
    ],
)
def test_a_bomb_is_refused_before_a_pixel_is_decoded(data: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidInputError, match=r"would take \d+ MB of memory, more than the limit of 1074 MB"):
        decode(data(), max_pixels=178_956_970, order=ChannelOrder.BGR)
