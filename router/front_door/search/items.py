"""Found ids become results: each is fetched from Immich with the caller's credentials, in the shape of Immich's search.

What Immich refuses is left out. From 3.2 on one call fetches a page; earlier versions are asked photo by photo.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from router.front_door.errors import ImmichAwayError
from router.front_door.immich.api import STRUCTURED_FILTER, ImmichApi
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import RefusedByImmichError, RightsUnknownError
from router.front_door.immich.schemas import SEARCH_ANSWER, Asset, Reply, asset_of
from sql.filters import Scope

log = structlog.get_logger()

Item = dict[str, Any]

BATCH = 250
"""Photos that one structured search names."""

ONLY_IN_DETAIL = frozenset({"owner", "tags", "unassignedFaces", "stack"})
"""Keys of `GET /api/assets/{id}` that a search result has not."""


@dataclass(frozen=True)
class Relations:
    """Which relations a search's results carry."""

    exif: bool = False
    people: bool = False


@dataclass(frozen=True)
class FoundPhoto:
    """One result: what decides whether it may be shown, and every field as Immich wrote it."""

    asset: Asset
    item: Item


def as_search_item(asset: Mapping[str, Any], relations: Relations) -> Item:
    """An asset's detail as Immich's search shows it: without relations, EXIF and people only when asked for."""
    dropped = ONLY_IN_DETAIL if relations.exif else ONLY_IN_DETAIL | {"exifInfo"}
    item = {name: value for name, value in asset.items() if name not in dropped}
    if "people" in item and not relations.people:
        item["people"] = []
    return item


@dataclass(frozen=True)
class Access:
    """What a result must satisfy by Immich's own word, whatever the database said: a second lock on the same door.

    Attributes:
        owners: whose photos; None for anyone's, in albums that Immich lets the caller read.
        visibilities: which.
        with_deleted: whether the trash counts.
    """

    owners: frozenset[UUID] | None
    visibilities: frozenset[str]
    with_deleted: bool

    @classmethod
    def of(cls, scope: Scope) -> "Access":
        """The access of one search."""
        return cls(
            None if scope.owner_ids is None else frozenset(scope.owner_ids),
            frozenset(str(visibility) for visibility in scope.visibilities),
            scope.with_deleted,
        )

    def allows(self, asset: Asset) -> bool:
        """Whether this result may be shown."""
        return (
            (self.owners is None or asset.owner_id in self.owners)
            and asset.visibility in self.visibilities
            and (self.with_deleted or not asset.is_trashed)
        )


class ItemFetcher:
    """Fetches results from Immich."""

    def __init__(self, api: ImmichApi) -> None:
        self._api = api
        self._batches = True

    async def fetch(
        self, asset_ids: Sequence[UUID], credentials: Credentials, relations: Relations
    ) -> dict[UUID, FoundPhoto]:
        """The photos that Immich shows this caller, by id.

        Raises:
            RefusedByImmichError: the credentials stopped being valid.
            RightsUnknownError: the caller's key may not read photos at all.
            ImmichAwayError: it failed.
        """
        found: dict[UUID, FoundPhoto] = {}
        if len(asset_ids) > 1 and self._batches and await self._api.version() >= STRUCTURED_FILTER:
            for start in range(0, len(asset_ids), BATCH):
                found |= await self._batch(asset_ids[start : start + BATCH], credentials, relations)
        missing = [asset_id for asset_id in asset_ids if asset_id not in found]
        if missing:
            replies = await self._api.assets([str(asset_id) for asset_id in missing], credentials)
            if not found and all(reply.status == 403 for reply in replies):
                raise RightsUnknownError
            found |= _accepted(replies, relations)
        return found

    async def _batch(
        self, asset_ids: Sequence[UUID], credentials: Credentials, relations: Relations
    ) -> dict[UUID, FoundPhoto]:
        body = {
            "filter": {"or": [{"id": {"eq": str(asset_id)}} for asset_id in asset_ids]},
            "size": len(asset_ids),
            "withExif": relations.exif,
            "withPeople": relations.people,
        }
        reply = await self._api.search("metadata", body, credentials)
        if not reply.ok:
            return {}
        photos = [FoundPhoto(asset_of(item, reply), item) for item in reply.read(SEARCH_ANSWER).assets.items]
        if not {photo.asset.id for photo in photos} <= set(asset_ids):
            log.warning("batch of Immich is of no use", remedy="results are fetched one by one")
            self._batches = False
            return {}
        return {photo.asset.id: photo for photo in photos}


TELLING = frozenset({401, 429})
"""Refusals that are about the caller and not about one photo."""


def _accepted(replies: Iterable[Reply], relations: Relations) -> dict[UUID, FoundPhoto]:
    accepted = {}
    for reply in replies:
        if reply.ok:
            fields = reply.fields()
            photo = FoundPhoto(asset_of(fields, reply), as_search_item(fields, relations))
            accepted[photo.asset.id] = photo
        elif reply.status in TELLING:
            raise RefusedByImmichError(reply)
        elif not reply.refused:
            raise ImmichAwayError("Immich failed to show a photo that was found: try again")
    return accepted
