"""What a cluster does with a call: balance, retry, hold, give up. Time and endpoints are fakes."""

import asyncio

import pytest
from structlog.testing import capture_logs

from mesh.core.errors import DeadlineExceededError, MeshError, OverloadedError, UnavailableError
from router.config import CircuitBreakerSettings, OutlierSettings, RetryBudgetSettings, RetrySettings
from router.domain.tasks import Lane
from router.upstream.calls import ClusterRemovedError, FailureKind
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Probe, Transport
from tests.doubles.upstream import Blocked, FakeEndpoints, Stand, failing, failing_first, settle


async def test_a_call_is_answered_and_its_trail_says_how() -> None:
    async with Stand() as stand:
        call = stand.call()
        assert await stand.cluster.call(call, stand.policy) == "ok"
        assert (call.stats.cluster, call.stats.endpoint, call.stats.tries) == ("test", "a:1", 1)
        assert stand.count("upstream_tries_total", cluster="test", outcome="ok") == 1


async def test_requests_go_to_the_less_busy_endpoint() -> None:
    async with Stand(count=2) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = stand.endpoints["b:1"].behave = blocked
        tasks = [stand.send(b"%d" % number) for number in range(10)]
        await settle()
        assert stand.endpoints.calls() == {"a:1": 5, "b:1": 5}
        blocked.release()
        assert await asyncio.gather(*tasks) == ["ok"] * 10


@pytest.mark.parametrize(
    "kind", [FailureKind.UNREACHABLE, FailureKind.DIED, FailureKind.UNAVAILABLE, FailureKind.BROKEN]
)
async def test_a_failed_try_goes_on_at_another_endpoint(kind: FailureKind) -> None:
    async with Stand(count=2) as stand:
        stand.endpoints["a:1"].behave = failing(kind)
        tasks = [stand.send(b"%d" % number) for number in range(6)]
        await stand.timing.advance(5)
        assert await asyncio.gather(*tasks) == ["ok"] * 6
        assert stand.endpoints.calls()["b:1"] == 6


async def test_a_client_error_is_final_and_no_endpoints_fault() -> None:
    async with Stand(count=2) as stand:
        for transport in stand.endpoints.by_address.values():
            transport.behave = failing(FailureKind.CLIENT)
        for number in range(20):
            with pytest.raises(MeshError, match="client"):
                await stand.send(b"%d" % number)
        assert sum(stand.endpoints.calls().values()) == 20
        assert set(stand.cluster.endpoint_states()) == {"healthy"}


async def test_an_internal_error_is_tried_once_more_and_then_told() -> None:
    async with Stand(count=3) as stand:
        for transport in stand.endpoints.by_address.values():
            transport.behave = failing(FailureKind.BROKEN)
        task = stand.send()
        await stand.timing.advance(5)
        with pytest.raises(MeshError, match="broken"):
            await task
        assert sorted(stand.endpoints.calls().values()) == [0, 1, 1]


async def test_without_a_healthy_endpoint_requests_wait_in_their_order() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = Probe.NOT_SERVING
        await stand.timing.advance(3)
        tasks = [stand.send(b"%d" % number) for number in range(5)]
        await stand.timing.advance(100)
        assert stand.cluster.held(Lane.IMAGE) == 5
        assert stand.cluster.held_bytes() == 5
        assert stand.cluster.longest_wait_seconds() == 100
        assert not stand.endpoints["a:1"].calls
        stand.endpoints["a:1"].health = Probe.SERVING
        await stand.timing.advance(1)
        assert await asyncio.gather(*tasks) == ["ok"] * 5
        assert [call.content.data for call in stand.endpoints["a:1"].calls] == [b"0", b"1", b"2", b"3", b"4"]
        assert stand.endpoints["a:1"].calls[0].stats.held_seconds > 99
        assert stand.cluster.held(Lane.IMAGE) == 0
        assert stand.cluster.longest_wait_seconds() == 0


async def test_a_held_request_ends_at_its_deadline_and_says_why() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = Probe.UNREACHABLE
        await stand.timing.advance(3)
        task = stand.send(seconds=240)
        await stand.timing.advance(239)
        assert not task.done()
        await stand.timing.advance(2)
        with pytest.raises(UnavailableError, match="a:1 cannot be connected to"):
            await task
        assert stand.cluster.held(Lane.IMAGE) == 0


