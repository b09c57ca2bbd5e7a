"""The face benchmark compares like with like."""

import numpy as np
import pytest
from insightface.model_zoo.scrfd import SCRFD

from bench.faces.__main__ import summary
from bench.faces.parts import MIN_SCORE, SIDE, Prepared
from face_service import scrfd


@pytest.mark.parametrize("faces", [2, 40])
def test_prepared_outputs_are_the_same_faces_to_both(faces: int) -> None:
    prepared = Prepared(faces)
    found = scrfd.decode(prepared.run([], {}), (SIDE, SIDE), MIN_SCORE)
    ours = scrfd.suppress(found, 500)
    theirs, landmarks = SCRFD(session=prepared, static_shape_sessions=False).detect(
        np.zeros((SIDE, SIDE, 3), np.uint8), input_size=(SIDE, SIDE), det_thresh=MIN_SCORE
    )
    assert len(ours) == faces
    np.testing.assert_allclose(ours.boxes, theirs[:, :4])
    np.testing.assert_allclose(ours.landmarks, landmarks, rtol=1e-6)


def test_a_peer_is_measured_by_the_rounds_beside_its_own() -> None:
    ours = [{"seconds": 1.0, "cpu": 2.0, "peak_mb": 1.0}, {"seconds": 3.0, "cpu": 2.0, "peak_mb": 1.0}]
    theirs = [{"seconds": 2.0, "cpu": 3.0, "peak_mb": 7.0}, {"seconds": 6.0, "cpu": 3.0, "peak_mb": 9.0}]
    row = summary(theirs, ours, photos=4)
    assert (row["rate_ratio"], row["cpu_ratio"]) == (0.5, 1.5)
    assert (row["per_second"], row["cpu_ms"], row["peak_mb"]) == (1.0, 750.0, 9.0)
