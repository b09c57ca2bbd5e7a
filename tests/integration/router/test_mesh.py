"""Routes at work: canaries, mirrors, hedged queries, one deadline for all tasks, fair shares for text."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.doubles.router import Front, front
from tests.doubles.services import Services, running_services
from tests.waiting import PATIENCE_SECONDS, until

TEXT = '{"clip":{"textual":{"modelName":"ViT-B-32__openai","options":{}}}}'
OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'
ALL = (
    '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}},"ocr":{"recognition":{"modelName":"ocr"}},'
    '"facial-recognition":{"detection":{"modelName":"b"},"recognition":{"modelName":"b"}}}'
)


@pytest.fixture
async def other() -> AsyncIterator[Services]:
    async with running_services() as services:
        yield services


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


async def test_all_tasks_of_a_request_run_at_once(stage: Front) -> None:
    gate = asyncio.Event()

    async def together(*_: Any) -> None:
        if stage.services.active == 3:
            gate.set()
        await gate.wait()

    stage.services.behave = together
    status, reply = await stage.predict(ALL)
    assert status == 200
    assert set(reply) == {"clip", "ocr", "result", "facial-recognition", "imageWidth", "imageHeight"}


async def test_one_failure_ends_the_other_tasks(stage: Front) -> None:
    async def behave(method: str, _: bytes, context: Any) -> None:
        if method == "Recognize":
            await until(lambda: stage.services.active == 3)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no photo")
        await never()

    stage.services.behave = behave
    status, reply = await stage.predict(ALL)
    assert (status, reply["error"]["message"]) == (400, "no photo")
    await until(lambda: stage.services.active == 0)


async def test_one_deadline_for_all_tasks(services: Services) -> None:
    services.behave = never
    routes = [{"task": "ocr", "cluster": "ocr", "timeout_seconds": 0.3}]
    async with front(services, routes=routes) as stage:
        status, reply = await stage.predict(ALL)
        assert (status, reply["error"]["code"]) == (504, "deadline_exceeded")
        await until(lambda: services.active == 0)


async def test_a_canary_gets_its_share(services: Services, other: Services) -> None:
    routes = [{"task": "ocr", "clusters": [{"cluster": "ocr", "weight": 1}, {"cluster": "canary", "weight": 1}]}]
    async with front(services, routes=routes, clusters={"canary": {"endpoints": other.address}}) as stage:
        await asyncio.gather(*(stage.predict(OCR, b"%d" % number) for number in range(40)))
    assert len(services.calls) + len(other.calls) == 40
    assert 5 < len(other.calls) < 35


async def test_a_mirror_is_compared_and_never_used(services: Services, other: Services) -> None:
    async def wrong(method: str, *_: Any) -> bytes:
        return b""

    other.behave = wrong
    routes = [{"task": "ocr", "cluster": "ocr", "mirror": {"cluster": "shadow"}}]
    async with front(services, routes=routes, clusters={"shadow": {"endpoints": other.address}}) as stage:
        assert (await stage.predict(OCR))[0] == 200
        await until(lambda: stage.count("upstream_mirrored_total", cluster="shadow", outcome="failed") == 1)
        other.behave = services.behave
        assert (await stage.predict(OCR, b"2"))[0] == 200
        await until(lambda: stage.count("upstream_mirrored_total", cluster="shadow", outcome="same") == 1)


async def test_a_slow_query_is_hedged_at_another_replica(services: Services, other: Services) -> None:
    services.behave = never
    routes = [{"task": "clip", "type": "textual", "cluster": "pair", "hedge_ms": 20}]
    pair = {"pair": {"endpoints": [services.address, other.address], "balancer": "round_robin"}}
    async with front(services, routes=routes, clusters=pair) as stage:
        await until(lambda: list(stage.router.clusters.clusters["pair"].endpoint_states()) == ["healthy"] * 2)
        replies = [await stage.predict(TEXT, None, f"dog {number}") for number in range(4)]
        assert {status for status, _ in replies} == {200}
        assert len(services.calls) == stage.count("upstream_hedges_total", cluster="pair") > 0
        await until(lambda: services.active == 0)


async def test_queries_are_answered_while_photos_fill_every_place(services: Services) -> None:
    async def slow_photos(method: str, *_: Any) -> None:
        if method != "EncodeText":
            await never()

    services.behave = slow_photos
    clip = {"clip": {"circuit_breakers": {"max_requests": 2}}}
    async with front(services, clusters=clip) as stage:
        image = TEXT.replace("textual", "visual")
        photos = [asyncio.create_task(stage.predict(image, b"%d" % number)) for number in range(10)]
        await until(lambda: services.active == 2)
        status, _ = await asyncio.wait_for(stage.predict(TEXT, None, "dog"), PATIENCE_SECONDS)
        assert status == 200
        for photo in photos:
            photo.cancel()
        await asyncio.gather(*photos, return_exceptions=True)
        await until(lambda: services.active == 0)
