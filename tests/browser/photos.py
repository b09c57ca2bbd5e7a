"""Photos for the pages to show."""

import io

from PIL import Image


def preview() -> bytes:
    """A small photo."""
    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), "#a8c4d4").save(buffer, "JPEG")
    return buffer.getvalue()
