"""Decoding as the services do it: timed, counted and in the request's trace."""

import time

from mesh.core.tracing import span
from mesh.serving import metrics
from mesh.serving.images import ChannelOrder, Image, decode


def decode_photo(
    service: str, data: bytes, *, max_pixels: int, order: ChannelOrder, min_short_side: int | None = None
) -> Image:
    """`images.decode`, with the metrics of `service` (`ocr`, `clip`, `face`) moved. Raises InvalidInputError.
    Blocking."""
    started = time.perf_counter()
    with span("decode", bytes=len(data)):
        image = decode(data, max_pixels=max_pixels, order=order, min_short_side=min_short_side)
    metrics.DECODE_SECONDS.labels(service).observe(time.perf_counter() - started)
    metrics.IMAGE_PIXELS.labels(service).observe(image.width * image.height)
    return image
