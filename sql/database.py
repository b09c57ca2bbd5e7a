"""Connections to Immich's database that fail fast: one pool, time limits on every step, a pause after a hang.

A router must start, and pass Immich's traffic on, whatever the database does. So nothing here connects before it is
asked to, every wait has a limit, and after a hang callers are refused at once until `retry_after_seconds` have passed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg
import structlog

from mesh.core.errors import UnavailableError
from sql.settings import DatabaseSettings

T = TypeVar("T")
Connection = asyncpg.Connection
Work = Callable[[Any], Awaitable[T]]

log = structlog.get_logger()

SESSION = {
    "application_name": "immich-mesh",
    "jit": "off",
    # One search is a few milliseconds: starting workers for it costs more than they give.
    "max_parallel_workers_per_gather": "0",
    # How many photos a word or a neighbourhood has differs by five orders of magnitude; one plan cannot suit all.
    "plan_cache_mode": "force_custom_plan",
    # pgvector: candidates looked at, and going on when the owner filter threw too many of them away.
    "hnsw.ef_search": "200",
    "hnsw.iterative_scan": "relaxed_order",
}

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    # A connection that has been told of its end, but not yet closed, when it is acquired.
    asyncpg.InternalClientError,
    ConnectionError,
    OSError,
)
"""The connection is gone or never came to be; another one may work."""

REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.TooManyConnectionsError,
)
UNPREPARED = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)


class _SessionConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection whose session holds no state worth a round trip to reset: what searches set for the session (the
    vector index's settings) is set anew before each use."""

    def get_reset_query(self) -> str:
        """Nothing to reset."""
        return ""


class Database:
    """A pool of connections, opened on first use. Use as `async with Database(settings) as database`."""

    def __init__(self, settings: DatabaseSettings, clock: Callable[[], float] = time.monotonic) -> None:
        if settings.url is None:
            raise UnavailableError("no database is configured: set its url")
        self._settings = settings
        self._url = settings.url
        self._clock = clock
        self._pool: Any = None
        self._closed = False
        self._opening = asyncio.Lock()
        self._refuse_until = float("-inf")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections without waiting for a server that may not answer. Calls from now on, and those under
        way, are refused."""
        self._closed = True
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def read(self, work: Work[T]) -> T:
        """`work(connection)`, once more on a fresh connection when the first was lost (the server restarted).

        Raises:
            UnavailableError: away, hanging, full, not prepared, or not permitted; the message says which.
        """
        try:
            return await self._within_limits(work)
        except LOST as error:
            log.info("database connection lost, trying once more", error=type(error).__name__)
            if self._pool is not None:
                await self._pool.expire_connections()
        return await self._told(work)

    async def write(self, work: Work[T]) -> T:
        """`work(connection)` inside one transaction, never repeated. Raises as `read`."""

        async def in_transaction(connection: Any) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._told(in_transaction)

    async def _told(self, work: Work[T]) -> T:
        try:
            return await self._within_limits(work)
        except LOST as error:
            raise UnavailableError(f"Immich's database cannot be reached ({type(error).__name__})") from error

    async def _within_limits(self, work: Work[T]) -> T:
        if self._clock() < self._refuse_until:
            raise UnavailableError("Immich's database does not answer; it is asked again in a moment")
        settings = self._settings
        pool = await self._open()
        try:
            async with asyncio.timeout(settings.connect_timeout_seconds):
                connection = await pool.acquire()
        except TimeoutError as error:
            if pool.get_size() == pool.get_max_size() and pool.get_idle_size() == 0:
                # The database answers: it is busy with other searches, and the next one may be in luck.
                raise UnavailableError("all connections to Immich's database are in use") from error
            self._pause()
            raise UnavailableError("Immich's database accepts no connection in time") from error
        except REFUSED as error:
            # PostgreSQL's words name the role and the database; messages of ours reach every user of the front door.
            log.warning("database refuses the mesh", error=str(error))
            raise UnavailableError("Immich's database refuses the mesh's connection; the log says why") from error
        try:
            async with asyncio.timeout(settings.statement_timeout_ms / 1000 + 0.5):
                return await work(connection)
        except TimeoutError as error:
            self._pause()
            connection.terminate()
            raise UnavailableError("Immich's database hangs; the search was given up") from error
        except asyncio.CancelledError:
            # The statement may go on at the server; its connection cannot be used again.
            connection.terminate()
            raise
        except asyncpg.QueryCanceledError as error:
            raise UnavailableError(f"the statement took longer than {settings.statement_timeout_ms} ms") from error
        except asyncpg.ObjectNotInPrerequisiteStateError as error:
            raise UnavailableError(str(error)) from error
        except UNPREPARED as error:
            log.warning("database is not as needed", error=str(error))
            raise UnavailableError(
                "Immich's database is not as the mesh needs it; see `immich-mesh db status`, and the log"
            ) from error
        finally:
            await pool.release(connection)

    def _pause(self) -> None:
        self._refuse_until = self._clock() + self._settings.retry_after_seconds

    async def _open(self) -> Any:
        async with self._opening:
            if self._closed:
                raise UnavailableError("the connections to Immich's database were closed")
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url.get_secret_value(),
                    min_size=0,
                    max_size=self._settings.pool_size,
                    timeout=self._settings.connect_timeout_seconds,
                    connection_class=_SessionConnection,
                    server_settings=SESSION | {"statement_timeout": str(self._settings.statement_timeout_ms)},
                )
            return self._pool
