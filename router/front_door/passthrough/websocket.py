"""WebSockets through the front door: Immich's live updates. Messages, pings and close codes are relayed both ways."""

import asyncio
import contextlib

import aiohttp
import structlog
from aiohttp import ClientSession, WSCloseCode, WSMsgType, hdrs, web

from router.front_door.errors import ImmichSlowError, ImmichUnreachableError
from router.front_door.passthrough.proxy import ImmichProxy
from router.front_door.replies import failure, mesh_failure

log = structlog.get_logger()

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Immich's live updates are a few kilobytes. A longer message closes the connection with 1009 as soon as its length is
known; shorter ones wait in one buffer each way while the other side is slow to take them."""

HANDSHAKE_SECONDS = 30.0

HANDSHAKE = frozenset(
    {
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "content-length",
    }
)
"""Belongs to one handshake; each side of the front door makes its own."""


def wants_websocket(request: web.BaseRequest) -> bool:
    """Whether the request asks to become a WebSocket."""
    upgrade = request.headers.get(hdrs.UPGRADE, "").lower()
    return upgrade == "websocket" and "upgrade" in request.headers.get(hdrs.CONNECTION, "").lower()


OpenSockets = set[web.WebSocketResponse]


async def relay_websocket(
    request: web.Request, session: ClientSession, proxy: ImmichProxy, open_sockets: OpenSockets
) -> web.StreamResponse:
    """Opens the same WebSocket at Immich first, so that a refusal reaches the client; then relays until one side
    closes, and closes the other with the same code and reason."""
    headers = proxy.headers(request)
    for name in HANDSHAKE:
        headers.popall(name, None)
    offered = [part.strip() for part in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",") if part.strip()]
    deflate = "permessage-deflate" in request.headers.get(hdrs.SEC_WEBSOCKET_EXTENSIONS, "")
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            upstream = await session.ws_connect(
                proxy.url(request),
                headers=headers,
                protocols=offered,
                compress=15 if deflate else 0,
                autoping=False,
                autoclose=False,
                max_msg_size=MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=5.0),  # type: ignore[attr-defined,unused-ignore]
            )
    except aiohttp.WSServerHandshakeError as refusal:
        return failure(refusal.status or 502, f"Immich refused the WebSocket: {refusal.message}")
    except TimeoutError:
        return mesh_failure(ImmichSlowError("Immich is slow: it did not open the WebSocket in time"))
    except aiohttp.ClientError:
        return mesh_failure(ImmichUnreachableError())
    async with upstream:
        downstream = web.WebSocketResponse(
            protocols=[upstream.protocol] if upstream.protocol else (),
            autoping=False,
            autoclose=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=deflate,
            timeout=5.0,
        )
        await downstream.prepare(request)
        open_sockets.add(downstream)
        try:
            await _relay_both(downstream, upstream)
        finally:
            open_sockets.discard(downstream)
    return downstream


async def close_websockets(open_sockets: OpenSockets) -> None:
    """Tells every client to connect again: this front door goes away."""
    closing = (socket.close(code=WSCloseCode.GOING_AWAY, message=b"restarting") for socket in set(open_sockets))
    await asyncio.gather(*closing, return_exceptions=True)


async def _relay_both(downstream: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse) -> None:
    directions = [
        asyncio.create_task(_relay(downstream, upstream)),
        asyncio.create_task(_relay(upstream, downstream)),
    ]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for direction in directions:
            direction.cancel()
        outcomes = await asyncio.gather(*directions, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                log.info("WebSocket broke off", error=repr(outcome))


async def _relay(source: Socket, target: Socket) -> None:
    while True:
        message = await source.receive()
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await target.ping(message.data)
        elif message.type is WSMsgType.PONG:
            await target.pong(message.data)
        else:
            break
    code = source.close_code or 1006
    reason = message.extra if message.type is WSMsgType.CLOSE else None
    # 1005 and 1006 say "no code was given" and may not be sent.
    with contextlib.suppress(ConnectionError):
        await target.close(code=1000 if code in (1005, 1006) else code, message=(reason or "").encode())
    if message.type is WSMsgType.CLOSE:
        with contextlib.suppress(ConnectionError):
            await source.close(code=code)
