"""The changed call `POST /api/assets/jobs`, and the mesh's own `POST /mesh/refresh`, `POST /mesh/refresh/video` and
`GET /mesh/refresh/missing`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web

from mesh.core.errors import MeshError
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import RefusedByImmichError
from router.front_door.refresh.failures import BackgroundFailures
from router.front_door.refresh.refresher import (
    KeyLacksPermissionError,
    NotEditableError,
    Refreshed,
    Refresher,
    RefreshKind,
)
from router.front_door.replies import failure, immich_failure, json_reply, mesh_failure, relayed
from sql.refresh import Missing, MissingReason

log = structlog.get_logger()

CLOSING_SECONDS = 20.0

MISSING_KINDS = {"text": "ocr", "vector": "clip", "faces": "faces"}
"""The database's words for what can be missing, and the API's."""

REFUSALS = (NotEditableError, KeyLacksPermissionError, RefusedByImmichError, MeshError)
"""Errors that have an answer."""


@dataclass(frozen=True)
class Failed:
    """A photo of a job call that could not be refreshed."""

    asset_id: UUID
    error: BaseException

    @property
    def reason(self) -> str:
        """Why, in words that anyone may read."""
        return self.error.message if isinstance(self.error, MeshError) else type(self.error).__name__


class RefreshCalls:
    """Answers the calls that regenerate photos.

    Args:
        refresher: does the work; None without a database, when these calls are answered 503.
        patience_seconds: how long a job call waits for its work before it is answered; the rest goes on behind it.
        max_assets: photos that one job call may name.
    """

    def __init__(self, refresher: Refresher | None, *, patience_seconds: float = 25.0, max_assets: int = 1000) -> None:
        self._refresher = refresher
        self._patience_seconds = patience_seconds
        self._max_assets = max_assets
        self._running: set[asyncio.Task[list[Failed]]] = set()
        self.failures = BackgroundFailures()

    @property
    def possible(self) -> bool:
        """Whether photos can be refreshed here at all."""
        return self._refresher is not None

    async def jobs(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """Immich's job call for one of our names: 204 as Immich's own, or why it cannot be.

        The work is done by the time of the answer unless it takes longer than the patience; then it goes on, and what
        fails is logged and counted (`failures`). A failure in time is told.
        """
        if self._refresher is None:
            return _no_database()
        asset_ids = _asset_ids(body.get("assetIds"))
        if asset_ids is None:
            return immich_failure(400, "each value in assetIds must be a UUID")
        if len(asset_ids) > self._max_assets:
            return immich_failure(400, f"assetIds must contain no more than {self._max_assets} elements")
        kinds = frozenset({RefreshKind(body["name"])})
        try:
            await self._refresher.editable(asset_ids, credentials)
        except REFUSALS as error:
            return _refusal(error)
        task = asyncio.create_task(self._all(asset_ids, kinds, credentials))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # The work outlives a client that leaves, as a queued job of Immich's would.
        done, _ = await asyncio.wait({task}, timeout=self._patience_seconds)
        if task not in done:
            task.add_done_callback(self._ended_late)
        elif failed := task.result():
            return _refusal(failed[0].error)
        return web.Response(status=204)

    async def refresh(self, body: Mapping[str, Any], credentials: Credentials) -> web.Response:
        """Regenerates one photo while the caller waits, and tells what changed."""
        if self._refresher is None:
            return _no_database()
        asset_ids = _asset_ids([body.get("assetId")])
        kinds = frozenset(
            kind for name, kind in (("ocr", RefreshKind.OCR), ("clip", RefreshKind.CLIP)) if body.get(name)
        )
        if asset_ids is None or not kinds:
            return failure(400, 'send {"assetId": "<uuid>", "ocr": true, "clip": true}, at least one of the two true')
        try:
            names = await self._refresher.editable(asset_ids, credentials)
            refreshed = await self._refresher.refresh(asset_ids[0], kinds, credentials)
        except REFUSALS as error:
            return _refusal(error)
        return json_reply(_change(asset_ids[0], names.get(asset_ids[0], ""), refreshed))

    async def refresh_video(
        self, query: Mapping[str, str], pictures: AsyncIterator[bytes], credentials: Credentials
    ) -> web.Response:
        """Regenerates one video's text from pictures of it, while the caller waits, and tells what changed."""
        if self._refresher is None:
            return _no_database()
        asset_ids = _asset_ids([query.get("assetId")])
        if asset_ids is None:
            return failure(400, "name the video: ?assetId=<uuid>")
        try:
            names = await self._refresher.editable(asset_ids, credentials)
            refreshed = await self._refresher.refresh_video(asset_ids[0], pictures, credentials)
        except REFUSALS as error:
            return _refusal(error)
        return json_reply(_change(asset_ids[0], names.get(asset_ids[0], ""), refreshed))

    async def missing(self, query: Mapping[str, str], credentials: Credentials) -> web.Response:
        """The caller's photos whose text, vector or faces Immich never wrote or lost, by kind: those that can be made.

        Beside them, of the same kinds: photos that nothing can be made of, and those of which it may be that nothing is
        missing.
        """
        if self._refresher is None:
            return _no_database()
        asked = {kind: name for kind, name in MISSING_KINDS.items() if query.get(name) == "true"}
        try:
            found = [one for one in await self._refresher.missing(credentials) if one.kind in asked]
            return json_reply(_by_kind(found, asked))
        except REFUSALS as error:
            return _refusal(error)

    async def state(self, query: Mapping[str, str], credentials: Credentials) -> web.Response:
        """What is known of one photo: whose it is, and its vector."""
        if self._refresher is None:
            return _no_database()
        ids = _asset_ids([query.get("assetId", "")])
        if not ids:
            return failure(400, "say which photo: assetId=UUID")
        try:
            return json_reply(asdict(await self._refresher.state(ids[0], credentials)))
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

    def _ended_late(self, task: "asyncio.Task[list[Failed]]") -> None:
        """Work that its call did not wait for: nobody but the log and the door's status can be told."""
        if task.cancelled():
            self.failures.cut_off()
            return
        for failed in task.result():
            self.failures.add(failed.asset_id, failed.reason)
            if self._refresher is not None:
                self._refresher.failed_late()

    async def _all(
        self, asset_ids: list[UUID], kinds: frozenset[RefreshKind], credentials: Credentials
    ) -> list[Failed]:
        assert self._refresher is not None
        outcomes = await asyncio.gather(
            *(self._refresher.refresh(asset_id, kinds, credentials) for asset_id in asset_ids), return_exceptions=True
        )
        failures = [
            Failed(asset_id, outcome)
            for asset_id, outcome in zip(asset_ids, outcomes, strict=True)
            if isinstance(outcome, BaseException)
        ]
        for failed in failures:
            log.warning("refresh failed", asset_id=str(failed.asset_id), error=str(failed.error))
        return failures


