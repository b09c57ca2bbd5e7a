"""What runs work in: given back by sessions that pause, by no other."""

from collections.abc import Mapping

from mesh.serving.inference.working_memory import PAUSE_SECONDS, WorkingMemory
from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Array, Feeds, Interruption, TensorInfo
from tests.clock import FakeClock


class Holding:
    """A session that counts how often it gave back; a run may be in the way."""

    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    metadata: Mapping[str, str] = {}
    provider = "Holding"
    memory_bytes = 10

    def __init__(self) -> None:
        self.released = 0
        self.running = False

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        return []

    def release_memory(self) -> bool:
        self.released += not self.running
        return not self.running

    def close(self) -> None:
        pass


def test_a_session_gives_back_after_its_pause_and_only_once() -> None:
    clock, session = FakeClock(), Holding()
    memory = WorkingMemory(clock)
    memory.ran(session)
    clock.now += PAUSE_SECONDS - 1
    assert not memory.release()
    clock.now += 1
    assert memory.release()
    clock.now += PAUSE_SECONDS
    assert not memory.release()
    assert session.released == 1


def test_the_wide_session_gives_back_while_the_narrow_one_runs_on() -> None:
    clock, narrow, wide = FakeClock(), Holding(), Holding()
    memory = WorkingMemory(clock)
    memory.ran(wide)
    clock.now += PAUSE_SECONDS
    memory.ran(narrow)
    assert memory.release()
    assert (narrow.released, wide.released) == (0, 1)


def test_one_that_runs_is_asked_again() -> None:
    clock, session = FakeClock(), Holding()
    memory = WorkingMemory(clock)
    memory.ran(session)
    clock.now += PAUSE_SECONDS
    session.running = True
    assert not memory.release()
    session.running = False
    assert memory.release()


def test_one_that_never_ran_holds_nothing() -> None:
    assert not WorkingMemory(FakeClock(1e6)).release()
