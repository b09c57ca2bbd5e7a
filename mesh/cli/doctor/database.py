"""Immich's database, as the photo front door and `immich-mesh db` reach it: there, and prepared for text search."""

from typing import Any

from mesh.cli.clients.database import in_database
from mesh.cli.doctor.finding import Finding, bad, good, note
from mesh.cli.output.outcome import CommandError
from sql.upkeep.status import Status, status

REACH = "correct DB_URL, or DB_HOSTNAME, DB_PORT, DB_USERNAME and DB_PASSWORD; from outside Docker, publish its port"


async def check_database(url: str | None) -> list[Finding]:
    """What keeps searches from being ranked there.

    Args:
        url: the database's; None where none is configured.
    """
    if url is None:
        remedy = "set DB_URL (or DB_HOSTNAME) to rank searches and refresh photos"
        return [note("database", "none is configured: searches are Immich's own", remedy)]
    try:
        found = await in_database(url, _status)
    except CommandError as error:
        return [bad("database", str(error), REACH)]
    if found.problems:
        return [bad("database", problem, "immich-mesh db status") for problem in found.problems]
    return [good("database", f"schema {found.schema.migrated}, {found.documents} photos with text, all searchable")]


async def _status(connection: Any) -> Status:
    return await status(connection)
