"""What passes through the front door is the same on both sides of it."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import RECORDED, DoubleUser, ImmichDouble
from tests.waiting import PATIENCE_SECONDS

KEY = {"x-api-key": "alice-key"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_with_target_and_body_as_sent(
    door: OpenDoor, http: aiohttp.ClientSession, method: str
) -> None:
    target = "/api/x%2Fy/%E5%8F%91?q=a+b%20c&q=%E7%A5%A8&empty="
    body = b"" if method in ("GET", "OPTIONS") else "发票".encode()
    url = URL(door.url + target, encoded=True)
    async with http.request(method, url, data=body or None, headers={"X-Custom": "1"}) as reply:
        seen = await reply.json()
    assert seen["method"] == method
    assert seen["target"] == target
    assert seen["body"].encode() == body
    assert seen["headers"]["X-Custom"] == "1"


async def test_head_has_the_length_and_no_body(door: OpenDoor, http: aiohttp.ClientSession, alice: DoubleUser) -> None:
    async with http.head(f"{door.url}/api/assets/1/original", headers=KEY) as reply:
        assert reply.status == 200
        assert int(reply.headers["Content-Length"]) == (RECORDED / "asset.json").stat().st_size
        assert await reply.read() == b""


async def test_reply_headers_are_immichs_own(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{door.immich.url}/web") as direct, http.get(f"{door.url}/web") as through:
        assert set(direct.headers) == set(through.headers)
        assert through.headers["Set-Cookie"] == "a=1; Path=/"
        assert through.headers["X-Powered-By"] == "Express"


async def test_hop_by_hop_headers_stay_at_their_hop(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    headers = {"Connection": "keep-alive, X-Hop", "X-Hop": "1", "TE": "trailers", "Proxy-Authorization": "Basic x"}
    async with http.get(f"{door.url}/web", headers=headers) as reply:
        seen = (await reply.json())["headers"]
    assert not {"X-Hop", "TE", "Proxy-Authorization"} & set(seen)


async def test_forwarded_headers_tell_who_calls_and_keep_the_host(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{door.url}/web", headers={"Host": "photos.example.com"}) as reply:
        seen = (await reply.json())["headers"]
    assert seen["Host"] == "photos.example.com"
    assert seen["X-Forwarded-Host"] == "photos.example.com"
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    sent = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "p.example.com"}
    async with http.get(f"{door.url}/web", headers=sent) as reply:
        seen = (await reply.json())["headers"]
    assert seen["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["X-Forwarded-Host"] == "p.example.com"


async def test_an_untrusted_peer_cannot_claim_to_be_someone_else(
    immich: ImmichDouble, http: aiohttp.ClientSession
) -> None:
    sent = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.9"}
    async with (
        open_door(immich, trusted_proxies=("192.0.2.0/24",)) as door,
        http.get(f"{door.url}/web", headers=sent) as reply,
    ):
        seen = (await reply.json())["headers"]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "http"
    assert "Forwarded" not in seen


async def test_nothing_is_added_for_a_client_that_sent_nothing(door: OpenDoor) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /web HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    sent = set(door.immich.calls[-1].headers)
    forwarded = {"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Immich-Mesh-Hops"}
    assert sent == {"Host"} | forwarded


async def test_compressed_bodies_pass_untouched(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    packed = gzip.compress(b"hello")
    async with http.post(
        f"{door.url}/api/other", data=packed, headers={"Content-Encoding": "gzip"}, skip_auto_headers=["Content-Type"]
    ) as reply:
        await reply.read()
        assert reply.status in (200, 500)
    assert door.immich.calls[-1].body == packed
    assert door.immich.calls[-1].headers["Content-Encoding"] == "gzip"


async def test_ranges_and_validators(door: OpenDoor, http: aiohttp.ClientSession, alice: DoubleUser) -> None:
    url = f"{door.url}/api/assets/1/original"
    whole = (RECORDED / "asset.json").read_bytes()
    async with http.get(url, headers=KEY | {"Range": "bytes=100-199"}) as reply:
        assert reply.status == 206
        assert reply.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
        assert await reply.read() == whole[100:200]
        etag = reply.headers["ETag"]
    async with http.get(url, headers=KEY | {"If-None-Match": etag}) as reply:
        assert reply.status == 304
        assert await reply.read() == b""


async def test_redirects_are_the_clients_to_follow(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{door.url}/api/redirect", allow_redirects=False) as reply:
        assert reply.status == 302
        assert reply.headers["Location"] == "/elsewhere"


async def _pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 251]) * size


@pytest.mark.parametrize("chunked", [True, False])
async def test_uploads_stream(door: OpenDoor, http: aiohttp.ClientSession, alice: DoubleUser, chunked: bool) -> None:
    digest = hashlib.sha1(usedforsecurity=False)
    async for piece in _pieces(64, 100_000):
        digest.update(piece)
    headers = KEY if chunked else KEY | {"Content-Length": str(64 * 100_000)}
    async with http.post(f"{door.url}/api/assets", data=_pieces(64, 100_000), headers=headers) as reply:
        assert reply.status == 201
    assert door.immich.uploads == [(64 * 100_000, digest.hexdigest())]
    assert ("Content-Length" in door.immich.calls[-1].headers) is not chunked


async def test_an_upload_reaches_immich_before_it_ends(
    door: OpenDoor, http: aiohttp.ClientSession, alice: DoubleUser
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await door.immich.upload_started.wait()  # would wait for ever if the door waited for the end
        yield b"second"

    async with http.post(f"{door.url}/api/assets", data=body(), headers=KEY) as reply:
        assert reply.status == 201
    assert door.immich.uploads[0][0] == len("firstsecond")


async def test_immich_decides_on_expect_continue(door: OpenDoor, alice: DoubleUser) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    head = "POST /api/assets HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\nx-api-key: {}\r\n\r\n"
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.format("alice-key").encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"hello")
    assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    writer.close()


async def test_a_client_that_leaves_takes_its_request_along(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await http.get(f"{door.url}/api/hang", timeout=aiohttp.ClientTimeout(total=0.2))
    await asyncio.wait_for(door.immich.aborted.wait(), PATIENCE_SECONDS)


async def test_a_client_that_leaves_a_download(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    reply = await http.get(f"{door.url}/api/endless")
    await reply.content.readexactly(1 << 20)
    reply.close()
    await asyncio.wait_for(door.immich.aborted.wait(), PATIENCE_SECONDS)


async def test_a_client_that_leaves_an_upload(door: OpenDoor, alice: DoubleUser) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/assets HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\nx-api-key: alice-key\r\n\r\nabc")
    await asyncio.wait_for(door.immich.upload_started.wait(), PATIENCE_SECONDS)
    writer.transport.abort()
    await asyncio.wait_for(door.immich.aborted.wait(), PATIENCE_SECONDS)


async def test_immich_away_is_502_and_comes_back(immich: ImmichDouble, http: aiohttp.ClientSession) -> None:
    gone = ImmichDouble()
    async with gone.running():
        pass
    async with open_door(gone) as door:
        async with http.get(f"{door.url}/web") as reply:
            assert reply.status == 502
            told = await reply.json()
        assert "IMMICH_URL" in told["message"] == told["error"]["message"]
        async with gone.running(int(gone.url.rsplit(":", 1)[1])), http.get(f"{door.url}/web") as reply:
            assert reply.status == 200


async def test_a_silent_immich_is_504(immich: ImmichDouble, http: aiohttp.ClientSession) -> None:
    async with open_door(immich, idle_timeout_seconds=0.2) as door, http.get(f"{door.url}/api/hang") as reply:
        assert reply.status == 504


async def test_websocket_messages_protocol_and_close_code(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    cookie = {"Cookie": "immich_access_token=t0ken"}
    async with http.ws_connect(
        f"{door.url}/api/socket.io/", protocols=["immich"], headers=cookie, compress=15, max_msg_size=0
    ) as socket:
        assert socket.protocol == "immich"
        await socket.send_str("hi")
        assert await socket.receive_str() == "hi:t0ken"
        await socket.send_bytes(bytes(3_000_000))
        assert len(await socket.receive_bytes()) == 3_000_000
        await socket.send_str("close")
        message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert (message.data, message.extra) == (4001, "bye")


async def test_websocket_closed_by_the_client(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(f"{door.url}/api/socket.io/") as socket:
        await socket.close(code=1001)
    await asyncio.wait_for(door.immich.aborted.wait(), PATIENCE_SECONDS)


async def test_websockets_do_not_keep_a_stopping_door(immich: ImmichDouble, http: aiohttp.ClientSession) -> None:
    async with open_door(immich) as door:
        socket = await http.ws_connect(f"{door.url}/api/socket.io/")
        await socket.send_str("hi")
        await socket.receive_str()
        closing = asyncio.create_task(socket.receive())
    message = await asyncio.wait_for(closing, PATIENCE_SECONDS)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)


async def test_websocket_refused_by_immich(door: OpenDoor, http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await http.ws_connect(f"{door.url}/api/socket.io/?refuse=1")
    assert refusal.value.status == 401


BROKEN = {
    "no HTTP": b"garbage\r\n\r\n",
    "closed at once": b"",
}
CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
}


@asynccontextmanager
async def before_bytes(reply: bytes) -> AsyncIterator[OpenDoor]:
    """A door before a server that answers anything with these bytes and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    double = ImmichDouble()
    double.url = "http://{}:{}".format(*server.sockets[0].getsockname()[:2])
    async with server, open_door(double) as door:
        yield door


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_immich_is_502(http: aiohttp.ClientSession, reply: bytes) -> None:
    async with before_bytes(reply) as door:
        async with http.get(f"{door.url}/web") as answer:
            assert answer.status == 502
        body, key = {"query": "ocr:发票"}, {"x-api-key": "k"}
        async with http.post(f"{door.url}/api/search/smart", json=body, headers=key) as answer:
            assert answer.status == 502


@pytest.mark.parametrize("reply", CUT.values(), ids=CUT.keys())
async def test_a_reply_that_was_cut_short_is_not_completed(http: aiohttp.ClientSession, reply: bytes) -> None:
    async with before_bytes(reply) as door, http.get(f"{door.url}/web") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_early_hints_and_replies_without_a_length(http: aiohttp.ClientSession) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"
    async with before_bytes(hints) as door, http.get(f"{door.url}/web") as answer:
        assert (answer.status, await answer.read()) == (200, b"until the end")
