"""The batcher's invariants, by example and by random schedules on a fake clock."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.core.errors import DeadlineExceededError, OverloadedError, UnavailableError
from mesh.serving.inference.batcher import Batcher
from tests.clock import FakeClock


@dataclass
class FakeTimer:
    """Calls back when the clock that it belongs to has gone far enough."""

    clock: FakeClock
    due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __call__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.due.append((self.clock.now + seconds, callback))

    def ring(self) -> None:
        ripe = [entry for entry in self.due if entry[0] <= self.clock.now]
        self.due = [entry for entry in self.due if entry not in ripe]
        for _, callback in ripe:
            callback()


@dataclass
class GatedModel:
    """A model whose runs end when the test says so; it answers `-item` and fails on items in `bad`."""

    bad: frozenset[int] = frozenset()
    open: bool = True
    batches: list[list[int]] = field(default_factory=list)
    gates: list[asyncio.Event] = field(default_factory=list)

    async def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        if not self.open:
            gate = asyncio.Event()
            self.gates.append(gate)
            await gate.wait()
        if self.bad.intersection(batch):
            raise ValueError(f"bad input in {list(batch)}")
        return [-item for item in batch]

    def finish(self, number: int) -> None:
        if number < len(self.gates):
            self.gates[number].set()

    def finish_all(self) -> None:
        self.open = True
        for gate in self.gates:
            gate.set()


def make(
    model: GatedModel,
    *,
    workers: int = 1,
    max_batch_size: int = 4,
    max_queue_size: int = 100,
    max_queue_delay_seconds: float = 0.0,
    clock: FakeClock | None = None,
    timer: FakeTimer | None = None,
) -> Batcher[int, int]:
    return Batcher(
        model,
        workers=workers,
        max_batch_size=max_batch_size,
        max_queue_size=max_queue_size,
        max_queue_delay_seconds=max_queue_delay_seconds,
        clock=clock or FakeClock(),
        call_later=timer,
    )


async def settle() -> None:
    """Lets every task that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_idle_worker_starts_at_once() -> None:
    model = GatedModel()
    assert await make(model).submit(7) == -7
    assert model.batches == [[7]]


async def test_what_is_submitted_together_runs_together() -> None:
    model = GatedModel()
    batcher = make(model)
    assert await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3))) == [-1, -2, -3]
    assert model.batches == [[1, 2, 3]]


async def test_while_the_worker_is_busy_the_next_batch_grows_up_to_its_limit() -> None:
    model = GatedModel(open=False)
    batcher = make(model)
    tasks = [asyncio.create_task(batcher.submit(0))]
    await settle()
    for item in range(1, 7):
        tasks.append(asyncio.create_task(batcher.submit(item)))
        await settle()
    assert model.batches == [[0]]
    model.finish_all()
    assert await asyncio.gather(*tasks) == [0, -1, -2, -3, -4, -5, -6]
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_workers_share_what_waits() -> None:
    model = GatedModel()
    batcher = make(model, workers=2, max_batch_size=8)
    await asyncio.gather(*(batcher.submit(item) for item in range(10)))
    assert model.batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


async def test_only_items_of_one_key_share_a_batch_and_the_oldest_goes_first() -> None:
    model, clock = GatedModel(open=False), FakeClock()
    batcher = make(model, clock=clock)
    tasks = []
    for item, key in [(0, "a"), (1, "b"), (2, "a"), (3, "b")]:
        clock.now += 1
        tasks.append(asyncio.create_task(batcher.submit(item, key=key)))
        await settle()
    model.finish_all()
    await asyncio.gather(*tasks)
    assert model.batches == [[0], [1, 3], [2]]


async def test_a_full_queue_refuses_at_once() -> None:
    model = GatedModel(open=False)
    batcher = make(model, max_queue_size=2)
    tasks = []
    for item in range(3):
        tasks.append(asyncio.create_task(batcher.submit(item)))
        await settle()
    with pytest.raises(OverloadedError):
        await batcher.submit(3)
    model.finish_all()
    assert await asyncio.gather(*tasks) == [0, -1, -2]


async def test_cancelled_items_make_room_at_once() -> None:
    model = GatedModel(open=False)
    batcher = make(model, max_queue_size=2)
    tasks = []
    for item in range(3):
        tasks.append(asyncio.create_task(batcher.submit(item)))
        await settle()
    tasks[1].cancel()
    await settle()
    assert batcher.waiting == 1
    tasks.append(asyncio.create_task(batcher.submit(3)))
    await settle()
    model.finish_all()
    assert await asyncio.gather(tasks[0], *tasks[2:]) == [0, -2, -3]
    assert model.batches == [[0], [2, 3]]


async def test_expired_and_cancelled_items_never_reach_the_model() -> None:
    model, clock = GatedModel(open=False), FakeClock()
    batcher = make(model, clock=clock)
    running = asyncio.create_task(batcher.submit(0))
    await settle()
    expired = asyncio.create_task(batcher.submit(1, deadline=5.0))
    cancelled = asyncio.create_task(batcher.submit(2))
    alive = asyncio.create_task(batcher.submit(3, deadline=50.0))
    await settle()
    cancelled.cancel()
    clock.now = 10.0
    model.finish_all()
    with pytest.raises(DeadlineExceededError):
        await expired
    assert await running == 0
    assert await alive == -3
    assert model.batches == [[0], [3]]


