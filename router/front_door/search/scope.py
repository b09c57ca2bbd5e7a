"""Which photos a search reaches: what this version of Immich searches for this caller, as Immich itself says."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from router.front_door.immich.api import ALL_BUT_LOCKED, ImmichApi, Version
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import Caller, RightsUnknownError, demand
from router.front_door.immich.schemas import ALBUM
from router.front_door.search.filter_values import UntranslatableError
from router.front_door.search.filters import Restriction
from sql.filters import Scope, Visibility

MAX_ALBUMS = 32
"""Albums of one search that Immich is asked about; a search in more is left to Immich."""


async def scope_of(api: ImmichApi, caller: Caller, restriction: Restriction, credentials: Credentials) -> Scope:
    """The scope of one search.

    In albums that the caller may read, everyone's photos are found; anywhere else the caller's and the partners'.

    Raises:
        UntranslatableError: Immich does not let the caller read one of the albums; it says so itself.
        RightsUnknownError: the key may not read albums.
        RefusedByImmichError, ImmichAwayError: see `rights.demand`.
    """
    visibilities = restriction.visibilities
    if visibilities is None:
        visibilities = unless_named(await api.version())
    if not restriction.albums:
        return Scope(caller.owner_ids, visibilities, restriction.with_deleted)
    await _demand_readable(api, restriction.albums, credentials)
    return Scope(None, visibilities, restriction.with_deleted)


def unless_named(version: Version) -> frozenset[Visibility]:
    """What an Immich of this version searches when the request names no visibility."""
    if version >= ALL_BUT_LOCKED:
        return frozenset(Visibility) - {Visibility.LOCKED}
    return frozenset({Visibility.TIMELINE})


async def _demand_readable(api: ImmichApi, albums: Sequence[UUID], credentials: Credentials) -> None:
    if len(albums) > MAX_ALBUMS:
        raise UntranslatableError(f"albumIds: more than {MAX_ALBUMS}")
    replies = await asyncio.gather(*(api.album(str(album), credentials) for album in albums))
    for album, reply in zip(albums, replies, strict=True):
        if reply.status == 403:
            raise RightsUnknownError
        if reply.status in (400, 404):
            raise UntranslatableError("albumIds: Immich does not show this album to the caller")
        demand(reply)
        if reply.read(ALBUM).id != album:
            raise UntranslatableError("albumIds: Immich showed another album")
