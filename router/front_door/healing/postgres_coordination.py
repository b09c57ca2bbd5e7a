"""Coordination of all routers of one Immich, wherever they run: advisory locks and a table in Immich's database.

The locks are of the session: a router that dies lets them go at once. The connection is this module's own, since a
lock belongs to the connection that took it.
"""

from collections.abc import Iterable
from typing import Any

import asyncpg

from mesh.core.errors import UnavailableError
from router.front_door.healing.queues import Queue
from sql.database import LOST, REFUSED
from sql.settings import DatabaseSettings

SPACE = 0x6D657368
"""First half of the locks' keys: "mesh"."""
PRESENT, LEAD = 2, 3


class PostgresCoordination:
    """Implements `Coordination`."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None
        self._present = False
        self._leads = False

    async def join(self) -> bool:
        """Holds a shared lock."""
        await self._connect()
        if not self._present:
            self._present = bool(await self._ask("SELECT pg_try_advisory_lock_shared($1, $2)", SPACE, PRESENT))
        return self._present

    async def lead(self) -> bool:
        """Holds the one lock of those who heal."""
        await self._connect()
        if not self._leads:
            self._leads = bool(await self._ask("SELECT pg_try_advisory_lock($1, $2)", SPACE, LEAD))
        return self._leads

    async def yield_lead(self) -> None:
        """Lets the lock go."""
        if self._leads:
            self._leads = False
            await self._ask("SELECT pg_advisory_unlock($1, $2)", SPACE, LEAD)

    async def leave(self) -> bool:
        """Alone with the lock: nobody else holds it."""
        if not self._present:
            return False
        self._present = False
        await self._ask("SELECT pg_advisory_unlock_shared($1, $2)", SPACE, PRESENT)
        return bool(await self._ask("SELECT pg_try_advisory_lock($1, $2)", SPACE, PRESENT))

    async def noted(self) -> frozenset[Queue]:
        """What the table says."""
        await self._connect()
        names = await self._ask("SELECT mesh.paused_queues()")
        known = {str(queue) for queue in Queue}
        return frozenset(Queue(name) for name in names if name in known)

    async def note(self, queues: Iterable[Queue]) -> None:
        """Adds to the table."""
        await self._ask("SELECT mesh.note_paused($1)", [str(queue) for queue in queues])

    async def forget(self, queues: Iterable[Queue]) -> None:
        """Takes out of the table."""
        await self._ask("SELECT mesh.forget_paused($1)", [str(queue) for queue in queues])

    async def close(self) -> None:
        """Ends the session, and with it the locks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connect(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        self._present = self._leads = False
        if self._settings.url is None:
            raise UnavailableError("no database is configured: set its url")
        limit = self._settings.connect_timeout_seconds
        try:
            self._connection = await asyncpg.connect(
                self._settings.url.get_secret_value(),
                timeout=limit,
                command_timeout=self._settings.statement_timeout_ms / 1000,
                server_settings={"application_name": "immich-mesh-healing"},
            )
        except (*LOST, *REFUSED, TimeoutError) as error:
            raise UnavailableError(f"Immich's database cannot be reached ({type(error).__name__})") from error

    async def _ask(self, statement: str, *arguments: object) -> Any:
        if self._connection is None:
            raise UnavailableError("the connection to Immich's database was lost")
        try:
            return await self._connection.fetchval(statement, *arguments)
        except (*LOST, TimeoutError) as error:
            await self.close()
            raise UnavailableError(f"Immich's database cannot be reached ({type(error).__name__})") from error
        except asyncpg.PostgresError as error:
            raise UnavailableError(
                "Immich's database is not as self-healing needs it: see `immich-mesh db status`"
            ) from error
