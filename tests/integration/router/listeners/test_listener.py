"""The listener's manners: keep-alive, slow and rude clients, who may call, who leaves."""

import asyncio
import resource
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from router.config import RouterSettings
from tests.doubles.router import Front, front, quiet_listeners, running_router
from tests.doubles.services import Services
from tests.waiting import PATIENCE_SECONDS, until

CLIP = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
BODY = (
    b'--x\r\nContent-Disposition: form-data; name="entries"\r\n\r\n' + CLIP.encode() + b"\r\n"
    b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nphoto\r\n--x--\r\n'
)


async def connect(stage: Front) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", stage.port)


async def status(reader: asyncio.StreamReader) -> int:
    """Of one reply, which is read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    await reader.readexactly(int(length.split()[1]))
    return int(head.split()[1])


async def test_chunked_bodies(stage: Front) -> None:
    reader, writer = await connect(stage)
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(BODY), 50):
        piece = BODY[start : start + 50]
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    writer.write(b"0\r\n\r\n")
    assert await status(reader) == 200
    writer.close()


async def test_expect_100_continue(stage: Front) -> None:
    reader, writer = await connect(stage)
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(BODY)
    assert await status(reader) == 200
    writer.close()


async def test_an_idle_connection_stays_open_longer_than_immichs_four_seconds(stage: Front) -> None:
    reader, writer = await connect(stage)
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await status(reader) == 200
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 4.5)
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await status(reader) == 200
    writer.close()


async def test_the_request_id_goes_through_to_the_services(stage: Front) -> None:
    form = aiohttp.FormData({"entries": OCR})
    form.add_field("image", b"photo", filename="blob")
    async with stage.client.post("/predict", data=form, headers={"x-request-id": "abc-123"}) as reply:
        assert reply.headers["x-request-id"] == "abc-123"
    assert stage.services.metadata[-1]["x-request-id"] == "abc-123"
    async with stage.client.get("/ping", headers={"x-request-id": "bad id\t"}) as reply:
        assert reply.headers["x-request-id"] != "bad id\t"


async def test_a_client_that_leaves_cancels_the_work_and_frees_its_place(stage: Front) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    stage.services.behave = never
    _, writer = await connect(stage)
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
    await until(lambda: stage.services.active == 1)
    writer.close()
    await until(lambda: stage.services.cancelled == 1)
    cluster = stage.router.clusters.clusters["clip"]
    await until(lambda: sum(endpoint.active for endpoint in cluster.endpoints) == 0)
    assert stage.count("upstream_tries_total", cluster="clip", outcome="cancelled") == 1


@pytest.fixture
async def strict(services: Services) -> AsyncIterator[Front]:
    """Impatient, with room for few."""
    rules = quiet_listeners(body_timeout_seconds=0.5, header_timeout_seconds=0.5, max_connections=40)
    async with front(services, listeners=rules) as made:
        yield made


async def test_a_body_that_trickles_is_cut_off_and_stops_nobody(strict: Front) -> None:
    reader, writer = await connect(strict)
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n--x")
    assert (await strict.predict(CLIP))[0] == 200
    assert await asyncio.wait_for(status(reader), PATIENCE_SECONDS) == 408
    writer.close()


async def test_a_connection_without_a_request_is_closed(strict: Front) -> None:
    reader, writer = await connect(strict)
    writer.write(b"POST /predict HT")
    assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
    writer.close()


async def test_one_connection_too_many_is_closed_at_once(strict: Front) -> None:
    open_ones = [await connect(strict) for _ in range(40)]
    reader, writer = await connect(strict)
    assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
    for _, other in [*open_ones, (reader, writer)]:
        other.close()
    await until(lambda: strict.router.listener("immich_ml").connections == 0)
    assert (await strict.predict(CLIP))[0] == 200


@pytest.mark.parametrize("flood", [b"X: " + b"y" * 100_000 + b"\r\n", b"".join(b"X%d: y\r\n" % n for n in range(2000))])
async def test_a_flood_of_headers_is_refused_and_stops_nobody(stage: Front, flood: bytes) -> None:
    reader, writer = await connect(stage)
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n" + flood + b"\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)
    writer.close()
    assert (await stage.predict(CLIP))[0] == 200


async def test_thousands_of_idle_connections_stop_nobody(stage: Front) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 5000
    if hard < 2 * wanted + 500:
        pytest.skip(f"this system grants {hard} files: too few for both ends of {wanted} connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = []
    try:
        for _ in range(wanted // 250):
            idle += await asyncio.gather(*(connect(stage) for _ in range(250)))
        await until(lambda: stage.router.listener("immich_ml").connections >= wanted)
        replies = await asyncio.gather(*(stage.predict(CLIP, b"photo %d" % number) for number in range(50)))
        assert {found for found, _ in replies} == {200}
    finally:
        for _, writer in idle:
            writer.close()
        await until(lambda: stage.router.listener("immich_ml").connections < 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_the_allow_list(services: Services) -> None:
    async with front(services, listeners=quiet_listeners(allow=["10.0.0.0/8"])) as stage:
        found, body = await stage.predict(CLIP)
        assert (found, body["error"]["code"]) == (403, "forbidden")
        assert services.calls == []


async def test_the_secret_host_name(services: Services) -> None:
    async with front(services, listeners=quiet_listeners(secret_hosts=["ml-7f3a.lan"])) as stage:
        async with stage.client.get("/ping") as reply:
            assert reply.status == 403
        async with stage.client.get("/ping", headers={"host": "ml-7f3a.lan:3003"}) as reply:
            assert reply.status == 200


async def test_ping_says_no_while_draining_or_when_nothing_can_be_served(services: Services) -> None:
    async with front(services) as stage:
        await services.set_serving(False)
        await until(lambda: not stage.router.status.can_serve)
        async with stage.client.get("/ping") as reply:
            assert reply.status == 503
        await services.set_serving(True)
        await until(lambda: stage.router.status.can_serve)
        stage.router.drain()
        async with stage.client.get("/ping") as reply:
            assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert (await stage.predict(CLIP))[0] == 200


async def test_ping_says_yes_while_one_cluster_serves(services: Services) -> None:
    settings = RouterSettings(
        listeners=quiet_listeners(),
        ocr_endpoints=services.address,
        clip_endpoints="127.0.0.1:1",
        face_endpoints="127.0.0.1:1",
    )
    async with running_router(settings) as router, aiohttp.ClientSession() as client:
        await until(lambda: router.status.can_serve)
        async with client.get(f"http://127.0.0.1:{router.listener('immich_ml').port}/ping") as reply:
            assert reply.status == 200


async def test_stopping_lets_requests_in_flight_finish(services: Services) -> None:
    gate = asyncio.Event()

    async def wait(*_: Any) -> None:
        await gate.wait()

    services.behave = wait
    async with front(services, drain_seconds=10) as stage:
        running = asyncio.create_task(stage.predict(CLIP))
        await until(lambda: services.active == 1)
        url = f"http://127.0.0.1:{stage.port}/ping"
        stopping = asyncio.create_task(stage.router.stop())
        await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientConnectorError):
            async with aiohttp.ClientSession() as other, other.get(url):
                pass
        gate.set()
        assert (await running)[0] == 200
        await stopping


async def test_stopping_ends_when_its_time_is_up_whatever_is_in_flight(services: Services) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    services.behave = never
    drain_seconds = 4.0  # granted twice it would be eight: room for a busy machine between
    async with front(services, drain_seconds=drain_seconds) as stage:
        running = asyncio.create_task(stage.predict(CLIP))
        await until(lambda: services.active == 1)
        async with asyncio.timeout(1.8 * drain_seconds):  # a supervisor would kill it soon after
            await stage.router.stop()
        with pytest.raises(aiohttp.ClientError):
            await running


@pytest.mark.parametrize("path", ["/ping", "/no-such-path"])
async def test_no_answer_tells_versions(stage: Front, path: str) -> None:
    async with stage.client.get(path) as reply:
        assert reply.headers["Server"] == "immich-mesh"


async def test_not_even_an_answer_to_what_is_no_http(stage: Front) -> None:
    reader, writer = await connect(stage)
    writer.write(b"GARBAGE\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 400 " in head
    assert b"\r\nServer: immich-mesh\r\n" in head
    writer.close()
