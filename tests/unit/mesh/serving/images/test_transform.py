"""Photos of any shape go through OpenCV's geometry, and what comes out of long ones is what comes out of a part."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mesh.serving.images import transform
from mesh.serving.images.transform import MAX_SIDE

ROOT = Path(__file__).resolve().parents[5]
LONG = 40_000


def noise(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (rows, columns, 3), np.uint8)


def waves(rows: int, columns: int) -> np.ndarray:
    """Smooth, and nowhere the same."""
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    channels = [np.sin(x / 17 + y / 29 + phase) + np.sin(x / 311 - y / 23) for phase in (0, 1, 2)]
    return np.asarray(np.stack(channels, axis=-1) * 60 + 127, np.uint8)


def around(x: float, y: float, tilt: float = 0.0) -> np.ndarray:
    """The map (3, 3) of a photo turned a little around (x, y), which becomes the top left corner."""
    turn, shift = np.array([[1, 0.1, 0], [-0.1, 1, 0], [tilt, 0, 1]]), np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    return np.asarray(turn @ shift)


@pytest.mark.parametrize("across", [True, False])
def test_a_crop_of_a_long_photo_is_that_of_the_part_around_it(*, across: bool) -> None:
    photo = waves(120, LONG) if across else waves(LONG, 120)
    part = photo[:, 34_900:35_300] if across else photo[34_900:35_300]
    x, y = (35_000, 10) if across else (10, 35_000)
    near = (x - 34_900, y) if across else (x, y - 34_900)
    pairs = [
        [
            transform.warp_affine(pixels, around(*place)[:2], (112, 96))
            for pixels, place in ((photo, (x, y)), (part, near))
        ],
        [
            transform.warp_perspective(pixels, around(*place, 0.0001), (80, 60))
            for pixels, place in ((photo, (x, y)), (part, near))
        ],
    ]
    for far, close in pairs:
        assert close.std() > 20
        assert np.abs(far.astype(int) - close).max() <= 2  # the same places, a fraction of a pixel of rounding apart


def test_what_lies_beyond_a_long_photo_is_black() -> None:
    photo = np.full((50, LONG, 3), 200, np.uint8)
    crop = transform.warp_affine(photo, np.array([[1, 0, -LONG + 20.0], [0, 1, 0]]), (40, 40))
    assert (crop[:, :20] == 200).all()
    assert (crop[:, 21:] == 0).all()


def test_a_part_that_is_too_long_itself_is_shrunk_in_place() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, LONG).astype(np.uint8)[np.newaxis, :, np.newaxis], (40, LONG, 3))
    scale = 400 / LONG
    crop = transform.warp_affine(np.ascontiguousarray(ramp), np.array([[scale, 0, 0], [0, 1.0, 0]]), (400, 40))
    np.testing.assert_allclose(crop[20, :, 0], np.linspace(0, 255, 400), atol=2)


@pytest.mark.parametrize("size", [(640, 12), (70_000, 8), (100, 1)])
def test_a_long_photo_in_another_size_keeps_its_course(size: tuple[int, int]) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, LONG).astype(np.uint8)[np.newaxis, :, np.newaxis], (10, LONG, 3))
    resized = transform.resize(np.ascontiguousarray(ramp), size)
    assert resized.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(resized[0, :, 1], np.linspace(0, 255, size[0]), atol=2)


def test_a_long_tensor_is_as_a_short_one() -> None:
    photo = noise(4, MAX_SIDE + 1)
    tensor = transform.to_tensor(photo, mean=127.5, std=128.0)
    assert tensor.shape == (1, 3, 4, MAX_SIDE + 1)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[:, :, :, :100], transform.to_tensor(photo[:, :100].copy(), mean=127.5, std=128.0))


def test_places_that_are_too_many_are_refused() -> None:
    places = np.zeros((1, MAX_SIDE + 1), np.float32)
    assert transform.remap(noise(8, 8), places, places) is None
    assert transform.remap(noise(1, MAX_SIDE + 1), places[:, :9], places[:, :9]) is None


@pytest.mark.parametrize("call", ["resize", "warpAffine", "warpPerspective", "remap", "dnn.blobFromImage"])
def test_nobody_else_calls_opencvs_geometry(call: str, tmp_path: Path) -> None:
    """The linter refuses it, in a service as anywhere in the mesh."""
    (tmp_path / "sneaky.py").write_text(f"import cv2\n\ncv2.{call}(1, 2)\n")
    ruff = [
        str(Path(sys.executable).parent / "ruff"),
        "check",
        "--select",
        "TID251",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    done = subprocess.run([*ruff, str(tmp_path)], capture_output=True, text=True)
    assert "TID251" in done.stdout, done.stdout
