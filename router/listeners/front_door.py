"""The photo front door's listener: Immich's whole API on one port, with search and refresh made better.

browser/app ─▶ door ▸ (proxy | search ▸ rights ▸ sql ▸ Immich | refresh ▸ mesh ▸ sql) ─▶ Immich
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from prometheus_client import CollectorRegistry

from router.config.front_door import FrontDoorSettings
from router.front_door.door import FrontDoor
from router.front_door.immich.api import ImmichApi
from router.front_door.metrics import FrontDoorMetrics
from router.front_door.passthrough.headers import Forwarding
from router.front_door.passthrough.hops import Hops
from router.front_door.passthrough.proxy import ImmichProxy, keep_headers_exact, leave_expect_to_immich
from router.front_door.recognition import Recogniser
from router.front_door.refresh.jobs import RefreshCalls
from router.front_door.refresh.refresher import Refresher
from router.front_door.search.calls import SearchCalls
from router.front_door.search.ranked import RankedSearch
from router.front_door.search.text_encoder import ImmichTextEncoder
from router.listeners.server.listener import SERVER_OPTIONS
from sql.refresh import RefreshRepository
from sql.repository import SearchRepository

HEADER_BYTES = 64 * 1024
"""Cookies of a browser that knows many sites behind one name grow large; the limit to apply is Immich's own."""

UPSTREAM_KEEPALIVE_SECONDS = 3.0
"""Node closes an idle connection after 5 s; one that is let go earlier is never written to while it closes."""

PIECE_BYTES = 256 * 1024
"""What a connection may hold in each direction: enough for a fast disk, little even with a thousand connections."""

DOOR = web.AppKey("door", FrontDoor)


def front_door_application(
    settings: FrontDoorSettings, recogniser: Recogniser | None, registry: CollectorRegistry
) -> web.Application:
    """The front door, with its own connections to Immich's database when one is configured.

    Args:
        settings: with `immich_url` set.
        recogniser: the mesh's services; None leaves out hybrid ranking and refreshing.
        registry: where its metrics go.
    """
    metrics = FrontDoorMetrics(registry)

    @asynccontextmanager
    async def opened() -> AsyncIterator[FrontDoor]:
        if settings.database.url is None:
            async with open_front_door(settings, recogniser, None, None, metrics) as door:
                yield door
            return
        async with (
            SearchRepository(settings.database) as search,
            RefreshRepository(settings.database) as refresh,
            open_front_door(settings, recogniser, search, refresh, metrics) as door,
        ):
            yield door

    return application_of(opened)


def application_of(opened: Callable[[], AbstractAsyncContextManager[FrontDoor]]) -> web.Application:
    """A front door as an application that opens and closes it."""
    app = web.Application()

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with opened() as door:
            app[DOOR] = door
            yield

    async def handle(request: web.Request) -> web.StreamResponse:
        return await app[DOOR].handle(request)

    async def hang_up(app: web.Application) -> None:
        await app[DOOR].hang_up()

    app.cleanup_ctx.append(lifetime)
    app.on_shutdown.append(hang_up)
    app.router.add_route("*", "/{path:.*}", handle, expect_handler=leave_expect_to_immich)
    app.on_response_prepare.append(keep_headers_exact)
    # The server as the proxy needs it: bodies stay packed as they came, and headers may be as large as Immich allows.
    app[SERVER_OPTIONS] = {
        "auto_decompress": False,
        "read_bufsize": PIECE_BYTES,
        "max_line_size": HEADER_BYTES,
        "max_field_size": HEADER_BYTES,
    }
    return app


@asynccontextmanager
async def open_front_door(
    settings: FrontDoorSettings,
    recogniser: Recogniser | None,
    search: SearchRepository | None,
    refresh: RefreshRepository | None,
    metrics: FrontDoorMetrics,
) -> AsyncIterator[FrontDoor]:
    """The front door with its connections to Immich."""
    async with AsyncExitStack() as stack:
        # No cookie jar, no redirects, no decompression: what passes through is the caller's, not ours.
        proxy_session = await stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(limit=0, keepalive_timeout=UPSTREAM_KEEPALIVE_SECONDS),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=PIECE_BYTES,
                timeout=ClientTimeout(total=None),
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
            )
        )
        api_session = await stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(limit=64, keepalive_timeout=UPSTREAM_KEEPALIVE_SECONDS),
                cookie_jar=DummyCookieJar(),
            )
        )
        hops = Hops()
        api = ImmichApi(
            api_session,
            settings.immich_url,
            hops=hops,
            timeout_seconds=settings.api_timeout_seconds,
            concurrency=settings.api_concurrency,
        )
        proxy = ImmichProxy(
            proxy_session,
            settings.immich_url,
            forwarding=Forwarding(settings.trusted_proxies),
            hops=hops,
            connect_timeout_seconds=settings.connect_timeout_seconds,
            idle_timeout_seconds=settings.idle_timeout_seconds,
        )
        refreshes = RefreshCalls(
            _refresher(settings, api, recogniser, refresh, metrics),
            patience_seconds=settings.refresh_patience_seconds,
            max_assets=settings.refresh_max_assets,
        )
        stack.push_async_callback(refreshes.close)
        searches = SearchCalls(api, _ranked(settings, api, recogniser, search, refresh), hybrid=settings.hybrid)
        yield FrontDoor(
            proxy_session,
            proxy,
            api,
            searches,
            refreshes,
            metrics,
            max_body_bytes=settings.max_body_bytes,
            body_timeout_seconds=settings.body_timeout_seconds,
            immich_page=settings.immich_page,
        )


def _ranked(
    settings: FrontDoorSettings,
    api: ImmichApi,
    recogniser: Recogniser | None,
    search: SearchRepository | None,
    refresh: RefreshRepository | None,
) -> RankedSearch | None:
    if search is None:
        return None
    encoder = None
    if recogniser is not None and refresh is not None:
        encoder = ImmichTextEncoder(recogniser, refresh, settings.clip_model)
    return RankedSearch(api, search, encoder)


def _refresher(
    settings: FrontDoorSettings,
    api: ImmichApi,
    recogniser: Recogniser | None,
    refresh: RefreshRepository | None,
    metrics: FrontDoorMetrics,
) -> Refresher | None:
    if recogniser is None or refresh is None:
        return None
    return Refresher(
        api,
        refresh,
        recogniser,
        metrics,
        clip_model=settings.clip_model,
        ocr_model=settings.ocr_model,
        concurrency=settings.refresh_concurrency,
    )
