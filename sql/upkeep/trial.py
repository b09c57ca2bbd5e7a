"""Whether a role may do what it was granted: a search and a refresh, tried as that role in a transaction that is
rolled back."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from mesh.core.errors import UnavailableError

SEARCH = """
SELECT * FROM mesh.find(
  '{"scope": {"owners": [], "visibilities": ["timeline"], "deleted": false}, "window": 1, "start": 0, "end": 1,
    "steps": [{"match": "text", "where": {"words": "''a'':*"}, "rank": {"column": "words", "query": "''a'':*"}}]}')
"""
REFRESH = "SELECT mesh.replace_text($1, now(), $2, $3, $4, $5, 'a', '{}', 'a')"
BOX = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]


@dataclass(frozen=True, slots=True)
class Trial:
    """What a role was granted, and what came of trying it.

    Attributes:
        role: its name.
        granted: "search", "search and refresh", or "nothing".
        problems: what went wrong and what to do, one sentence each.
        tried: what was tried and worked.
    """

    role: str
    granted: str
    problems: tuple[str, ...]
    tried: tuple[str, ...]


async def trial(connection: Any, role: str) -> Trial:
    """Try a search, and a refresh where it was granted, as `role`; nothing that is written stays.

    Raises:
        UnavailableError: the connection's user may not act as another role (only a superuser may).
    """
    if not await connection.fetchval("SELECT to_regprocedure('mesh.may(boolean)') IS NOT NULL"):
        return Trial(role, "nothing", ("schema mesh is missing or older than roles: run `immich-mesh db migrate`",), ())
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
        return Trial(role, "nothing", (f"role {role} does not exist: CREATE ROLE {role} LOGIN PASSWORD '...'",), ())
    photo = await _photo(connection)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await _become(connection, role)
        may_search, may_refresh = await connection.fetchrow("SELECT mesh.may(false), mesh.may(true)")
        if not may_search:
            return Trial(role, "nothing", (f"role {role} may not search: `immich-mesh db migrate --grant {role}`",), ())
        problems, tried = [], []
        steps: list[tuple[str, str, tuple[Any, ...]]] = [("search", SEARCH, ())]
        if may_refresh and photo is not None:
            steps.append(("refresh", REFRESH, (photo, BOX, [0.9], [0.9], ["a"])))
        for name, statement, arguments in steps:
            try:
                async with connection.transaction():
                    await connection.fetch(statement, *arguments)
                    tried.append(name)
            except asyncpg.PostgresError as error:
                problems.append(f"role {role} cannot {name}: {error}")
    finally:
        await transaction.rollback()
    return Trial(role, "search and refresh" if may_refresh else "search", tuple(problems), tuple(tried))


async def _photo(connection: Any) -> Any:
    """A photo to try a refresh on, one with text where there is one; None in an empty library."""
    return await connection.fetchval(
        'SELECT coalesce((SELECT "assetId" FROM public.asset_ocr LIMIT 1), (SELECT id FROM public.asset LIMIT 1))'
        if await connection.fetchval("SELECT to_regclass('public.asset_ocr') IS NOT NULL")
        else "SELECT id FROM public.asset LIMIT 1"
    )


async def _become(connection: Any, role: str) -> None:
    if await connection.fetchval("SELECT session_user = $1", role):
        return
    try:
        await connection.execute(
            f"SET LOCAL SESSION AUTHORIZATION {await connection.fetchval('SELECT quote_ident($1)', role)}"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise UnavailableError(
            f"only a superuser can try what role {role} may: connect as one, or as {role}"
        ) from error