async def test_text_passes_by_held_images() -> None:
    limits = CircuitBreakerSettings(max_requests=1)
    async with Stand(circuit_breakers=limits) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        images = [stand.send(b"%d" % number) for number in range(3)]
        await settle()
        text = stand.send(b"dog", lane=Lane.TEXT)
        await settle()
        assert stand.endpoints["a:1"].calls[-1].content.data == b"dog"
        assert stand.cluster.held(Lane.IMAGE) == 2
        blocked.release()
        await asyncio.gather(text, *images)


async def test_when_an_endpoint_returns_text_goes_first() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = Probe.NOT_SERVING
        await stand.timing.advance(3)
        tasks = [stand.send(b"photo"), stand.send(b"dog", lane=Lane.TEXT)]
        await settle()
        stand.endpoints["a:1"].health = Probe.SERVING
        await stand.timing.advance(1)
        await asyncio.gather(*tasks)
        assert [call.content.data for call in stand.endpoints["a:1"].calls] == [b"dog", b"photo"]


async def test_the_hold_queue_is_bounded_in_number_and_bytes() -> None:
    limits = CircuitBreakerSettings(max_pending_requests=2, max_pending_bytes=10)
    async with Stand(circuit_breakers=limits) as stand:
        stand.endpoints["a:1"].health = Probe.NOT_SERVING
        await stand.timing.advance(3)
        waiting = [stand.send(b"12345"), stand.send(b"1234")]
        await settle()
        with pytest.raises(OverloadedError, match="2 requests wait"):
            await stand.send(b"x")
        waiting.pop().cancel()
        await settle()
        with pytest.raises(OverloadedError, match="memory limit"):
            await stand.send(b"123456")
        assert stand.count("upstream_rejected_total", cluster="test", lane="image") == 2
        waiting[0].cancel()
        await settle()
        assert stand.cluster.held_bytes() == 0


async def test_a_caller_that_leaves_frees_its_place_and_cancels_the_call() -> None:
    async with Stand(circuit_breakers=CircuitBreakerSettings(max_requests=1)) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        first, second = stand.send(b"1"), stand.send(b"2")
        await settle()
        assert (blocked.waiting, stand.cluster.held(Lane.IMAGE)) == (1, 1)
        first.cancel()
        await settle()
        assert blocked.cancelled == 1
        assert stand.cluster.held(Lane.IMAGE) == 0
        assert stand.cluster.active(Lane.IMAGE) == 1
        blocked.release()
        assert await second == "ok"
        assert stand.cluster.active(Lane.IMAGE) == 0


async def test_a_caller_that_leaves_in_the_moment_it_gets_a_place_passes_it_on() -> None:
    async with Stand(circuit_breakers=CircuitBreakerSettings(max_requests=1)) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        first, second, third = (stand.send(b"%d" % number) for number in range(3))
        await settle()
        first.cancel()
        await asyncio.sleep(0)  # the place is given to the second in this step
        second.cancel()
        await settle()
        blocked.release()
        assert await third == "ok"
        assert stand.cluster.active(Lane.IMAGE) == 0


async def test_an_overloaded_endpoint_is_left_alone_as_long_as_it_asked() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].behave = failing(FailureKind.OVERLOADED, retry_after=3.0)
        task = stand.send()
        await stand.timing.advance(2.9)
        assert len(stand.endpoints["a:1"].calls) == 1
        assert stand.cluster.held(Lane.IMAGE) == 1
        stand.endpoints["a:1"].behave = failing_first(0, FailureKind.OVERLOADED)
        await stand.timing.advance(0.2)
        assert await task == "ok"
        assert stand.endpoint("a:1").outlier.consecutive_failures == 0


async def test_overload_lasting_until_the_deadline_is_told_as_overload() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].behave = failing(FailureKind.OVERLOADED, retry_after=0.7)
        task = stand.send(seconds=10)
        await stand.timing.advance(11)
        with pytest.raises(OverloadedError, match="busy"):
            await task


async def test_after_an_overload_fewer_requests_at_a_time_come_back() -> None:
    async with Stand() as stand:
        endpoint = stand.endpoint("a:1")
        endpoint.active = 20
        endpoint.overloaded(0)
        assert 15 < endpoint.limit < 20
        limit = endpoint.limit
        for _ in range(40):
            endpoint.succeeded()
        assert limit + 1 < endpoint.limit < limit + 4
        endpoint.active = 0