def _by_kind(found: Sequence[Missing], asked: Mapping[str, str]) -> dict[str, list[str]]:
    """Ids by the asked kinds' names, and by the reasons that make a difference."""

    def ids(wanted: Callable[[Missing], bool]) -> list[str]:
        return list(dict.fromkeys(str(one.photo) for one in found if wanted(one)))

    possible = [one for one in found if one.reason is not MissingReason.NO_PREVIEW]
    by_kind = {name: [str(one.photo) for one in possible if one.kind == kind] for kind, name in asked.items()}
    return {
        **by_kind,
        "noPreview": ids(lambda one: one.reason is MissingReason.NO_PREVIEW),
        "nothingFound": ids(lambda one: one.reason is MissingReason.NOTHING_FOUND),
    }


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
        return immich_failure(403, f"Missing required permission: {error.permission}")
    if isinstance(error, RefusedByImmichError):
        return relayed(error.reply)
    if isinstance(error, MeshError):
        return mesh_failure(error)
    raise error


def _change(asset_id: UUID, name: str, refreshed: Refreshed) -> dict[str, Any]:
    change: dict[str, Any] = {"assetId": str(asset_id), "originalFileName": name}
    if refreshed.text is not None:
        change["ocr"] = {"before": refreshed.text.before, "after": refreshed.text.after}
    if refreshed.embedding_length is not None:
        change["clip"] = {"dimension": refreshed.embedding_length}
    return change
