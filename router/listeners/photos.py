"""The photo front door's listener: Immich's whole API on one port, with search and refresh made better.

    browser/app ─▶ door ▸ (proxy | search ▸ rights ▸ sql ▸ Immich | refresh ▸ mesh ▸ sql) ─▶ Immich

`open_photos` builds it; the server has to be run with `SERVER_OPTIONS`, without which it is not transparent.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

from router.photos.door import FrontDoor
from router.photos.headers import Forwarding
from router.photos.immich import ImmichApi
from router.photos.jobs import RefreshCalls
from router.photos.proxy import ImmichProxy, keep_headers_exact, leave_expect_to_immich
from router.photos.recognition import Recogniser
from router.photos.refresh import Refresher
from router.photos.search import RankedSearch
from router.photos.searching import SearchCalls
from router.photos.settings import PhotosSettings
from router.photos.text_encoder import ImmichTextEncoder
from sql.refresh import RefreshRepository
from sql.repository import SearchRepository

HEADER_BYTES = 64 * 1024
"""Cookies of a browser that knows many sites behind one name grow large; the limit to apply is Immich's own."""

UPSTREAM_KEEPALIVE_SECONDS = 3.0
"""Node closes an idle connection after 5 s; one that is let go earlier is never written to while it closes."""

SERVER_OPTIONS: dict[str, Any] = {
    "handler_cancellation": True,  # a client that leaves takes its request at Immich with it
    "auto_decompress": False,
    "access_log": None,
    "max_line_size": HEADER_BYTES,
    "max_field_size": HEADER_BYTES,
}
"""Arguments of `web.AppRunner` for this listener."""


@asynccontextmanager
async def open_photos(settings: PhotosSettings, recogniser: Recogniser | None) -> AsyncIterator[web.Application]:
    """The front door with its connections to Immich's database, when one is configured.

    Args:
        settings: with `immich_url` set.
        recogniser: the mesh's services; None leaves out hybrid ranking and refreshing.
    """
    if settings.database.url is None:
        async with photos_app(settings, recogniser, None, None) as app:
            yield app
        return
    async with (
        SearchRepository(settings.database) as search,
        RefreshRepository(settings.database) as refresh,
        photos_app(settings, recogniser, search, refresh) as app,
    ):
        yield app


@asynccontextmanager
async def photos_app(
    settings: PhotosSettings,
    recogniser: Recogniser | None,
    search: SearchRepository | None,
    refresh: RefreshRepository | None,
) -> AsyncIterator[web.Application]:
    """The front door as an aiohttp application, with its connections to Immich."""
    async with AsyncExitStack() as stack:
        # No cookie jar, no redirects, no decompression: what passes through is the caller's, not ours.
        session = await stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(limit=0, keepalive_timeout=UPSTREAM_KEEPALIVE_SECONDS),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                timeout=ClientTimeout(total=None),
                max_line_size=HEADER_BYTES,
                max_field_size=HEADER_BYTES,
            )
        )
        questions = await stack.enter_async_context(
            ClientSession(
                connector=TCPConnector(limit=64, keepalive_timeout=UPSTREAM_KEEPALIVE_SECONDS),
                cookie_jar=DummyCookieJar(),
            )
        )
        api = ImmichApi(
            questions,
            settings.immich_url,
            timeout_seconds=settings.api_timeout_seconds,
            concurrency=settings.api_concurrency,
        )
        proxy = ImmichProxy(
            session,
            settings.immich_url,
            forwarding=Forwarding(settings.trusted_proxies),
            connect_timeout_seconds=settings.connect_timeout_seconds,
            idle_timeout_seconds=settings.idle_timeout_seconds,
        )
        refreshes = RefreshCalls(
            _refresher(settings, api, recogniser, refresh), patience_seconds=settings.refresh_patience_seconds
        )
        stack.push_async_callback(refreshes.close)
        searches = SearchCalls(api, _ranked(settings, api, recogniser, search, refresh), hybrid=settings.hybrid)
        door = FrontDoor(session, proxy, api, searches, refreshes)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", door.handle, expect_handler=leave_expect_to_immich)
        app.on_response_prepare.append(keep_headers_exact)
        yield app


def _ranked(
    settings: PhotosSettings,
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
    settings: PhotosSettings, api: ImmichApi, recogniser: Recogniser | None, refresh: RefreshRepository | None
) -> Refresher | None:
    if recogniser is None or refresh is None:
        return None
    return Refresher(
        api,
        refresh,
        recogniser,
        clip_model=settings.clip_model,
        ocr_model=settings.ocr_model,
        concurrency=settings.refresh_concurrency,
    )
