"""Single flight, hedging and mirroring."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from mesh.core.errors import DeadlineExceededError, MeshError
from router.config import MirrorSettings
from router.dispatch.hedge import hedged
from router.dispatch.mirror import Mirror, agree
from router.dispatch.single_flight import SingleFlight
from router.domain.results import ClipTextResult, Face, FaceResult, OcrResult, Result, TextLine
from router.metrics import RouterMetrics
from router.upstream.calls import CallStats, Content
from tests.doubles.upstream import FakeTiming, settle


class Work:
    """Counts how often it was started."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> str:
        self.started += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return "done"


class Flights:
    def __init__(self) -> None:
        self.timing = FakeTiming()
        self.flights = SingleFlight(self.timing)
        self.work = Work()

    def go(
        self, data: bytes = b"photo", asked: str = "ocr", seconds: float = 10, trail: CallStats | None = None
    ) -> Any:
        deadline = self.timing.now() + seconds
        return asyncio.create_task(self.flights.run(asked, Content(data), deadline, trail or CallStats(), self.work))


class TestSingleFlight:
    async def test_identical_requests_share_one_call(self) -> None:
        stand = Flights()
        trails = [CallStats(), CallStats(), CallStats()]
        tasks = [stand.go(trail=trail) for trail in trails]
        await settle()
        assert stand.work.started == 1
        stand.work.gate.set()
        assert await asyncio.gather(*tasks) == ["done"] * 3
        assert [trail.shared for trail in trails] == [False, True, True]
        assert len(stand.flights) == 0

    async def test_other_bytes_or_another_question_are_other_calls(self) -> None:
        stand = Flights()
        middle = b"x" * 100
        tasks = [
            stand.go(b"a" * 64 + middle + b"b" * 64),
            stand.go(b"a" * 64 + b"y" * 100 + b"b" * 64),
            stand.go(asked="face"),
        ]
        await settle()
        assert stand.work.started == 3
        stand.work.gate.set()
        await asyncio.gather(*tasks)

    async def test_one_that_leaves_takes_nothing_from_the_others(self) -> None:
        stand = Flights()
        first, second = stand.go(), stand.go()
        await settle()
        first.cancel()
        await settle()
        assert stand.work.cancelled == 0
        stand.work.gate.set()
        assert await second == "done"

    async def test_the_last_to_leave_cancels_the_call(self) -> None:
        stand = Flights()
        tasks = [stand.go(), stand.go()]
        await settle()
        for task in tasks:
            task.cancel()
        await settle()
        assert stand.work.cancelled == 1
        assert len(stand.flights) == 0

    async def test_an_error_reaches_everyone(self) -> None:
        stand = Flights()
        stand.work.error = MeshError("broken")
        tasks = [stand.go(), stand.go()]
        await settle()
        stand.work.gate.set()
        assert [str(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == ["broken"] * 2

    async def test_a_caller_with_more_time_goes_on_alone(self) -> None:
        stand = Flights()
        stand.work.error = DeadlineExceededError("too late")
        first, second = stand.go(seconds=1), stand.go(seconds=100)
        await settle()
        stand.timing._now += 2
        stand.work.gate.set()
        with pytest.raises(DeadlineExceededError):
            await first
        with pytest.raises(DeadlineExceededError):
            await second
        assert stand.work.started == 2


async def later(event: asyncio.Event, value: str) -> str:
    await event.wait()
    return value


class TestHedge:
    async def test_a_fast_answer_needs_no_second_try(self) -> None:
        async def first() -> str:
            return "first"

        def second() -> Coroutine[Any, Any, str]:
            raise AssertionError("not needed")

        assert await hedged(first(), 10, second) == "first"

    async def test_the_second_wins_when_the_first_is_slow_and_the_first_is_cancelled(self) -> None:
        never, now = asyncio.Event(), asyncio.Event()
        now.set()
        tasks = asyncio.all_tasks()
        assert await hedged(later(never, "first"), 0.001, lambda: later(now, "second")) == "second"
        assert asyncio.all_tasks() == tasks

    async def test_an_error_waits_for_the_other(self) -> None:
        gate = asyncio.Event()

        async def fails() -> str:
            await asyncio.sleep(0.002)
            gate.set()
            raise MeshError("first")

        assert await hedged(fails(), 0.001, lambda: later(gate, "second")) == "second"


def clip(*vector: float) -> ClipTextResult:
    return ClipTextResult(list(vector), "m")


def ocr(*texts: str) -> OcrResult:
    return OcrResult([TextLine(text, (0, 0, 1, 0, 1, 1, 0, 1), 0.9, 0.9) for text in texts], 10, 10, "m")


def faces(*vectors: list[float]) -> FaceResult:
    return FaceResult([Face(0, 0, 1, 1, 0.9, vector) for vector in vectors], 10, 10, "m")


class TestMirror:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (clip(1, 0), clip(0.999, 0.01), True),
            (clip(1, 0), clip(0, 1), False),
            (clip(1, 0), clip(1, 0, 0), False),
            (ocr("a"), ocr("a"), True),
            (ocr("a"), ocr("a", "b"), False),
            (faces([1, 0]), faces([1, 0]), True),
            (faces([1, 0]), faces([0, 1]), False),
            (faces([1, 0]), faces(), False),
        ],
    )
    def test_what_counts_as_the_same(self, one: Result, other: Result, same: bool) -> None:
        assert agree(one, other) is same

    async def test_copies_are_compared_and_counted(self) -> None:
        metrics = RouterMetrics()
        mirror = Mirror(metrics, random.Random(1))
        settings = MirrorSettings(cluster="shadow", max_concurrent=3)
        answers: list[Result | Exception] = [clip(1, 0), clip(0, 1), MeshError("down")]

        def copy(answer: Result | Exception) -> None:
            async def send() -> Result:
                if isinstance(answer, Exception):
                    raise answer
                return answer

            mirror.copy(settings, clip(1, 0), send)

        for answer in [*answers, clip(1, 0)]:
            copy(answer)
        await settle()
        counted = {
            outcome: metrics.registry.get_sample_value(
                "immich_mesh_upstream_mirrored_total", {"cluster": "shadow", "outcome": outcome}
            )
            for outcome in ("same", "different", "failed", "left_out")
        }
        assert counted == {"same": 1, "different": 1, "failed": 1, "left_out": 1}

    async def test_only_the_share_asked_for_is_copied(self) -> None:
        metrics = RouterMetrics()
        mirror = Mirror(metrics, random.Random(1))

        async def send() -> Result:
            return clip(1, 0)

        for _ in range(1000):
            mirror.copy(MirrorSettings(cluster="s", percent=10, max_concurrent=1000), clip(1, 0), send)
        await settle()
        labels = {"cluster": "s", "outcome": "same"}
        counted = metrics.registry.get_sample_value("immich_mesh_upstream_mirrored_total", labels)
        assert counted is not None
        assert 60 < counted < 140
