"""Decoding a JPEG at reduced scale must not be seen in what the model gets.

The photos are noise with the spectrum of natural photographs (amplitude falling with frequency, Field 1987), at the
size and quality of Immich's previews. `python -m bench.reduced` measures embeddings of a real model.
"""

import io

import numpy as np
import PIL.Image
import pytest

from clip_service.preprocessing import Preprocessing, ResizeMode
from mesh.serving.images import ChannelOrder, decode
from tests.builders.clip import MEAN, STD


def natural(width: int, height: int, seed: int) -> bytes:
    """A JPEG of quality 80 with the statistics of a photograph."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    channels = []
    for _ in range(3):
        phases = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
        channels.append(np.fft.irfft2(phases / frequency, (height, width)))
    pixels = np.stack(channels, -1) + 2 * channels[0][:, :, None]
    out = io.BytesIO()
    scaled = np.clip(128 + 55 * pixels / pixels.std(), 0, 255).astype(np.uint8)
    PIL.Image.fromarray(scaled).save(out, "JPEG", quality=80)
    return out.getvalue()


@pytest.mark.parametrize("size", [(1920, 1440), (1080, 1920), (1000, 1000), (2600, 460)])
@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize("mode", [ResizeMode.SQUASH, ResizeMode.SHORTEST])
def test_the_model_sees_the_same(size: tuple[int, int], side: int, mode: ResizeMode) -> None:
    mean, std = np.reshape(MEAN, (3, 1, 1)), np.reshape(STD, (3, 1, 1))
    scale, offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
    preprocessing = Preprocessing(side, mode, PIL.Image.Resampling.BICUBIC, 0, scale, offset)
    data = natural(*size, seed=side)
    full, reduced = (
        decode(data, max_pixels=10**8, order=ChannelOrder.RGB, min_short_side=limit)
        for limit in (None, preprocessing.min_short_side)
    )
    assert reduced.scale == (0.5 if min(size) >= 4 * side else 1.0)
    a, b = (preprocessing(image.pixels).ravel().astype(np.float64) for image in (full, reduced))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9995