async def test_a_failed_batch_is_run_again_item_by_item() -> None:
    model = GatedModel(open=False, bad=frozenset({2}))
    batcher = make(model)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in range(4)]
    model.finish_all()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:2] == [0, -1]
    assert isinstance(results[2], ValueError)
    assert results[3] == -3
    assert model.batches == [[0, 1, 2, 3], [0], [1], [2], [3]]


async def test_a_wrong_number_of_results_is_a_failure_not_a_mix_up() -> None:
    async def short(batch: Sequence[int]) -> list[int]:
        return [0] * (len(batch) - 1)

    batcher: Batcher[int, int] = Batcher(short, workers=1, max_batch_size=2, max_queue_size=9)
    with pytest.raises(RuntimeError, match="0 results for 1 inputs"):
        await batcher.submit(1)
    with pytest.raises(RuntimeError):  # and the next one is still served
        await batcher.submit(2)


async def test_a_delay_lets_a_batch_fill_up_but_a_full_one_starts_at_once() -> None:
    model, clock = GatedModel(), FakeClock()
    batcher = make(model, clock=clock, max_queue_delay_seconds=3600.0, max_batch_size=2)
    first = asyncio.create_task(batcher.submit(1))
    await settle()
    assert model.batches == []
    assert await batcher.submit(2) == -2
    assert await first == -1
    assert model.batches == [[1, 2]]


async def test_a_batch_starts_as_it_is_when_its_delay_ends() -> None:
    model, clock = GatedModel(), FakeClock()
    timer = FakeTimer(clock)
    batcher = make(model, clock=clock, timer=timer, max_queue_delay_seconds=0.5)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in range(2)]
    await settle()
    clock.now = 0.4
    timer.ring()
    await settle()
    assert model.batches == []
    clock.now = 0.5
    timer.ring()
    assert await asyncio.gather(*tasks) == [0, -1]
    assert model.batches == [[0, 1]]


async def test_a_batch_that_grows_holds_up_no_full_one() -> None:
    model = GatedModel()
    batcher = make(model, workers=2, max_queue_delay_seconds=3600.0, max_batch_size=2)
    young = asyncio.create_task(batcher.submit(0, key="a"))
    await settle()
    assert await asyncio.gather(*(batcher.submit(item, key="b") for item in (1, 2))) == [-1, -2]
    assert model.batches == [[1, 2]]
    await batcher.close()
    assert await young == 0


async def test_closing_answers_what_waits_and_refuses_what_comes() -> None:
    model = GatedModel(open=False)
    batcher = make(model, max_queue_delay_seconds=3600.0)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in range(3)]
    await settle()
    closing = asyncio.create_task(batcher.close())
    await settle()
    with pytest.raises(UnavailableError):
        await batcher.submit(9)
    model.finish_all()
    await closing
    assert await asyncio.gather(*tasks) == [0, -1, -2]


Action = tuple[str, int, int | None]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 2), st.one_of(st.none(), st.integers(0, 20))),
        st.tuples(st.just("tick"), st.integers(1, 10), st.none()),
        st.tuples(st.just("finish"), st.integers(0, 3), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.none()),
        st.tuples(st.just("close"), st.just(0), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    actions=ACTIONS,
    workers=st.integers(1, 3),
    size=st.integers(1, 5),
    bad=st.frozensets(st.integers(0, 40), max_size=5),
    delay=st.sampled_from([0.0, 3.0, 30.0]),
)
def test_any_schedule_resolves_every_item_exactly_once(
    actions: list[Action], workers: int, size: int, bad: frozenset[int], delay: float
) -> None:
    asyncio.run(_play(actions, workers, size, bad, delay))


async def _play(actions: list[Action], workers: int, size: int, bad: frozenset[int], delay: float) -> None:
    model, clock = GatedModel(open=False, bad=bad), FakeClock()
    timer = FakeTimer(clock)
    batcher = make(
        model,
        workers=workers,
        max_batch_size=size,
        max_queue_size=10,
        max_queue_delay_seconds=delay,
        clock=clock,
        timer=timer,
    )
    tasks: list[asyncio.Task[int]] = []
    cancelled: set[int] = set()
    closing: set[asyncio.Task[None]] = set()
    for action, number, extra in actions:
        if action == "submit":
            deadline = None if extra is None else clock.now + extra
            tasks.append(asyncio.create_task(batcher.submit(len(tasks), key=number, deadline=deadline)))
        elif action == "tick":
            clock.now += number
        elif action == "finish":
            model.finish(number)
        elif action == "cancel" and number < len(tasks) and tasks[number].cancel():
            cancelled.add(number)
        elif action == "close":
            closing.add(asyncio.create_task(batcher.close()))
        timer.ring()
        await settle()
        assert batcher.busy <= workers
        assert batcher.waiting <= min(10, sum(not task.done() for task in tasks))
    model.finish_all()
    closing.add(asyncio.create_task(batcher.close()))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*closing)
    assert batcher.waiting == batcher.busy == 0
    _check(results, model, cancelled, size)


def _check(results: Sequence[int | BaseException], model: GatedModel, cancelled: set[int], size: int) -> None:
    for item, result in enumerate(results):
        if isinstance(result, int):
            assert result == -item
            assert item not in model.bad
        elif isinstance(result, asyncio.CancelledError):
            assert item in cancelled
        else:
            assert isinstance(result, OverloadedError | DeadlineExceededError | UnavailableError) or item in model.bad
    seen = [item for batch in model.batches for item in batch]
    for item, result in enumerate(results):
        if isinstance(result, OverloadedError | DeadlineExceededError | UnavailableError):
            assert item not in seen
    assert all(len(batch) <= size for batch in model.batches)
