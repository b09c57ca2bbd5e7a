"""Immich's database as searching and refreshing need it: there, migrated, backfilled, and with which rights."""

from typing import Any

import asyncpg
import structlog

from mesh.core.errors import MeshError
from router.front_door.health.check import Check
from sql.database import Database
from sql.upkeep.status import Status, status

log = structlog.get_logger()

WRITTEN = ("asset_ocr", "ocr_search", "asset_job_status", "smart_search")
RIGHTS = """
SELECT coalesce(bool_and(has_table_privilege(to_regclass(format('public.%I', name)), 'INSERT')), false)
FROM unnest($1::text[]) AS name WHERE to_regclass(format('public.%I', name)) IS NOT NULL
"""


class DatabaseHealth:
    """Looks at one database.

    Args:
        database: with a connection to spare; None when none is configured.
    """

    def __init__(self, database: Database | None) -> None:
        self._database = database

    async def look(self) -> tuple[list[Check], int | None]:
        """What was found, and the length of the vectors that the database holds, where it is known."""
        if self._database is None:
            remedy = "set DB_URL (or DB_HOSTNAME) to rank searches and refresh photos"
            return [Check("database", None, "none is configured: searches are Immich's own", remedy)], None
        try:
            found = await self._database.read(_status)
            may_refresh = await self._database.read(_may_refresh)
        except MeshError as error:
            return [Check("database", False, error.message, "immich-mesh db status")], None
        except asyncpg.PostgresError as error:
            log.warning("database check failed", error=str(error))
            return [
                Check("database", False, f"{type(error).__name__}, the log says more", "immich-mesh db status")
            ], None
        return _checks(found, may_refresh), found.schema.dimension or None


async def _status(connection: Any) -> Status:
    return await status(connection)


async def _may_refresh(connection: Any) -> bool:
    if await connection.fetchval("SELECT to_regprocedure('mesh.may(boolean)') IS NOT NULL"):
        return bool(await connection.fetchval("SELECT mesh.may(true)"))
    return bool(await connection.fetchval(RIGHTS, list(WRITTEN)))


def _checks(found: Status, may_refresh: bool) -> list[Check]:
    if found.problems:
        return [Check("database", False, problem, "immich-mesh db status") for problem in found.problems]
    rights = (
        "searches and refreshes" if may_refresh else "searches; may not refresh (db migrate --grant ROLE --refresh)"
    )
    text = f"schema {found.schema.migrated}, {found.documents} photos with text, all searchable; the role {rights}"
    return [Check("database", True, text)]
