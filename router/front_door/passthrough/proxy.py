"""The transparent half of the front door: any request goes to Immich as it came, and its reply comes back as it is.

Bodies flow both ways in pieces of at most a socket buffer, so a 5 GB upload costs no memory; encodings, ranges, cookies
and redirects are never interpreted. When either side leaves, the other's connection is closed too.
"""

from collections.abc import AsyncIterator

import structlog
from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    SocketTimeoutError,
    hdrs,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from router.front_door.errors import ImmichSlowError, ImmichUnreachableError, slow
from router.front_door.pages.injection import ScriptInjection
from router.front_door.passthrough.away import away
from router.front_door.passthrough.headers import Forwarding, end_to_end
from router.front_door.passthrough.hops import HOP_HEADER, Hops
from router.front_door.reach import Reach

log = structlog.get_logger()

CLIENT_LEFT = 499
"""What nginx calls a request whose client did not wait; nobody reads it but the logs."""

SKIPPED = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)
"""Headers that aiohttp would add by itself; a caller that sent none has sent none."""

BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class ProxiedResponse(web.StreamResponse):
    """A reply of Immich's on its way out; it carries exactly the headers that Immich sent."""

    def __init__(self, upstream: ClientResponse) -> None:
        super().__init__(status=upstream.status, reason=upstream.reason, headers=end_to_end(upstream.headers))
        self._sent = frozenset(name.lower() for name in upstream.headers)

    def drop_additions(self) -> None:
        """Takes back what aiohttp added."""
        for name in (hdrs.SERVER, hdrs.CONTENT_TYPE, hdrs.DATE):
            if name.lower() not in self._sent:
                self.headers.popall(name, None)


async def keep_headers_exact(request: web.Request, response: web.StreamResponse) -> None:
    """An `on_response_prepare` signal: takes back what aiohttp adds to proxied replies."""
    if isinstance(response, ProxiedResponse):
        response.drop_additions()


class ImmichProxy:
    """Forwards requests to one Immich server.

    Args:
        session: made with `auto_decompress=False` and without a total timeout.
        immich_url: where Immich answers, e.g. `http://immich-server:2283`; a path in it is kept as a prefix.
        hops: this front door's name, which every request to Immich carries.
        idle_timeout_seconds: how long Immich may stay silent before its reply, and between two pieces of it.

    Attributes:
        reach: whether Immich can be reached.
    """

    def __init__(
        self,
        session: ClientSession,
        immich_url: str,
        *,
        forwarding: Forwarding,
        hops: Hops | None = None,
        connect_timeout_seconds: float = 5.0,
        idle_timeout_seconds: float = 600.0,
    ) -> None:
        self._session = session
        self._base = immich_url.rstrip("/")
        self.reach = Reach(self._base)
        self._forwarding = forwarding
        self._hops = hops or Hops()
        self._idle_timeout_seconds = idle_timeout_seconds
        self._timeout = ClientTimeout(total=None, sock_connect=connect_timeout_seconds, sock_read=idle_timeout_seconds)

    def url(self, request: web.BaseRequest) -> URL:
        """Immich's address for this request; path and query byte for byte as they were sent."""
        target = request.raw_path
        if not target.startswith("/"):
            target = URL(target, encoded=True).raw_path_qs if "://" in target else "/" + target
        return URL(self._base + target, encoded=True)

    def headers(self, request: web.BaseRequest) -> CIMultiDict[str]:
        """The request's end-to-end headers with the forwarded ones added; `Host` stays the one the client asked for."""
        headers = end_to_end(request.headers)
        headers.popall(hdrs.EXPECT, None)
        self._forwarding.apply(headers, peer=request.remote, scheme=request.scheme, host=request.headers.get(hdrs.HOST))
        headers[HOP_HEADER] = self._hops.onward(request.headers)
        return headers

    def loops(self, request: web.BaseRequest) -> bool:
        """Whether this request came back here from what was to be Immich."""
        return self._hops.loops(request.headers)

    async def forward(
        self, request: web.Request, head: bytes | None = None, injection: ScriptInjection | None = None
    ) -> web.StreamResponse:
        """Sends the request on and streams the reply back.

        Args:
            request: the client's request.
            head: what the caller has read of its body already; the rest is streamed after it.
            injection: changes the reply where it is Immich's page; everything else stays as it is.

        Returns 502 when Immich cannot be reached and 504 when it stays silent: as JSON, or a page for a browser.
        """
        headers = self.headers(request)
        if injection is not None:
            injection.ask(headers)
        try:
            upstream = await self._session.request(
                request.method,
                self.url(request),
                headers=headers,
                data=_outgoing(request, headers, head),
                allow_redirects=False,
                expect100=head is None and expects_continue(request),
                skip_auto_headers=SKIPPED,
                timeout=self._timeout,
            )
        except SocketTimeoutError:
            return away(request, ImmichSlowError(slow(self._idle_timeout_seconds)))
        except ClientError as error:
            if _client_left(request):
                return web.Response(status=CLIENT_LEFT)
            self.reach.failed(str(error))
            return away(request, ImmichUnreachableError())
        self.reach.answered()
        async with upstream:
            try:
                changed = None if injection is None else await injection.change(upstream)
            except (TimeoutError, ClientError) as error:
                log.warning("reply of Immich broke off", path=request.path, error=str(error))
                return away(request, ImmichUnreachableError())
            if isinstance(changed, web.Response):
                return changed
            return await self._relay(request, upstream, changed or b"")

    @staticmethod
    async def _relay(request: web.Request, upstream: ClientResponse, read: bytes) -> web.StreamResponse:
        """Immich's reply as it is; `read` is what was read of its body already."""
        response = ProxiedResponse(upstream)
        await response.prepare(request)
        try:
            if read:
                await response.write(read)
            async for piece in upstream.content.iter_any():
                await response.write(piece)
        except (TimeoutError, ClientError) as error:
            if _client_left(request):
                return response
            # The status line is out: the only honest way to say "this is not all" is to break the connection.
            log.warning("reply of Immich broke off", path=request.path, error=str(error))
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response


def _client_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def expects_continue(request: web.BaseRequest) -> bool:
    """Whether the client waits for `100 Continue` before it sends its body."""
    return request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"


def invite_body(request: web.BaseRequest) -> None:
    """Tells a client that waits for it to send its body."""
    if expects_continue(request) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _outgoing(
    request: web.Request, headers: CIMultiDict[str], head: bytes | None
) -> bytes | AsyncIterator[bytes] | None:
    if head is not None:
        return _pieces(request, head)
    if not request.can_read_body and (request.method in BODYLESS or hdrs.CONTENT_LENGTH in headers):
        # `Content-Length: 0` stays as it was sent; nothing follows it.
        return None
    return _pieces(request)


async def _pieces(request: web.Request, head: bytes | None = None) -> AsyncIterator[bytes]:
    if head:
        yield head
    elif head is None:
        # Reached only once Immich itself has said `100 Continue`; a refusal reaches a client that has sent nothing yet.
        invite_body(request)
    async for piece in request.content.iter_any():
        yield piece


async def leave_expect_to_immich(request: web.Request) -> None:
    """An aiohttp expect handler that says nothing yet: Immich decides whether the client may send its body."""
