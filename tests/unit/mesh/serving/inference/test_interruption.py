"""A query ends the photos' runs, which begin anew; seldom enough that photos come on under any number of queries."""

import threading
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from mesh.serving.inference.interruption import MAX_INTERRUPTIONS, PAUSE_SECONDS, Interrupter
from mesh.serving.inference.precedence import POLL_SECONDS, Precedence
from mesh.serving.runtimes.session import InterruptedRunError, Interruption
from tests.waiting import PATIENCE_SECONDS


class Run:
    """A run that lasts until it is ended, or let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.begins = 0
        self._over = threading.Event()
        self._ended = False

    def __call__(self, interruption: Interruption) -> str:
        self.begins += 1
        with interruption.may_end(self._end):
            self.begun.release()
            assert self._over.wait(PATIENCE_SECONDS)
        self._over.clear()
        if self._ended:
            self._ended = False
            self.ended.release()
            raise InterruptedRunError
        return "answer"

    def _end(self) -> None:
        self._ended = True
        self._over.set()

    def finish(self) -> None:
        self._over.set()


class Watch:
    """Sleeps as a test lets it: what it was asked for is remembered."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self._turns = threading.Semaphore(0)
        self._open = False

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if not self._open:
            assert self._turns.acquire(timeout=PATIENCE_SECONDS)

    def look_again(self) -> None:
        self._turns.release()

    def stay_open(self) -> None:
        self._open = True
        self._turns.release()


@pytest.fixture
def precedence() -> Precedence:
    """At one moment for ever: no query takes too long, and nobody waits too long for one."""
    return Precedence(clock=lambda: 1000.0)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def interrupter(precedence: Precedence, watch: Watch) -> Iterator[Interrupter]:
    interrupter = Interrupter(precedence, sleep=watch.sleep)
    yield interrupter
    watch.stay_open()
    interrupter.close()


@pytest.fixture
def started(interrupter: Interrupter) -> Iterator[Callable[[Run], Callable[[], str]]]:
    """Begins a run on a thread of its own; what it gives waits for the answer."""
    threads: list[threading.Thread] = []

    def start(run: Run) -> Callable[[], str]:
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(interrupter.run(run)))
        threads.append(thread)
        thread.start()
        assert run.begun.acquire(timeout=PATIENCE_SECONDS)

        def answer() -> str:
            thread.join(PATIENCE_SECONDS)
            return answers[0]

        return answer

    yield start
    for thread in threads:
        thread.join(PATIENCE_SECONDS)


Start = Callable[[Run], Callable[[], str]]


def interrupted_runs() -> float:
    return REGISTRY.get_sample_value("immich_mesh_interrupted_runs_total") or 0.0


def test_a_run_without_a_query_goes_through(started: Start) -> None:
    run = Run()
    answer = started(run)
    run.finish()
    assert answer() == "answer"
    assert run.begins == 1


def test_a_query_ends_a_run_which_begins_anew_after_it(started: Start, precedence: Precedence, watch: Watch) -> None:
    run, before = Run(), interrupted_runs()
    answer = started(run)
    with precedence.query():
        watch.look_again()
        assert run.ended.acquire(timeout=PATIENCE_SECONDS)
        assert run.begins == 1
    assert run.begun.acquire(timeout=PATIENCE_SECONDS)
    run.finish()
    assert answer() == "answer"
    assert run.begins == 2
    assert interrupted_runs() - before == 1


def test_after_runs_were_ended_the_next_query_ends_none_for_a_while(
    started: Start, precedence: Precedence, watch: Watch
) -> None:
    run = Run()
    answer = started(run)
    with precedence.query():
        watch.look_again()
        assert run.ended.acquire(timeout=PATIENCE_SECONDS)
    assert run.begun.acquire(timeout=PATIENCE_SECONDS)
    assert watch.sleeps == [POLL_SECONDS, PAUSE_SECONDS]  # and no look before it has passed
    run.finish()
    assert answer() == "answer"


def test_a_run_is_ended_so_often_and_no_more(started: Start, precedence: Precedence, watch: Watch) -> None:
    run = Run()
    answer = started(run)
    watch.stay_open()
    for _ in range(MAX_INTERRUPTIONS):
        with precedence.query():
            assert run.ended.acquire(timeout=PATIENCE_SECONDS)
        assert run.begun.acquire(timeout=PATIENCE_SECONDS)
    with precedence.query():
        run.finish()
        assert answer() == "answer"
    assert run.begins == MAX_INTERRUPTIONS + 1
