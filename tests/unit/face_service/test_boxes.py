"""Immich's database takes whole numbers inside the photo, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_service.pipeline import whole_box

WIDTH, HEIGHT = 200, 100


@pytest.mark.parametrize(
    ("edges", "box"),
    [
        ((10.4, 20.6, 30.5, 40.4), (10, 21, 30, 40)),
        ((-5.0, -9.0, 500.0, 300.0), (0, 0, 200, 100)),
        ((199.8, 99.9, 250.0, 120.0), (199, 99, 200, 100)),
        ((50.2, 50.2, 50.4, 50.4), (50, 50, 51, 51)),
        ((-30.0, 10.0, -1.0, 20.0), None),
        ((10.0, 100.0, 20.0, 140.0), None),
        ((float("nan"), 0.0, 10.0, 10.0), None),
        ((0.0, 0.0, float("inf"), 10.0), None),
    ],
)
def test_boxes(edges: tuple[float, ...], box: tuple[int, ...] | None) -> None:
    assert whole_box(np.array(edges, np.float32), width=WIDTH, height=HEIGHT) == box


@given(edges=st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4), width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_a_box_is_never_empty_nor_outside(edges: tuple[float, ...], width: int, height: int) -> None:
    box = whole_box(np.array(edges, np.float32), width=width, height=height)
    if box is not None:
        x1, y1, x2, y2 = box
        assert all(isinstance(edge, int) for edge in box)
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
