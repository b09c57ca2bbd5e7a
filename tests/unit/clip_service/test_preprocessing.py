"""Photos are fitted, cropped and normalised as open_clip and Immich do it: embeddings must not depend on the server."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from clip_service.preprocessing import Preprocessing, ResizeMode
from mesh.core.errors import UnavailableError
from tests.builders.clip import MEAN, STD

CONFIG: dict[str, Any] = {
    "size": 24,
    "mode": "RGB",
    "mean": MEAN,
    "std": STD,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}


def read(tmp_path: Path, **changes: Any) -> Preprocessing:
    file = tmp_path / "preprocess_cfg.json"
    file.write_text(json.dumps({key: value for key, value in (CONFIG | changes).items() if value is not None}))
    return Preprocessing.read(file)


def photo(width: int, height: int) -> np.ndarray:
    """Smooth colours with some noise."""
    rng = np.random.default_rng(width * height)
    coarse = PIL.Image.fromarray(rng.integers(0, 255, (5, 7, 3), np.uint8)).resize(
        (width, height), PIL.Image.Resampling.BICUBIC
    )
    noise = rng.normal(0, 8, (height, width, 3))
    return np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)


def normalised(image: PIL.Image.Image) -> np.ndarray:
    values = np.asarray(image, np.float64) / 255
    return ((values - MEAN) / STD).transpose(2, 0, 1)[None]


def resized_then_cropped(pixels: np.ndarray, size: int) -> PIL.Image.Image:
    """Resize the whole photo to the short side, then cut out the middle."""
    image = PIL.Image.fromarray(pixels)
    if image.width < image.height:
        image = image.resize((size, int(image.height / image.width * size)), PIL.Image.Resampling.BICUBIC)
    else:
        image = image.resize((int(image.width / image.height * size), size), PIL.Image.Resampling.BICUBIC)
    left, top = int(image.width / 2 - size / 2), int(image.height / 2 - size / 2)
    return image.crop((left, top, left + size, top + size))


ONE_LEVEL = 1.01 / (255 * min(STD))


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (40, 40), (600, 97), (97, 600), (24, 24), (7, 5), (1, 1)])
def test_shortest_is_resize_then_crop(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = photo(*size)
    tensor = read(tmp_path)(pixels)
    assert tensor.shape == (1, 3, 24, 24)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor, normalised(resized_then_cropped(pixels, 24)), atol=ONE_LEVEL)


def test_a_missing_mode_means_shortest(tmp_path: Path) -> None:
    assert read(tmp_path, resize_mode=None).mode is ResizeMode.SHORTEST


def test_squash_ignores_proportions(tmp_path: Path) -> None:
    pixels = photo(80, 31)
    squashed = PIL.Image.fromarray(pixels).resize((24, 24), PIL.Image.Resampling.BICUBIC)
    np.testing.assert_allclose(read(tmp_path, resize_mode="squash")(pixels), normalised(squashed), atol=1e-5)


def test_longest_fills_the_rest(tmp_path: Path) -> None:
    tensor = read(tmp_path, resize_mode="longest", fill_color=255, mean=[0, 0, 0], std=[1, 1, 1])(
        np.zeros((12, 24, 3), np.uint8)
    )
    assert (tensor[0, :, :6] == 1).all()
    assert (tensor[0, :, 6:18] == 0).all()
    assert (tensor[0, :, 18:] == 1).all()


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_interpolation(tmp_path: Path, name: str) -> None:
    pixels = photo(50, 50)
    expected = PIL.Image.fromarray(pixels).resize((24, 24), PIL.Image.Resampling[name.upper()])
    tensor = read(tmp_path, resize_mode="squash", interpolation=name)(pixels)
    np.testing.assert_allclose(tensor, normalised(expected), atol=1e-5)


def test_size_may_be_a_list(tmp_path: Path) -> None:
    assert read(tmp_path, size=[32, 32])(photo(40, 40)).shape == (1, 3, 32, 32)


def test_a_panorama_costs_no_more_than_a_square(tmp_path: Path) -> None:
    tensor = read(tmp_path)(np.full((1, 30_000, 3), 255, np.uint8))  # whole, it would become 720,000 pixels wide
    np.testing.assert_allclose(tensor, normalised(PIL.Image.new("RGB", (24, 24), "white")), atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": None},
        {"size": [24, 32]},
        {"mean": None},
        {"mean": [0.5]},
        {"std": "wide"},
        {"interpolation": "magic"},
        {"resize_mode": "stretch"},
    ],
)
def test_what_nobody_knows_is_refused_at_load(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UnavailableError, match=r"preprocess_cfg\.json"):
        read(tmp_path, **changes)


def test_missing_and_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        Preprocessing.read(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UnavailableError):
        Preprocessing.read(tmp_path / "bad.json")
