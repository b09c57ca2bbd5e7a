"""Crops are InsightFace's crops: a recogniser must not notice who cut them."""

import numpy as np
import pytest
from insightface.utils import face_align

from face_service import alignment
from face_service.alignment import TEMPLATE

pytestmark = pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")  # InsightFace's own call


def landmarks(seed: int) -> np.ndarray:
    """The template turned, scaled, moved and disturbed."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(-np.pi, np.pi), rng.uniform(0.1, 8)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (TEMPLATE @ turn.T + rng.uniform(-300, 2000, 2) + rng.normal(0, 3 * scale, (5, 2))).astype(np.float32)


@pytest.mark.parametrize("size", [112, 224])
@pytest.mark.parametrize("seed", range(8))
def test_transform_is_insightfaces(seed: int, size: int) -> None:
    points = landmarks(seed)
    found = alignment.similarity(points, size)
    assert found is not None
    np.testing.assert_allclose(found, face_align.estimate_norm(points, size), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_crop_is_insightfaces(seed: int) -> None:
    photo = np.random.default_rng(seed).integers(0, 255, (400, 500, 3), np.uint8)
    points = (TEMPLATE * 1.7 + 90 + np.random.default_rng(seed).normal(0, 4, (5, 2))).astype(np.float32)
    transform = alignment.similarity(points)
    assert transform is not None
    crop = alignment.crop(photo, transform)
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    difference = np.abs(crop.astype(int) - face_align.norm_crop(photo, points).astype(int))
    assert difference.max() <= 2


def test_template_on_itself_is_identity() -> None:
    found = alignment.similarity(TEMPLATE.astype(np.float32))
    assert found is not None
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 1, 0]], atol=1e-4)


def test_mirrored_landmarks_are_turned_not_mirrored() -> None:
    points = (TEMPLATE * [-1, 1] + [112, 0]).astype(np.float32)
    found = alignment.similarity(points)
    assert found is not None
    assert np.linalg.det(found[:, :2]) > 0
    np.testing.assert_allclose(found, face_align.estimate_norm(points), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 55.5, np.nan, np.inf])
def test_no_face_without_five_points(value: float) -> None:
    assert alignment.similarity(np.full((5, 2), value, np.float32)) is None


def test_beyond_the_photo_is_black() -> None:
    transform = alignment.similarity((TEMPLATE + 1000).astype(np.float32))
    assert transform is not None
    assert not alignment.crop(np.full((50, 50, 3), 255, np.uint8), transform).any()
