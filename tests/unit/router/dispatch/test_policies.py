"""The policies around one call: single flight, fallback, hedging and mirroring."""

import asyncio
import random

import pytest

from mesh.core.errors import DeadlineExceededError, MeshError, ModelUnavailableError, UnavailableError
from router.config import MirrorSettings, RouteSettings
from router.dispatch.policies.fallback import with_fallback
from router.dispatch.policies.hedge import hedged
from router.dispatch.policies.mirror import Mirror, agree
from router.dispatch.policies.single_flight import SingleFlight
from router.dispatch.routes import Destination
from router.dispatch.sending import Send, TaskCall
from router.domain.requests import Content, PredictRequest
from router.domain.results import ClipTextResult, Face, FaceResult, OcrResult, Result, TextLine
from router.domain.tasks import ClipTextual
from router.metrics import RouterMetrics
from router.upstream.clients import CallContext
from tests.doubles.upstream import FakeTiming, settle


def text_call(data: bytes = b"a dog", cluster: str = "clip", deadline: float = 1e9, fallback: str = "") -> TaskCall:
    """A text query on its way to a cluster."""
    task = ClipTextual("m")
    content = Content(data)
    destination = Destination(cluster, "m", None, None, RouteSettings(cluster=cluster), fallback)
    return TaskCall(task, PredictRequest([task], text=content), content, destination, CallContext(deadline))


def answered(*vector: float) -> ClipTextResult:
    return ClipTextResult(list(vector), "m")


DONE = answered(1, 0)


