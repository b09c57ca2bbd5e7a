"""The changed search calls: which are ranked here, which are Immich's, and what takes over when ranking cannot."""

from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web

from mesh.core.errors import DimensionMismatchError, MeshError, UnavailableError
from router.front_door.errors import ImmichAwayError
from router.front_door.immich.api import ImmichApi
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import RefusedByImmichError, RightsUnknownError
from router.front_door.replies import SERVED_HEADER, Reason, failure, immich_failure, json_reply, mesh_failure, relayed
from router.front_door.search.filter_values import UntranslatableError
from router.front_door.search.native import NativeSearch
from router.front_door.search.query import (
    METADATA_SIZE,
    SearchQuery,
    ocr_text,
    prefixed_text,
    read_query,
    read_text_query,
)
from router.front_door.search.ranked import EncodingFailedError, Found, RankedSearch
from sql.filters import UnsupportedFilterError
from sql.search.query.parse import only_excludes

log = structlog.get_logger()

TROUBLE = (UntranslatableError, RightsUnknownError, MeshError)
"""What can keep a search from being ranked here."""


class SearchCalls:
    """Answers searches.

    Args:
        api: Immich's API.
        ranked: the ranked search; None without a database.
        hybrid: whether plain queries are ranked by text and look together, without being asked to.
    """

    def __init__(self, api: ImmichApi, ranked: RankedSearch | None, *, hybrid: bool) -> None:
        self._native = NativeSearch(api)
        self._ranked = ranked
        self._hybrid = hybrid

    def changes(self, body: Mapping[str, Any]) -> bool:
        """Whether a smart search with this body is ours; any other goes to Immich untouched."""
        query = body.get("query")
        if not isinstance(query, str) or not query.strip() or body.get("queryAssetId"):
            return False
        if prefixed_text(query) is not None or body.get("fuse") is True:
            return True
        # With Immich's own `ocr` filter beside the query, the caller has chosen already how text counts.
        return self._hybrid and self._can_fuse() and "ocr" not in body

    def changes_metadata(self, body: Mapping[str, Any]) -> bool:
        """Whether a metadata search with this body is ours: one for text, best first unless the oldest are wanted."""
        prefixed = prefixed_text(body.get("query"))
        text = body.get("ocr")
        if prefixed is None and not (isinstance(text, str) and text.strip()):
            return False
        # A caller that turns Immich's order round wants photos by date. With the prefix alone, Immich would ignore
        # the text, so that is always ours.
        return prefixed is not None or body.get("order") != "asc"

    async def smart(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """A smart search that `changes` has claimed."""
        text = prefixed_text(body["query"])
        if text is not None:
            return await self.by_text(text, body, credentials)
        if not self._can_fuse():
            reason = Reason.NO_DATABASE if self._ranked is None else Reason.EMBEDDING_UNAVAILABLE
            return await self._native.by_vector(body, credentials, reason)
        try:
            return await self._page(read_query(body["query"].strip(), body), credentials, hybrid=True)
        except TROUBLE as error:
            return await self._native.by_vector(body, credentials, reason_of(error))

    async def by_text(self, text: str, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """Photos whose recognised text matches `text`, best first."""
        if only_excludes(ocr_text(text, body)):
            return _nothing_to_look_for()
        if self._ranked is None:
            return await self._native.by_text(text, body, credentials, Reason.NO_DATABASE)
        try:
            return await self._page(read_text_query(text, body), credentials, hybrid=False)
        except TROUBLE as error:
            return await self._native.by_text(text, body, credentials, reason_of(error))

    async def metadata(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """A metadata search that `changes_metadata` has claimed: by text, best first, in Immich's pages of 250."""
        text = ocr_text(prefixed_text(body.get("query")) or "", body)
        if only_excludes(text):
            return _nothing_to_look_for()
        if self._ranked is None:
            return await self._native.by_metadata(text, body, credentials, Reason.NO_DATABASE)
        try:
            asked = read_text_query(prefixed_text(body.get("query")) or "", body, METADATA_SIZE)
            return await self._page(asked, credentials, hybrid=False)
        except TROUBLE as error:
            return await self._native.by_metadata(text, body, credentials, reason_of(error))

    async def explain(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """How each result of a search was found: ranks, vector distance, matched lines with their boxes."""
        query = body.get("query")
        if not isinstance(query, str) or not query.strip():
            return failure(400, 'send {"query": "ocr:...", ...} as for a smart search')
        if self._ranked is None:
            return failure(503, "explaining needs Immich's database: set DB_URL (or DB_HOSTNAME)")
        text = prefixed_text(query)
        if text is not None and only_excludes(text):
            return _nothing_to_look_for()
        try:
            asked = read_query(query.strip(), body) if text is None else read_text_query(text, body)
            found = await self._ranked.find(asked, credentials, hybrid=text is None and self._can_fuse())
            explained = await self._ranked.explain(asked, found, query.strip() if text is None else text)
        except RefusedByImmichError as refusal:
            return relayed(refusal.reply)
        except RightsUnknownError:
            return failure(403, "explaining needs a key with user.read, partner.read and asset.read")
        except UntranslatableError as error:
            return failure(400, f"cannot be explained, Immich alone applies {error}")
        except MeshError as error:
            return mesh_failure(error)
        return json_reply(explained)

    def _can_fuse(self) -> bool:
        return self._ranked is not None and self._ranked.knows_vectors

    async def _page(self, asked: SearchQuery, credentials: Credentials, *, hybrid: bool) -> web.Response:
        assert self._ranked is not None
        try:
            found: Found = await self._ranked.find(asked, credentials, hybrid=hybrid)
        except RefusedByImmichError as refusal:
            return relayed(refusal.reply)
        served = "hybrid" if found.embedding is not None else "ranked"
        return json_reply(await self._ranked.reply(found), headers={SERVED_HEADER: served})


def _nothing_to_look_for() -> web.Response:
    message = 'an exclusion alone finds nothing: say what to look for as well, or quote it ("-20") to find it as it is'
    return immich_failure(400, message)


def reason_of(error: Exception) -> Reason:
    """Why a search is left to Immich after this error. One that Immich cannot make good is raised again."""
    if isinstance(error, ImmichAwayError):
        raise error
    log.info("search left to Immich", error=str(error), kind=type(error).__name__)
    reasons: tuple[tuple[type[Exception], Reason], ...] = (
        (UntranslatableError, Reason.FILTER),
        (UnsupportedFilterError, Reason.FILTER),
        (RightsUnknownError, Reason.RIGHTS),
        (EncodingFailedError, Reason.EMBEDDING_UNAVAILABLE),
        (DimensionMismatchError, Reason.DIMENSION),
        (UnavailableError, Reason.DATABASE_UNAVAILABLE),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    raise error
