"""A native Immich ML server as a cluster: requests that are passed on unchanged, or in part."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from mesh.core.errors import DeadlineExceededError, MeshError, OverloadedError, UnavailableError
from mesh.core.settings import MAX_MESSAGE_BYTES
from router.domain.requests import HOP_HEADER, Content, HttpMessage
from router.domain.results import NativeResult
from router.domain.tasks import Lane
from router.errors import UpstreamRefusedError
from router.upstream.calls import BrokenReplyError, Call, FailureKind, TryFailedError
from router.upstream.clients import CallContext
from router.upstream.cluster import Cluster
from router.upstream.endpoints.endpoint import Probe


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A successful answer."""

    body: bytes
    content_type: str


class HttpTransport:
    """The way to one server. `url` is its base; as Immich does, only its origin is used."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # Immich ML closes idle connections after 2 s: a pooled one could break under a request, so none is kept.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def send(self, call: Call, seconds: float) -> HttpReply:
        """One try. Raises TryFailedError."""
        message: HttpMessage = call.message
        headers = {"content-type": message.content_type, HOP_HEADER: "1", **dict(call.headers)}
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, 5.0))
        try:
            async with self._session.post(
                self.url + call.method, data=message.body, headers=headers, timeout=limit
            ) as reply:
                body = await reply.content.read(MAX_MESSAGE_BYTES)
                if reply.status >= 300:
                    raise self._refusal(reply, body)
                return HttpReply(body, reply.headers.get("content-type", "application/json"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise TryFailedError(
                FailureKind.UNREACHABLE, UnavailableError(f"{self.url} cannot be connected to")
            ) from error
        except TimeoutError as error:
            raise TryFailedError(
                FailureKind.TIMEOUT, DeadlineExceededError(f"no answer of {self.url} before the deadline")
            ) from error
        except aiohttp.ClientError as error:
            raise TryFailedError(FailureKind.DIED, UnavailableError(f"{self.url} died during the call")) from error

    async def probe(self, seconds: float) -> Probe:
        """`GET /ping`, as Immich asks."""
        try:
            async with self._session.get(f"{self.url}/ping", timeout=aiohttp.ClientTimeout(total=seconds)) as reply:
                return Probe.SERVING if reply.status < 300 else Probe.NOT_SERVING
        except TimeoutError:
            return Probe.TIMEOUT
        except aiohttp.ClientError:
            return Probe.UNREACHABLE

    def watch(self, lost: Callable[[], None]) -> bool:
        """No connection is kept that could break."""
        return False

    async def progress(self, seconds: float) -> str:
        """A native server does not say."""
        return ""

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    def _refusal(self, reply: aiohttp.ClientResponse, body: bytes) -> TryFailedError:
        text = f"{self.url} answered {reply.status}: {body[:500].decode('utf-8', 'replace')}"
        if reply.status == 429:
            return TryFailedError(
                FailureKind.OVERLOADED, OverloadedError(text), _seconds(reply.headers.get("retry-after"))
            )
        if reply.status in (502, 503, 504):
            return TryFailedError(FailureKind.UNAVAILABLE, UnavailableError(text))
        if 400 <= reply.status < 500:
            return TryFailedError(FailureKind.CLIENT, UpstreamRefusedError(text, reply.status))
        return TryFailedError(FailureKind.BROKEN, MeshError(text))


class NativeClient:
    """A cluster of native Immich ML servers."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def predict(
        self, message: HttpMessage, content: Content, lane: Lane, context: CallContext
    ) -> Coroutine[Any, Any, NativeResult]:
        """The server's answer to a prediction request. Raises MeshError."""
        call = Call(
            method="/predict",
            message=message,
            read=_read,
            content=content,
            lane=lane,
            deadline=context.deadline,
            headers=context.headers,
            hold=context.hold,
            avoid=context.avoid,
            stats=context.stats,
        )
        return self.cluster.call(call, context.retry, context.hold_until)


def _read(reply: HttpReply) -> NativeResult:
    try:
        fields: Any = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        raise BrokenReplyError("its reply is not JSON") from error
    if not isinstance(fields, dict):
        raise BrokenReplyError("its reply is no JSON object")
    return NativeResult(reply.body, reply.content_type, fields)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isdigit() else None
