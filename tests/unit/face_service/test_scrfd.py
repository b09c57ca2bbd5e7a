"""SCRFD's output is read as InsightFace reads it, on random numbers and on every shape that exported graphs have."""

from typing import Any

import numpy as np
import pytest
from insightface.model_zoo.scrfd import SCRFD

from face_service import scrfd
from face_service.scrfd import FaceCandidates

SIZE = (128, 256)  # rows, columns: unequal, to notice a swap


def outputs(seed: int, strides: tuple[int, ...] = (8, 16, 32), per_cell: int = 2) -> list[np.ndarray]:
    """Scores, distances and offsets for each stride, as a graph gives them."""
    rng = np.random.default_rng(seed)
    counts = [(SIZE[0] // stride) * (SIZE[1] // stride) * per_cell for stride in strides]
    scores = [rng.uniform(0, 1, (count, 1)).astype(np.float32) for count in counts]
    boxes = [rng.uniform(0.2, 3, (count, 4)).astype(np.float32) for count in counts]
    landmarks = [rng.normal(0, 2, (count, 10)).astype(np.float32) for count in counts]
    return [*scores, *boxes, *landmarks]


class Node:
    def __init__(self, name: str, shape: list[int | str]) -> None:
        self.name, self.shape = name, shape


class AnsweringSession:
    """What InsightFace's SCRFD asks a session for; answers with the given outputs."""

    def __init__(self, answers: list[np.ndarray]) -> None:
        self._answers = answers

    def get_inputs(self) -> list[Node]:
        return [Node("input.1", [1, 3, *SIZE])]

    def get_outputs(self) -> list[Node]:
        return [Node(str(index), list(answer.shape)) for index, answer in enumerate(self._answers)]

    def run(self, names: Any, feeds: Any) -> list[np.ndarray]:
        return self._answers


def insightfaces(answers: list[np.ndarray], min_score: float) -> tuple[np.ndarray, np.ndarray]:
    """Its boxes with scores (n, 5) and its landmarks (n, 5, 2) for a photo of the detector's own size."""
    model = SCRFD(session=AnsweringSession(answers))
    boxes, landmarks = model.detect(np.zeros((*SIZE, 3), np.uint8), det_thresh=min_score)
    return boxes, landmarks


@pytest.mark.parametrize("grids", [(8, 16, 32), (8, 16, 32, 64, 128)])
@pytest.mark.parametrize("batch_axis", [False, True])
@pytest.mark.parametrize("min_score", [0.0, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("seed", range(2))
def test_same_faces_as_insightface(seed: int, min_score: float, grids: tuple[int, ...], *, batch_axis: bool) -> None:
    answers = outputs(seed, grids, per_cell=2 if len(grids) == 3 else 1)
    if batch_axis:
        answers = [answer[np.newaxis] for answer in answers]
    boxes, landmarks = insightfaces(answers, min_score)
    found = scrfd.suppress(scrfd.decode(answers, SIZE, min_score), limit=10_000)
    np.testing.assert_allclose(np.column_stack([found.boxes, found.scores]), boxes, atol=1e-3)
    np.testing.assert_allclose(found.landmarks, landmarks, atol=1e-3)


def test_outputs_may_come_in_any_order() -> None:
    answers = outputs(1)
    shuffled = [answers[index] for index in (8, 0, 5, 3, 1, 7, 2, 4, 6)]
    expected, found = (scrfd.decode(each, SIZE, 0.5) for each in (answers, shuffled))
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.landmarks, expected.landmarks)


@pytest.mark.parametrize("wrong", [outputs(0)[:6], outputs(0)[:8], [np.zeros((10, 3), np.float32)] * 9])
def test_other_graphs_are_refused(wrong: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="the detector gave"):
        scrfd.decode(wrong, SIZE, 0.5)


def test_nothing_is_certain_enough() -> None:
    found = scrfd.suppress(scrfd.decode(outputs(0), SIZE, 1.0), limit=10)
    assert (len(found), found.boxes.shape, found.landmarks.shape) == (0, (0, 4), (0, 5, 2))


def test_most_certain_first_and_no_more_than_asked() -> None:
    found = scrfd.suppress(scrfd.decode(outputs(0), SIZE, 0.0), limit=7)
    assert len(found) == 7
    assert (np.diff(found.scores) <= 0).all()


def test_overlapping_boxes_are_one_face() -> None:
    boxes = np.array([[0, 0, 99, 99], [10, 10, 109, 109], [80, 80, 179, 179]], np.float32)
    candidates = FaceCandidates(np.array([0.9, 0.8, 0.7], np.float32), boxes, np.zeros((3, 5, 2), np.float32))
    np.testing.assert_allclose(scrfd.suppress(candidates, 10).scores, [0.9, 0.7])
