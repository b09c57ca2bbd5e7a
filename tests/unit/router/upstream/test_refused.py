"""An endpoint that takes another token than the router's: a fault of the set-up, for which no caller pays."""

import asyncio

import pytest
from structlog.testing import capture_logs

from mesh.core.errors import UnavailableError
from router.upstream.calls import FailureKind
from router.upstream.endpoints.endpoint import Probe
from tests.doubles.upstream import Stand, answering, failing


async def test_an_endpoint_with_another_token_gets_nothing_more_while_the_other_one_answers() -> None:
    async with Stand(count=2) as stand:
        await stand.timing.advance(1)
        refusing = stand.endpoints["a:1"]
        refusing.behave, refusing.health = failing(FailureKind.REFUSED), Probe.REFUSED
        tasks = [stand.send(b"%d" % number) for number in range(6)]
        await stand.timing.advance(5)
        assert await asyncio.gather(*tasks) == ["ok"] * 6
        asked = len(refusing.calls)
        more = [stand.send(b"more %d" % number) for number in range(6)]
        assert await asyncio.gather(*more) == ["ok"] * 6
        assert asked > 0
        assert len(refusing.calls) == asked
        assert list(stand.cluster.endpoint_states()) == ["unhealthy", "healthy"]


async def test_with_another_token_everywhere_requests_wait_until_it_is_mended_or_their_deadline() -> None:
    with capture_logs() as said:
        async with Stand() as stand:
            await stand.timing.advance(1)
            transport = stand.endpoints["a:1"]
            transport.behave, transport.health = failing(FailureKind.REFUSED), Probe.REFUSED
            short, long = stand.send(b"short", seconds=60), stand.send(b"long", seconds=240)
            await stand.timing.advance(59)
            assert not short.done()
            assert not stand.cluster.can_serve
            await stand.timing.advance(2)
            with pytest.raises(UnavailableError, match="a:1 refuses the router's token: set the same MESH_AUTH_TOKEN"):
                await short
            assert len(transport.calls) == 1
            transport.behave, transport.health = answering("ok"), Probe.SERVING
            await stand.timing.advance(1)
            assert await long == "ok"
    states = [line["event"] for line in said if line["event"].startswith("endpoint ")]
    assert states == ["endpoint is healthy", "endpoint refuses the router's token", "endpoint is healthy"]


async def test_a_service_that_starts_with_another_token_is_told_apart_from_one_that_is_not_there_yet() -> None:
    with capture_logs() as said:
        async with Stand() as stand:
            stand.endpoints["a:1"].health = Probe.UNREACHABLE
            await stand.timing.advance(3)
            stand.endpoints["a:1"].health = Probe.REFUSED
            await stand.timing.advance(20)
    refusals = [line for line in said if line["event"] == "endpoint refuses the router's token"]
    assert [line["log_level"] for line in refusals] == ["warning"]