async def test_failures_in_a_row_eject_an_endpoint_until_its_time_is_over() -> None:
    outlier = OutlierSettings(consecutive_failures=3, base_ejection_seconds=30)
    async with Stand(count=2, outlier_detection=outlier) as stand:
        stand.endpoints["a:1"].behave = failing(FailureKind.BROKEN)
        for number in range(20):
            task = stand.send(b"%d" % number)
            await stand.timing.advance(0.1)
            assert await task == "ok"
        assert stand.endpoint("a:1").state == "ejected"
        assert len(stand.endpoints["a:1"].calls) == 3
        assert stand.count("upstream_ejections_total", cluster="test") == 1
        await stand.timing.advance(31)
        assert stand.endpoint("a:1").state == "healthy"


async def test_the_last_endpoint_is_never_ejected() -> None:
    outlier = OutlierSettings(consecutive_failures=2)
    async with Stand(count=2, outlier_detection=outlier) as stand:
        for transport in stand.endpoints.by_address.values():
            transport.behave = failing(FailureKind.BROKEN)
        for number in range(10):
            task = stand.send(b"%d" % number)
            await stand.timing.advance(1)
            with pytest.raises(MeshError):
                await task
        assert sorted(stand.cluster.endpoint_states()) == ["ejected", "healthy"]


async def test_a_model_that_cannot_be_had_is_told_at_once_and_ejects_nobody() -> None:
    async with Stand(count=2) as stand:
        for transport in stand.endpoints.by_address.values():
            transport.behave = failing(FailureKind.MODEL_UNAVAILABLE)
        for number in range(10):
            task = stand.send(b"%d" % number)
            await stand.timing.advance(1)
            with pytest.raises(MeshError, match="model_unavailable"):
                await task
        assert stand.endpoints.calls() == {"a:1": 10, "b:1": 10}
        assert set(stand.cluster.endpoint_states()) == {"healthy"}


async def test_another_endpoint_that_has_the_model_answers() -> None:
    async with Stand(count=2) as stand:
        stand.endpoints["a:1"].behave = failing(FailureKind.MODEL_UNAVAILABLE)
        for number in range(6):
            task = stand.send(b"%d" % number)
            await stand.timing.advance(1)
            assert await task == "ok"


async def test_an_endpoint_behind_which_nobody_answers_is_asked_seldom_and_does_not_flap() -> None:
    """Health checks pass, calls do not: a proxy without its service, or a service of an older version that says so."""
    async with Stand() as stand:
        stand.endpoints["a:1"].behave = failing(FailureKind.UNREACHABLE)
        with capture_logs() as logs:
            tasks = [stand.send(b"%d" % number) for number in range(10)]
            await stand.timing.advance(241)
        for task in tasks:
            with pytest.raises(MeshError):
                await task
        assert len(stand.endpoints["a:1"].calls) < 10 * 150
        assert len(logs) < 60