class Work:
    """Counts how often it was started."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, _: TaskCall) -> Result:
        self.started += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return DONE


class Flights:
    def __init__(self) -> None:
        self.timing = FakeTiming()
        self.shared: list[TaskCall] = []
        self.flights = SingleFlight(self.timing.now, self.shared.append)
        self.work = Work()
        self.calls: list[TaskCall] = []

    def go(self, data: bytes = b"photo", cluster: str = "clip", seconds: float = 10) -> asyncio.Task[Result]:
        call = text_call(data, cluster, self.timing.now() + seconds)
        self.calls.append(call)
        return asyncio.create_task(self.flights.send(call, self.work))


class TestSingleFlight:
    async def test_identical_requests_share_one_call(self) -> None:
        stand = Flights()
        tasks = [stand.go() for _ in range(3)]
        await settle()
        assert stand.work.started == 1
        stand.work.gate.set()
        assert await asyncio.gather(*tasks) == [DONE] * 3
        assert [call.context.stats.shared for call in stand.calls] == [False, True, True]
        assert stand.shared == stand.calls[1:]
        assert len(stand.flights) == 0

    async def test_other_bytes_or_another_question_are_other_calls(self) -> None:
        stand = Flights()
        middle = b"x" * 100
        tasks = [
            stand.go(b"a" * 64 + middle + b"b" * 64),
            stand.go(b"a" * 64 + b"y" * 100 + b"b" * 64),
            stand.go(cluster="other"),
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
        assert await second == DONE

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


def in_turn(*sends: Send) -> Send:
    """Each call goes another way: the first to the first, and so on."""
    left = iter(sends)

    async def send(call: TaskCall) -> Result:
        return await next(left)(call)

    return send


def after(event: asyncio.Event, result: Result) -> Send:
    async def send(_: TaskCall) -> Result:
        await event.wait()
        return result

    return send


class TestHedge:
    async def test_a_fast_answer_needs_no_second_try(self) -> None:
        now = asyncio.Event()
        now.set()
        hedges: list[None] = []
        assert await hedged(in_turn(after(now, DONE)), 10, lambda: hedges.append(None))(text_call()) == DONE
        assert hedges == []

    async def test_the_second_wins_when_the_first_is_slow_and_the_first_is_cancelled(self) -> None:
        never, now = asyncio.Event(), asyncio.Event()
        now.set()
        tasks, hedges = asyncio.all_tasks(), list[None]()
        send = in_turn(after(never, answered(0, 1)), after(now, DONE))
        assert await hedged(send, 0.001, lambda: hedges.append(None))(text_call()) == DONE
        assert len(hedges) == 1
        assert asyncio.all_tasks() == tasks

    async def test_the_second_goes_elsewhere_with_stats_of_its_own(self) -> None:
        sent: list[TaskCall] = []

        async def send(call: TaskCall) -> Result:
            sent.append(call)
            if len(sent) == 1:
                call.context.stats.endpoint = "a:1"
                await asyncio.Event().wait()
            return DONE

        await hedged(send, 0.001, lambda: None)(text_call())
        first, second = sent
        assert second.context.avoid == {"a:1"}
        assert second.context.stats is not first.context.stats

    async def test_an_error_waits_for_the_other(self) -> None:
        gate = asyncio.Event()

        async def fails(_: TaskCall) -> Result:
            await asyncio.sleep(0.002)
            gate.set()
            raise MeshError("first")

        assert await hedged(in_turn(fails, after(gate, DONE)), 0.001, lambda: None)(text_call()) == DONE


class Side:
    """A cluster that answers, or is down."""

    def __init__(self, error: UnavailableError | None = None) -> None:
        self.can_serve = False
        self.error = error or UnavailableError("down")
        self.calls: list[TaskCall] = []

    def wait_until(self, seconds: float) -> float:
        return 1000.0 + seconds

    async def send(self, call: TaskCall) -> Result:
        self.calls.append(call)
        raise self.error


class TestFallback:
    async def test_a_cluster_that_stays_down_is_answered_by_the_last_resort(self) -> None:
        own, metrics, resorts = Side(), RouterMetrics(), list[TaskCall]()

        async def last_resort(call: TaskCall) -> Result:
            resorts.append(call)
            return DONE

        send = with_fallback(own.send, last_resort, lambda _: own, metrics)
        assert await send(text_call(fallback="immich")) == DONE
        assert own.calls[0].context.hold_until == 1060.0
        assert (resorts[0].destination.cluster, resorts[0].context.hold_until) == ("immich", None)
        labels = {"cluster": "immich"}
        assert metrics.registry.get_sample_value("immich_mesh_upstream_fallbacks_total", labels) == 1

    async def test_a_cluster_that_cannot_have_the_model_is_answered_by_it_too(self) -> None:
        own = Side(ModelUnavailableError("no hub"))
        own.can_serve = True
        now = asyncio.Event()
        now.set()
        send = with_fallback(own.send, after(now, DONE), lambda _: own, RouterMetrics())
        assert await send(text_call(fallback="immich")) == DONE

    async def test_a_cluster_that_can_serve_again_keeps_its_error(self) -> None:
        own = Side()
        own.can_serve = True
        send = with_fallback(own.send, after(asyncio.Event(), DONE), lambda _: own, RouterMetrics())
        with pytest.raises(UnavailableError):
            await send(text_call(fallback="immich"))


def ocr(*texts: str) -> OcrResult:
    return OcrResult([TextLine(text, (0, 0, 1, 0, 1, 1, 0, 1), 0.9, 0.9) for text in texts], 10, 10, "m")


def faces(*vectors: list[float]) -> FaceResult:
    return FaceResult([Face(0, 0, 1, 1, 0.9, vector) for vector in vectors], 10, 10, "m")


class TestMirror:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (answered(1, 0), answered(0.999, 0.01), True),
            (answered(1, 0), answered(0, 1), False),
            (answered(1, 0), answered(1, 0, 0), False),
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
        now = asyncio.Event()
        now.set()
        copied: list[TaskCall] = []

        async def fails(_: TaskCall) -> Result:
            raise MeshError("down")

        for copy in (after(now, DONE), after(now, answered(0, 1)), fails, after(now, DONE)):

            async def shadow(call: TaskCall, copy: Send = copy) -> Result:
                copied.append(call)
                return await copy(call)

            assert await mirror.around(after(now, DONE), settings, shadow)(text_call()) == DONE
        await settle()
        counted = {
            outcome: metrics.registry.get_sample_value(
                "immich_mesh_upstream_mirrored_total", {"cluster": "shadow", "outcome": outcome}
            )
            for outcome in ("same", "different", "failed", "left_out")
        }
        assert counted == {"same": 1, "different": 1, "failed": 1, "left_out": 1}
        assert {(call.destination.cluster, call.context.hold) for call in copied} == {("shadow", False)}

    async def test_only_the_share_asked_for_is_copied(self) -> None:
        metrics = RouterMetrics()
        mirror = Mirror(metrics, random.Random(1))
        now = asyncio.Event()
        now.set()
        send = after(now, DONE)
        mirrored = mirror.around(send, MirrorSettings(cluster="s", percent=10, max_concurrent=1000), send)
        for _ in range(1000):
            await mirrored(text_call())
        await settle()
        labels = {"cluster": "s", "outcome": "same"}
        counted = metrics.registry.get_sample_value("immich_mesh_upstream_mirrored_total", labels)
        assert counted is not None
        assert 60 < counted < 140
