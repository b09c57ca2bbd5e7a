"""Brings schema `mesh` to the version of this code, or away: numbered files, one transaction, one advisory lock.

The lock is of the session and is tried again and again: a session that waited for it inside a statement would itself
be waited for by `CREATE INDEX CONCURRENTLY`. A second migration that starts meanwhile waits for the lock and then finds
nothing to do. Each applied file's checksum is kept: a file that was changed afterwards is an error, not a silent
difference between two installations.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mesh.core.errors import UnavailableError
from sql.upkeep import guard, indexes

LOCK = 0x6D657368
"""Key of the advisory lock: "mesh"."""

OWNER = """
SELECT quote_ident(rolname) FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner
WHERE pg_class.oid = to_regclass('public.asset') AND relkind IN ('r', 'p')
"""
"""Immich's own role. All that is ours belongs to it, and runs with its rights and no others, whoever migrates."""

BASE = """
CREATE TABLE IF NOT EXISTS mesh.migration (
  version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, down text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)
"""
RECORD = "INSERT INTO mesh.migration (version, name, checksum, down) VALUES ($1, $2, $3, $4)"

Progress = Callable[[int, int], None]
"""Called with the number of migrations done and their total."""


def _silent(done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step, both ways."""

    version: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the way up, in hex."""
        return hashlib.sha256(self.up.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """All steps of this code, in order, from `sql/migrations/NNNN_name.{up,down}.sql`."""
    folder = files("sql") / "migrations"
    steps = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if named := re.fullmatch(r"(\d{4})_(\w+)\.up\.sql", path.name):
            down = folder / path.name.replace(".up.sql", ".down.sql")
            steps.append(Migration(int(named[1]), named[2], path.read_text("utf-8"), down.read_text("utf-8")))
    return tuple(steps)


async def migrate(
    connection: Any, progress: Progress = _silent, steps: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """Apply what is missing, all or nothing; make missing triggers and indexes; give back what was applied.

    Raises:
        UnavailableError: an applied file was changed, the database was migrated by a newer version, or it is not
        Immich's.
    """
    wanted = migrations() if steps is None else tuple(steps)
    async with _locked(connection):
        async with connection.transaction():
            await _become_immich(connection)
            await connection.execute(BASE)
            missing = _missing(wanted, await applied(connection))
            for done, step in enumerate(missing):
                progress(done, len(missing))
                await connection.execute(step.up)
                await connection.execute(RECORD, step.version, step.name, step.checksum, step.down)
            await connection.execute("SELECT mesh.attach()")
            await connection.execute("RESET ROLE")
            await guard.ensure(connection, wanted[-1].version)
        await indexes.ensure(connection)
        progress(len(missing), len(missing))
    return missing


@dataclass(frozen=True)
class Removed:
    """What was taken away.

    Attributes:
        steps: how many steps were undone.
        paused: queues of Immich's that the last router paused when it stopped; nobody knows of it any more.
    """

    steps: int = 0
    paused: tuple[str, ...] = ()


async def uninstall(connection: Any, progress: Progress = _silent) -> Removed:
    """Undo every applied step, last first, and drop schema `mesh`; Immich's tables keep all their rows.

    The way down is the one that was kept when the step was applied, whatever this program's files say by now.
    """
    async with _locked(connection), connection.transaction():
        if not await connection.fetchval("SELECT to_regclass('mesh.migration') IS NOT NULL"):
            return Removed()
        paused: list[str] = []
        if await connection.fetchval("SELECT to_regclass('mesh.paused_queue') IS NOT NULL"):
            paused = [
                row["queue"] for row in await connection.fetch("SELECT queue FROM mesh.paused_queue ORDER BY at, queue")
            ]
        ways = await connection.fetch("SELECT down FROM mesh.migration ORDER BY version DESC")
        for done, step in enumerate(ways):
            progress(done, len(ways))
            await connection.execute(step["down"])
        await connection.execute("DROP SCHEMA mesh CASCADE")
        progress(len(ways), len(ways))
    return Removed(len(ways), tuple(paused))


async def _become_immich(connection: Any) -> None:
    owner = await connection.fetchval(OWNER)
    if owner is None:
        raise UnavailableError("table asset is missing: is this Immich's database?")
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS mesh AUTHORIZATION {owner}")
    await connection.execute(f"SET LOCAL ROLE {owner}")


@asynccontextmanager
async def _locked(connection: Any) -> AsyncIterator[None]:
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1::bigint)", LOCK):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1::bigint)", LOCK)


async def applied(connection: Any) -> dict[int, str]:
    """Checksums of the applied steps, by version."""
    return {
        row["version"]: row["checksum"]
        for row in await connection.fetch("SELECT version, checksum FROM mesh.migration")
    }


def _missing(wanted: tuple[Migration, ...], present: dict[int, str]) -> tuple[Migration, ...]:
    known = {step.version: step for step in wanted}
    if newer := sorted(set(present) - set(known)):
        raise UnavailableError(f"schema mesh is at version {newer[-1]}, newer than this program: update immich-mesh")
    for version, checksum in present.items():
        if known[version].checksum != checksum:
            raise UnavailableError(changed(version))
    return tuple(step for step in wanted if step.version not in present)


def changed(version: int) -> str:
    """What is said where a step's file was changed after it was applied."""
    return (
        f"migration {version} of this program is not the one that was applied: "
        "`immich-mesh db uninstall`, then `db migrate` and `db backfill` (Immich's data stays)"
    )