async def test_a_service_that_starts_alarms_nobody_and_one_that_goes_does(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = FakeEndpoints.open

    def starting(self: FakeEndpoints, address: Address) -> Transport:
        transport = serving(self, address)
        self[address.target].health = Probe.NOT_SERVING
        return transport

    monkeypatch.setattr(FakeEndpoints, "open", starting)
    with capture_logs() as logs:
        async with Stand() as stand:
            for health in (Probe.SERVING, Probe.UNREACHABLE):
                stand.endpoints["a:1"].health = health
                await stand.timing.advance(65)
    assert [(line["event"], line["log_level"]) for line in logs if line["event"].startswith("endpoint is")] == [
        ("endpoint is not ready yet", "info"),
        ("endpoint is healthy", "info"),
        ("endpoint is unhealthy", "warning"),
    ]


async def test_the_time_a_cluster_has_been_down_counts_for_those_who_come_later() -> None:
    async with Stand() as stand:
        assert stand.cluster.wait_until(60) == stand.timing.now() + 60
        stand.endpoints["a:1"].health = Probe.UNREACHABLE
        await stand.timing.advance(65)
        assert stand.cluster.wait_until(60) < stand.timing.now()
        task = stand.send(hold_until=stand.cluster.wait_until(60))
        await stand.timing.advance(0)
        with pytest.raises(UnavailableError, match="cannot be connected to"):
            await task
        stand.endpoints["a:1"].health = Probe.SERVING
        await stand.timing.advance(1)
        assert stand.cluster.wait_until(60) == stand.timing.now() + 60
        assert await stand.send(hold_until=stand.cluster.wait_until(60)) == "ok"


async def test_the_retry_budget_bounds_retries_while_first_tries_go_on() -> None:
    budget = RetryBudgetSettings(percent=0, min_retries=1)
    async with Stand(count=2, retry_budget=budget) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = failing(FailureKind.HUNG)
        stand.endpoints["b:1"].behave = blocked
        tasks = [stand.send(b"%d" % number) for number in range(8)]
        await settle()
        retries = sum(call.stats.tries == 2 for call in stand.endpoints["b:1"].calls)
        assert retries <= 1
        blocked.release()
        await stand.timing.advance(5)
        assert await asyncio.gather(*tasks) == ["ok"] * 8


async def test_tries_at_a_hanging_endpoint_go_on_elsewhere() -> None:
    async with Stand(count=2) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        tasks = [stand.send(b"%d" % number) for number in range(4)]
        await settle()
        assert blocked.waiting > 0
        stand.endpoints["a:1"].health = Probe.TIMEOUT
        await stand.timing.advance(10)
        assert await asyncio.gather(*tasks) == ["ok"] * 4
        assert blocked.waiting == 0


async def test_tries_at_the_only_endpoint_are_left_to_finish_though_it_hangs() -> None:
    async with Stand() as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        task = stand.send()
        await settle()
        stand.endpoints["a:1"].health = Probe.TIMEOUT
        await stand.timing.advance(20)
        assert (blocked.waiting, blocked.cancelled) == (1, 0)
        blocked.release()
        assert await task == "ok"


async def test_a_reload_sends_those_who_wait_to_be_routed_anew_and_lets_calls_finish() -> None:
    async with Stand(circuit_breakers=CircuitBreakerSettings(max_requests=1)) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        running, held = stand.send(b"1"), stand.send(b"2")
        await settle()
        retiring = asyncio.create_task(stand.cluster.retire())
        await settle()
        with pytest.raises(ClusterRemovedError):
            await held
        assert not retiring.done()
        blocked.release()
        assert await running == "ok"
        await retiring
        assert stand.endpoints["a:1"].closed


async def test_the_time_for_one_try_is_bounded_when_the_route_says_so() -> None:
    async with Stand(count=2) as stand:
        stand.policy = RetrySettings(per_try_timeout_seconds=5)
        await stand.send(seconds=100)
        await stand.send(seconds=3)
        timeouts = [seconds for transport in stand.endpoints.by_address.values() for seconds in transport.timeouts]
        assert sorted(timeouts) == [3, 5]


async def test_a_passed_deadline_is_no_try() -> None:
    async with Stand() as stand:
        with pytest.raises(DeadlineExceededError):
            await stand.send(seconds=0)
        assert not stand.endpoints["a:1"].calls


async def test_a_call_that_does_not_hold_fails_at_once() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = Probe.NOT_SERVING
        await stand.timing.advance(3)
        with pytest.raises(UnavailableError, match="not serving"):
            await stand.send(hold=False)


async def test_who_waits_for_a_model_on_its_way_is_told_how_far_it_is() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = Probe.NOT_SERVING
        stand.endpoints["a:1"].busy_with = "is downloading ViT-B-16__cn-clip (43%)"
        await stand.timing.advance(3)
        task = stand.send(seconds=60)
        await stand.timing.advance(61)
        with pytest.raises(UnavailableError, match=r"a:1 is downloading ViT-B-16__cn-clip \(43%\)"):
            await task


async def test_waiting_for_a_cluster_that_stays_down_ends_early_for_the_last_resort() -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = Probe.NOT_SERVING
        await stand.timing.advance(3)
        task = stand.send(hold_until=stand.timing.now() + 60)
        await stand.timing.advance(61)
        with pytest.raises(UnavailableError):
            await task


async def test_a_saturated_cluster_is_no_reason_for_the_last_resort() -> None:
    async with Stand(circuit_breakers=CircuitBreakerSettings(max_requests=1)) as stand:
        blocked = Blocked()
        stand.endpoints["a:1"].behave = blocked
        tasks = [stand.send(b"1"), stand.send(b"2", hold_until=stand.timing.now() + 60)]
        await stand.timing.advance(100)
        assert not tasks[1].done()
        blocked.release()
        assert await asyncio.gather(*tasks) == ["ok", "ok"]
        assert stand.count("upstream_breaker_openings_total", cluster="test", lane="image") == 1
