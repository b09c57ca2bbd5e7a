"""What counts as the same result in another precision."""

from collections.abc import Mapping

import numpy as np
import pytest

from mesh.serving.runtimes.guarded import GuardedSession, NonFiniteOutputError
from mesh.serving.runtimes.self_check import SelfCheck, all_finite, cosine_of, default_check
from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Array, Feeds, Interruption, TensorInfo

ROW = np.array([[3.0, 4.0]], np.float32)


def fault_of(exact: Array, given: Array) -> str:
    return SelfCheck([{}]).compare([[exact]], [[given]]).fault


def test_directions_may_differ_by_a_cosine_of_a_thousandth() -> None:
    assert fault_of(ROW, ROW * 1.01) == ""
    assert fault_of(ROW, ROW + np.array([[0.05, 0.0]], np.float32)) == ""
    assert (
        fault_of(ROW, ROW + np.array([[0.5, 0.0]], np.float32))
        == "its outputs have a cosine of 0.9972 to fp32's, below 0.999"
    )


def test_numbers_near_zero_have_no_direction() -> None:
    assert cosine_of(np.zeros(3), np.full(3, 1e-4)) == 1.0
    assert cosine_of(np.zeros(3), np.ones(3)) == 0.0


def test_another_number_of_rows_is_another_result() -> None:
    assert cosine_of(np.ones((2, 3)), np.ones((3, 3))) == -1.0


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_overflow_is_seen_wherever_it_is(value: float) -> None:
    outputs: list[Array] = [np.zeros((2, 1000), np.float32), np.ones(3, np.int64)]
    assert all_finite(outputs)
    outputs[0][1, 777] = value
    assert not all_finite(outputs)
    assert fault_of(np.zeros((2, 1000)), outputs[0]) == "its outputs are not finite"


def test_large_finite_numbers_are_no_overflow() -> None:
    assert all_finite([np.full(1000, np.finfo(np.float32).max, np.float32)])


def test_made_up_inputs_have_the_usual_shapes() -> None:
    image, tokens = TensorInfo("x", (None, 3, None, None), "float32"), TensorInfo("t", (None, 7), "int64")
    check = default_check([image, tokens], {2: 48, 3: 320})
    assert check is not None
    assert [(feeds["x"].shape, feeds["t"].dtype.name) for feeds in check.feeds] == [((1, 3, 48, 320), "int64")] * 2
    assert default_check([image], {2: 48}) is None


class Giving:
    """A session that gives what it was made with."""

    inputs = outputs = (TensorInfo("x", (None, 1), "float32"),)
    metadata: Mapping[str, str] = {}
    provider = "Giving"
    memory_bytes = 10

    def __init__(self, value: float) -> None:
        self.value = value
        self.released = False
        self.closed = False

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        return [feeds["x"] * 0 + np.float32(self.value)]

    def release_memory(self) -> bool:
        self.released = True
        return True

    def close(self) -> None:
        self.closed = True


ITEM = {"x": np.ones((1, 1), np.float32)}


def test_what_overflows_is_computed_again_in_fp32() -> None:
    opened: list[Giving] = []

    def open_exact() -> Giving:
        opened.append(Giving(7.0))
        return opened[-1]

    fast = Giving(5.0)
    session = GuardedSession(fast, open_exact)
    assert session.run(ITEM)[0].tolist() == [[5.0]]
    assert (opened, session.memory_bytes) == ([], 10)
    fast.value = np.inf
    assert [session.run(ITEM)[0].item() for _ in range(2)] == [7.0, 7.0]
    assert (len(opened), session.memory_bytes) == (1, 20)
    assert session.release_memory()
    assert (fast.released, opened[0].released) == (True, True)
    session.close()
    assert fast.closed
    assert opened[0].closed


def test_what_is_not_finite_in_fp32_either_is_an_error_of_the_run() -> None:
    with pytest.raises(NonFiniteOutputError):
        GuardedSession(Giving(np.nan)).run(ITEM)
    with pytest.raises(NonFiniteOutputError):
        GuardedSession(Giving(np.nan), lambda: Giving(np.inf)).run(ITEM)
