"""Whose photos a caller may search: asked of Immich for every search, so that a revoked key or share counts at once."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from router.front_door.errors import ImmichAwayError
from router.front_door.immich.api import ImmichApi
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.schemas import PARTNERS, USER, Reply


class RefusedByImmichError(Exception):
    """Immich does not know the caller. Its reply is to be passed on as it is."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"Immich answered {reply.status}")
        self.reply = reply


class RightsUnknownError(Exception):
    """Immich knows the caller, but the key may not ask who that is: only Immich itself can apply the rights."""


@dataclass(frozen=True)
class Caller:
    """A user and the partners whose photos appear in that user's timeline."""

    user_id: UUID
    partner_ids: tuple[UUID, ...]

    @property
    def owner_ids(self) -> tuple[UUID, ...]:
        """Everyone whose photos a search covers."""
        return (self.user_id, *self.partner_ids)


async def who_calls(api: ImmichApi, credentials: Credentials) -> Caller:
    """Asks Immich who the caller is and who shares with them, both at once.

    Raises:
        RefusedByImmichError: the credentials are wrong or expired.
        RightsUnknownError: the key lacks `user.read` or `partner.read`.
        ImmichAwayError: it cannot be reached or failed.
    """
    me, partners = await asyncio.gather(api.me(credentials), api.partners(credentials))
    for reply in (me, partners):
        if reply.status == 403:
            raise RightsUnknownError
        demand(reply)
    sharers = tuple(partner.id for partner in partners.read(PARTNERS) if partner.in_timeline)
    return Caller(me.read(USER).id, sharers)


def demand(reply: Reply) -> None:
    """Returns when Immich said yes.

    Raises:
        RefusedByImmichError: it said no.
        ImmichAwayError: it failed, or sent the question elsewhere.
    """
    if reply.refused:
        raise RefusedByImmichError(reply)
    if not reply.ok:
        raise ImmichAwayError(f"Immich answered {reply.status} to {reply.asked}: try again")
