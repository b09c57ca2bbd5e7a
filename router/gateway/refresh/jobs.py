"""The changed call `POST /api/assets/jobs`, and the mesh's own `POST /mesh/refresh` and `GET /mesh/refresh/missing`."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web

from mesh.core.errors import MeshError
from router.errors import http_status, retry_after
from router.gateway.credentials import Credentials
from router.gateway.refresh.refresh import KeyLacksPermissionError, Kind, NotEditableError, Refreshed, Refresher
from router.gateway.replies import failure, immich_failure, json_reply
from router.gateway.rights import RefusedByImmichError
from router.gateway.search.native import relayed

log = structlog.get_logger()

CLOSING_SECONDS = 20.0

REFUSALS = (NotEditableError, KeyLacksPermissionError, RefusedByImmichError, MeshError)
"""Errors that have an answer."""


class RefreshCalls:
    """Answers the calls that regenerate photos.

    Args:
        refresher: does the work; None without a database, when these calls are answered 503.
        patience_seconds: how long a job call waits for its work before it is answered; the rest goes on behind it.
    """

    def __init__(self, refresher: Refresher | None, *, patience_seconds: float = 25.0) -> None:
        self._refresher = refresher
        self._patience_seconds = patience_seconds
        self._running: set[asyncio.Task[None]] = set()

    async def jobs(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """Immich's job call for one of our names: 204 as Immich's own, or why it cannot be.

        The work is done by the time of the answer unless it takes longer than the patience; then it goes on, and a
        failure is only logged, as in Immich. A failure in time is told.
        """
        if self._refresher is None:
            return _no_database()
        asset_ids = _asset_ids(body.get("assetIds"))
        if asset_ids is None:
            return immich_failure(400, "each value in assetIds must be a UUID")
        kinds = frozenset({Kind(body["name"])})
        try:
            await self._refresher.editable(asset_ids, credentials)
        except REFUSALS as error:
            return _refusal(error)
        task = asyncio.create_task(self._all(asset_ids, kinds, credentials))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # The work outlives a client that leaves, as a queued job of Immich's would.
        done, _ = await asyncio.wait({task}, timeout=self._patience_seconds)
        if task in done and (failed := task.exception()) is not None:
            return _refusal(failed)
        return web.Response(status=204)

    async def refresh(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """Regenerates one photo while the caller waits, and tells what changed."""
        if self._refresher is None:
            return _no_database()
        asset_ids = _asset_ids([body.get("assetId")])
        kinds = frozenset(kind for name, kind in (("ocr", Kind.OCR), ("clip", Kind.CLIP)) if body.get(name))
        if asset_ids is None or not kinds:
            return failure(400, 'send {"assetId": "<uuid>", "ocr": true, "clip": true}, at least one of the two true')
        try:
            await self._refresher.editable(asset_ids, credentials)
            refreshed = await self._refresher.refresh(asset_ids[0], kinds, credentials)
        except REFUSALS as error:
            return _refusal(error)
        return json_reply(_told(asset_ids[0], refreshed))

    async def missing(self, query: Mapping[str, str], credentials: Credentials) -> web.Response:
        """The caller's photos whose text or vector Immich lost."""
        if self._refresher is None:
            return _no_database()
        kinds = frozenset(kind for name, kind in (("ocr", Kind.OCR), ("clip", Kind.CLIP)) if query.get(name) == "true")
        try:
            return json_reply(await self._refresher.missing(kinds, credentials))
        except REFUSALS as error:
            return _refusal(error)

    async def close(self) -> None:
        """Lets work that outlived its call finish, for a while; what is cut off is as if it had not begun."""
        if not self._running:
            return
        _, left = await asyncio.wait(set(self._running), timeout=CLOSING_SECONDS)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _all(self, asset_ids: list[UUID], kinds: frozenset[Kind], credentials: Credentials) -> None:
        assert self._refresher is not None
        outcomes = await asyncio.gather(
            *(self._refresher.refresh(asset_id, kinds, credentials) for asset_id in asset_ids), return_exceptions=True
        )
        failures = [
            (asset_id, outcome)
            for asset_id, outcome in zip(asset_ids, outcomes, strict=True)
            if isinstance(outcome, BaseException)
        ]
        for asset_id, error in failures:
            log.warning("refresh_failed", asset_id=str(asset_id), error=str(error))
        if failures:
            raise failures[0][1]


def _asset_ids(value: Any) -> list[UUID] | None:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        return None
    try:
        return [UUID(entry) for entry in dict.fromkeys(value)]
    except ValueError:
        return None


def _no_database() -> web.Response:
    return failure(503, "refreshing needs Immich's database: set DB_URL (or DB_HOSTNAME) for the photo front door")


def _refusal(error: BaseException) -> web.Response:
    if isinstance(error, NotEditableError):
        return immich_failure(400, "Not found or no asset.update access")
    if isinstance(error, KeyLacksPermissionError):
        return immich_failure(403, "Missing required permission: job.create")
    if isinstance(error, RefusedByImmichError):
        return relayed(error.reply)
    if isinstance(error, MeshError):
        status, _ = http_status(error)
        wait = retry_after(error)
        return failure(status, error.message, {"Retry-After": wait} if wait else None)
    raise error


def _told(asset_id: UUID, refreshed: Refreshed) -> dict[str, Any]:
    told: dict[str, Any] = {"assetId": str(asset_id)}
    if refreshed.text is not None:
        told["ocr"] = {"before": refreshed.text.before, "after": refreshed.text.after}
    if refreshed.embedding_length is not None:
        told["clip"] = {"dimension": refreshed.embedding_length}
    return told
