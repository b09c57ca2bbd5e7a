"""Found ids become results: each is fetched from Immich with the caller's credentials, in the shape of Immich's search.

What Immich refuses is left out. From 3.2 on one call fetches a page; earlier versions are asked photo by photo.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from router.gateway.credentials import Credentials
from router.gateway.immich import STRUCTURED_FILTER, ImmichApi, ImmichAwayError, Reply
from router.gateway.rights import Caller, RefusedByImmichError, RightsUnknownError
from router.gateway.search.wanted import Wanted

log = structlog.get_logger()

Item = dict[str, Any]

BATCH = 250
"""Photos that one structured search names."""

ONLY_IN_DETAIL = frozenset({"owner", "tags", "unassignedFaces", "stack"})
"""Keys of `GET /api/assets/{id}` that a search result has not."""


def as_search_item(asset: Mapping[str, Any], *, with_exif: bool) -> Item:
    """An asset's detail as Immich's search shows it: without relations, EXIF only when asked for, people not loaded."""
    dropped = ONLY_IN_DETAIL if with_exif else ONLY_IN_DETAIL | {"exifInfo"}
    item = {name: value for name, value in asset.items() if name not in dropped}
    if "people" in item:
        item["people"] = []
    return item


@dataclass(frozen=True)
class Access:
    """What a result must satisfy by Immich's own word, whatever the database said: a second lock on the same door."""

    owners: frozenset[str]
    visibilities: frozenset[str]
    with_deleted: bool

    @classmethod
    def of(cls, caller: Caller, wanted: Wanted) -> "Access":
        """The access of one search."""
        restriction = wanted.restriction
        return cls(
            frozenset(str(owner) for owner in caller.owner_ids),
            frozenset(str(visibility) for visibility in restriction.visibilities),
            restriction.with_deleted,
        )

    def allows(self, item: Mapping[str, Any]) -> bool:
        """Whether this result may be shown."""
        return (
            item.get("ownerId") in self.owners
            and item.get("visibility", "timeline") in self.visibilities
            and (self.with_deleted or not item.get("isTrashed", False))
        )


class ItemFetcher:
    """Fetches results from Immich."""

    def __init__(self, api: ImmichApi) -> None:
        self._api = api
        self._batches = True

    async def fetch(self, asset_ids: Sequence[UUID], credentials: Credentials, *, with_exif: bool) -> dict[str, Item]:
        """The photos that Immich shows this caller, by id.

        Raises:
            RefusedByImmichError: the credentials stopped being valid.
            RightsUnknownError: the caller's key may not read photos at all.
            ImmichAwayError: it failed.
        """
        wanted_ids = [str(asset_id) for asset_id in asset_ids]
        found: dict[str, Item] = {}
        if len(wanted_ids) > 1 and self._batches and await self._api.version() >= STRUCTURED_FILTER:
            for start in range(0, len(wanted_ids), BATCH):
                found |= await self._batch(wanted_ids[start : start + BATCH], credentials, with_exif=with_exif)
        missing = [asset_id for asset_id in wanted_ids if asset_id not in found]
        if missing:
            replies = await self._api.assets(missing, credentials)
            if not found and all(reply.status == 403 for reply in replies):
                raise RightsUnknownError
            found |= _accepted(missing, replies, with_exif=with_exif)
        return found

    async def _batch(self, asset_ids: list[str], credentials: Credentials, *, with_exif: bool) -> dict[str, Item]:
        branches = [{"id": {"eq": asset_id}} for asset_id in asset_ids]
        body = {"filter": {"or": branches}, "size": len(asset_ids), "withExif": with_exif}
        reply = await self._api.search("metadata", body, credentials)
        if not reply.ok:
            return {}
        items: list[Item] = reply.json().get("assets", {}).get("items", [])
        asked = set(asset_ids)
        if any(item.get("id") not in asked for item in items):
            log.warning("immich_batch_unusable", remedy="results are fetched one by one")
            self._batches = False
            return {}
        return {item["id"]: item for item in items}


def _accepted(asset_ids: Iterable[str], replies: Iterable[Reply], *, with_exif: bool) -> dict[str, Item]:
    accepted = {}
    for asset_id, reply in zip(asset_ids, replies, strict=True):
        if reply.ok:
            accepted[asset_id] = as_search_item(reply.json(), with_exif=with_exif)
        elif reply.status == 401:
            raise RefusedByImmichError(reply)
        elif reply.status >= 500:
            raise ImmichAwayError("Immich failed to show a photo that was found: try again")
    return accepted
