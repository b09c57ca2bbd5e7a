"""A native Immich ML server behind the router: other tasks, chosen models, split requests, the last resort."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.contract.recorded import recorded
from tests.doubles.router import Front, front
from tests.doubles.services import Services
from tests.waiting import until

POSE = '{"pose":{"whole":{"modelName":"p","options":{"x":1}}}}'
CLIP = '"clip":{"visual":{"modelName":"ViT-B-32__openai"}}'
OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'


class Native:
    """The server: what it got, and what it answers."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.reply: dict[str, Any] = {"pose": [1, 2], "imageWidth": 10, "imageHeight": 20}
        self.status = 200
        self.url = ""

    async def predict(self, request: web.Request) -> web.Response:
        self.bodies.append((request.headers["content-type"], await request.read()))
        if self.status != 200:
            return web.Response(status=self.status, text="native says no")
        return web.json_response(self.reply)

    async def ping(self, _: web.Request) -> web.Response:
        return web.Response(text="pong")


@pytest.fixture
async def native() -> AsyncIterator[Native]:
    server = Native()
    app = web.Application(client_max_size=1 << 27)
    app.router.add_post("/predict", server.predict)
    app.router.add_get("/ping", server.ping)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@asynccontextmanager
async def behind(services: Services, native: Native, **settings: Any) -> AsyncIterator[Front]:
    async with front(services, immich_api=native.url, **settings) as stage:
        yield stage


async def test_unknown_tasks_pass_unchanged(services: Services, native: Native) -> None:
    async with behind(services, native) as stage:
        found, reply = await stage.predict(POSE, b"photo")
        assert (found, reply) == (200, native.reply)
        ((content_type, body),) = native.bodies
        assert content_type.startswith("multipart/form-data; boundary=")
        assert POSE.encode() in body
        assert b"photo" in body


async def test_chosen_models_pass_byte_for_byte(services: Services, native: Native) -> None:
    native.reply = {"facial-recognition": [], "imageWidth": 1, "imageHeight": 1}
    request = recorded("predict-facial-recognition")
    async with behind(
        services, native, routes=[{"task": "facial-recognition", "model": "buffalo_l", "cluster": "immich"}]
    ) as stage:
        headers = {"content-type": request.header("content-type")}
        async with stage.client.post("/predict", data=request.body, headers=headers) as reply:
            assert (reply.status, await reply.json()) == (200, native.reply)
    assert native.bodies == [(request.header("content-type"), request.body)]
    assert services.calls == []


async def test_a_request_for_both_is_split_and_merged(services: Services, native: Native) -> None:
    async with behind(services, native) as stage:
        found, reply = await stage.predict(f"{{{CLIP},{POSE[1:]}", b"photo")
    assert found == 200
    assert set(reply) == {"clip", "pose", "imageWidth", "imageHeight"}
    assert services.calls == ["EncodeImage"]
    ((_, body),) = native.bodies
    assert POSE.encode() in body
    assert b"clip" not in body


async def test_a_refusal_is_passed_on_and_an_error_is_retried(services: Services, native: Native) -> None:
    async with behind(services, native) as stage:
        native.status = 422
        found, reply = await stage.predict(POSE, b"1")
        assert (found, reply["error"]["code"]) == (422, "upstream_refused")
        assert "native says no" in reply["error"]["message"]
        native.status = 500
        assert (await stage.predict(POSE, b"2"))[0] == 500
        assert len(native.bodies) == 3


async def test_an_unavailable_native_server_is_waited_for(services: Services, native: Native) -> None:
    async with behind(services, native) as stage:
        native.status = 503
        running = asyncio.create_task(stage.predict(POSE))
        await until(lambda: len(native.bodies) >= 2)
        native.status = 200
        assert (await running)[0] == 200


async def test_the_last_resort_answers_while_a_cluster_stays_down(services: Services, native: Native) -> None:
    native.reply = {"ocr": {"text": [], "box": [], "boxScore": [], "textScore": []}, "imageWidth": 1, "imageHeight": 1}
    route = {"task": "ocr", "cluster": "ocr", "served_model": "", "fallback": "immich", "fallback_after_seconds": 0.2}
    async with behind(services, native, routes=[route]) as stage:
        await services.set_serving(False)
        await until(lambda: not stage.router.clusters.clusters["ocr"].can_serve)
        assert await stage.predict(OCR) == (200, native.reply)
        assert stage.count("upstream_fallbacks_total", cluster="immich") == 1
        await services.set_serving(True)
        await until(lambda: stage.router.clusters.clusters["ocr"].can_serve)
        await stage.predict(OCR)
        assert services.calls == ["Recognize"]


async def test_a_router_that_is_its_own_native_server_says_so(services: Services) -> None:
    async with front(services) as inner:
        url = f"http://127.0.0.1:{inner.port}"
        async with front(services, immich_api=url) as middle:
            found, reply = await middle.predict(POSE)
            assert found == 422  # the inner router knows nobody either
        own = inner.router.status.settings.model_copy(update={"immich_api": url})
        await inner.router.clusters.apply(own)
        await until(lambda: inner.router.clusters.clusters["immich"].can_serve)
        found, reply = await inner.predict(POSE)
        assert (found, reply["error"]["code"]) == (400, "upstream_refused")
        assert "leads back to this router" in reply["error"]["message"]
