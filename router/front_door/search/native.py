"""Immich's own OCR filter: what serves a search when ranking cannot, so that `ocr:` always means text in photos."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from router.front_door.immich.api import ImmichApi
from router.front_door.immich.credentials import Credentials
from router.front_door.replies import Reason, relayed
from router.front_door.search.query import DEFAULT_SIZE, METADATA_SIZE, ocr_text

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

    async def by_vector(self, body: Mapping[str, Any], credentials: Credentials, reason: Reason) -> web.Response:
        """Immich's own smart search, as if the front door were not there."""
        native = {name: value for name, value in body.items() if name != "fuse"}
        return relayed(await self._api.search("smart", native, credentials), reason)
