"""Immich's own OCR filter: what serves a search when ranking cannot, so that `ocr:` always means text in photos."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from aiohttp import hdrs, web

from router.gateway.answers import Reply
from router.gateway.credentials import Credentials
from router.gateway.headers import end_to_end
from router.gateway.immich import ImmichApi
from router.gateway.replies import SERVED_HEADER
from router.gateway.search.wanted import DEFAULT_SIZE, METADATA_SIZE, ocr_text


class Reason(StrEnum):
    """Why a search was left to Immich; told in the reply's header."""

    NO_DATABASE = "no-database"
    DATABASE_UNAVAILABLE = "database-unavailable"
    FILTER = "filter-not-translatable"
    RIGHTS = "key-may-not-read-user"
    EMBEDDING_UNAVAILABLE = "embedding-unavailable"
    DIMENSION = "embedding-dimension-mismatch"


NOT_IN_METADATA = frozenset({"query", "queryAssetId", "language", "fuse"})
"""Keys of a smart search that a metadata search has not."""


def native_body(text: str, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of Immich's search and its body for photos whose text matches `text`, all other filters kept.

    A flat request becomes a metadata search (newest first). One with 3.2's structured `filter` stays a smart search,
    narrowed by text: only that kind pages by number with such a filter.
    """
    if isinstance(body.get("filter"), Mapping):
        kept = {name: value for name, value in body.items() if name not in ("fuse", "ocr")}
        given = body["filter"].get("ocr")
        also = given.get("matches", "") if isinstance(given, Mapping) else ""
        matches = f"{ocr_text(text, body)} {also}".strip()
        return "smart", {**kept, "query": text, "filter": {**body["filter"], "ocr": {"matches": matches}}}
    kept = {name: value for name, value in body.items() if name not in NOT_IN_METADATA}
    return "metadata", {"size": DEFAULT_SIZE, **kept, "ocr": ocr_text(text, body)}


def metadata_body(text: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of Immich's own metadata search for photos whose text matches `text`, everything else kept.

    `text` is all of it: what `query` and `ocr` of the request ask for, without their prefix.
    """
    kept = {name: value for name, value in body.items() if name not in NOT_IN_METADATA}
    if not isinstance(body.get("ocr", ""), str):
        return kept
    if not isinstance(body.get("filter"), Mapping):
        return {"size": METADATA_SIZE, **kept, "ocr": text}
    kept.pop("ocr", None)
    given = body["filter"].get("ocr")
    also = given.get("matches", "") if isinstance(given, Mapping) else ""
    return {"size": METADATA_SIZE, **kept, "filter": {**body["filter"], "ocr": {"matches": f"{text} {also}".strip()}}}


class NativeSearch:
    """Leaves a search to Immich, with the caller's credentials."""

    def __init__(self, api: ImmichApi) -> None:
        self._api = api

    async def by_text(
        self, text: str, body: Mapping[str, Any], credentials: Credentials, reason: Reason
    ) -> web.Response:
        """Photos whose text matches, by Immich's OCR filter."""
        kind, native = native_body(text, body)
        return relayed(await self._api.search(kind, native, credentials), reason)

    async def by_metadata(
        self, text: str, body: Mapping[str, Any], credentials: Credentials, reason: Reason
    ) -> web.Response:
        """Photos whose text matches, by Immich's metadata search as it was asked for."""
        return relayed(await self._api.search("metadata", metadata_body(text, body), credentials), reason)

    async def by_look(self, body: Mapping[str, Any], credentials: Credentials, reason: Reason) -> web.Response:
        """Immich's own smart search, as if the front door were not there."""
        native = {name: value for name, value in body.items() if name != "fuse"}
        return relayed(await self._api.search("smart", native, credentials), reason)


def relayed(reply: Reply, reason: Reason | None = None) -> web.Response:
    """One of Immich's replies passed on, with the header that says why Immich served it."""
    headers = end_to_end(reply.headers)
    # The reply was read and decompressed; its length and encoding are new.
    for name in (hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING, hdrs.ETAG, hdrs.DATE):
        headers.popall(name, None)
    if reason is not None:
        headers[SERVED_HEADER] = f"native; reason={reason}"
    return web.Response(status=reply.status, body=reply.body, headers=headers)
