"""Immich's own restore of a backup: nothing of ours stands in its way, on any server and over any version of ours."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from sql.filters import Scope
from sql.migrate import Migration, migrate, migrations
from sql.repository import SearchRepository
from sql.upkeep.backfill import backfill
from sql.upkeep.status import status
from tests.integration.sql.conftest import OWNER, ImmichDatabase, Server, postgres_18_bin, running, settings

BEFORE = """
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
GRANT ALL ON SCHEMA public TO "postgres";
GRANT ALL ON SCHEMA public TO public;
"""
"""What Immich 3.0.3 runs before the dump, in the same transaction."""

NEWER = Migration(
    900,
    "newer",
    """
    CREATE TABLE mesh.newer (id uuid);
    CREATE TYPE mesh.newest AS ENUM ('a');
    CREATE FUNCTION mesh.newer(mesh.line) RETURNS SETOF mesh.ocr_document
    LANGUAGE sql AS 'SELECT * FROM mesh.ocr_document';
    """,
    "",
)


@pytest.fixture(scope="module")
def another_server() -> Iterator[Server]:
    """A server that knows none of our roles."""
    with running(postgres_18_bin(), "pgserver") as server:
        yield server


def as_immich(server: Server, database: str, dump: bytes) -> None:
    """Immich's restore: its own statements and the dump in one transaction, ended by the first error."""
    server.run(
        "psql", "-d", database, "--single-transaction", "--set", "ON_ERROR_STOP=on", "-q", stdin=BEFORE.encode() + dump
    )


async def found(url: str) -> int:
    async with SearchRepository(settings(url)) as repository:
        return len((await repository.search_text("发票", Scope((OWNER,)))).hits)


async def empty(server: Server, name: str) -> str:
    """A new database of that name, and the URL of it."""
    admin = await asyncpg.connect(server.url)
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return server.database(name)


@pytest.fixture
async def role(database: ImmichDatabase) -> str:
    """A role that may search and refresh, of the first server only."""
    name = f"restorer_{database.name}"
    await database.connection.execute(f"CREATE ROLE {name} LOGIN")
    await database.connection.execute("SELECT mesh.grant_to($1, true)", name)
    return name


@pytest.mark.parametrize("options", [(), ("--clean", "--if-exists")])
async def test_on_a_new_server_that_does_not_know_the_role(
    database: ImmichDatabase, another_server: Server, role: str, options: tuple[str, ...]
) -> None:
    await database.photo("发票")
    dump = database.server.run("pg_dump", "-d", database.name, *options)
    assert f"TO {role}".encode() not in dump
    url = await empty(another_server, "restored")
    as_immich(another_server, "restored", dump)
    assert await found(url) == 1
    connection = await asyncpg.connect(url)
    assert (await status(connection)).problems == ()
    await connection.execute("DROP SCHEMA public CASCADE")
    assert not await connection.fetchval("SELECT to_regnamespace('mesh') IS NOT NULL")
    await connection.close()


async def test_a_custom_dump_and_a_dump_of_the_whole_server(
    database: ImmichDatabase, another_server: Server, role: str, tmp_path: Path
) -> None:
    await database.photo("发票")
    custom = database.server.run("pg_dump", "-d", database.name, "--format=custom")
    url = await empty(another_server, "custom")
    another_server.run("pg_restore", "-d", "custom", "--single-transaction", stdin=custom)
    assert await found(url) == 1
    # Over what is there already, and over a newer version of ours.
    connection = await asyncpg.connect(url)
    await migrate(connection, steps=(*migrations(), NEWER))
    await connection.close()
    another_server.run("pg_restore", "-d", "custom", "--single-transaction", "--clean", "--if-exists", stdin=custom)
    assert await found(url) == 1
    whole = database.server.run("pg_dumpall", "--clean", "--if-exists")
    with running(postgres_18_bin(), "pgserver") as third:
        third.run("psql", "-d", "postgres", "-q", stdin=whole)
        assert await found(third.database(database.name)) == 1
        assert await found(third.database(database.name).replace("postgres@", f"{role}@")) == 1


async def test_a_dump_of_an_older_version_over_a_newer_one(database: ImmichDatabase) -> None:
    await database.photo("发票")
    dump = database.server.run("pg_dump", "-d", database.name, "--clean", "--if-exists")
    await migrate(database.connection, steps=(*migrations(), NEWER))
    as_immich(database.server, database.name, dump)
    assert (await status(database.connection)).problems == ()
    assert await found(database.url) == 1


async def test_a_dump_of_the_time_before_a_step_is_migrated(unmigrated: ImmichDatabase) -> None:
    steps = migrations()
    await migrate(unmigrated.connection, steps=steps[:3])
    await unmigrated.photo("发票")
    dump = unmigrated.server.run("pg_dump", "-d", unmigrated.name, "--clean", "--if-exists")
    await migrate(unmigrated.connection)
    as_immich(unmigrated.server, unmigrated.name, dump)
    assert (await status(unmigrated.connection)).problems == (
        "schema mesh is older than this program: run `immich-mesh db migrate`",
    )
    await migrate(unmigrated.connection)
    assert (await status(unmigrated.connection)).problems == ()
    assert await found(unmigrated.url) == 1


async def test_a_dump_without_schema_mesh_over_one(unmigrated: ImmichDatabase) -> None:
    await unmigrated.photo("发票")
    dump = unmigrated.server.run("pg_dump", "-d", unmigrated.name, "--clean", "--if-exists")
    await migrate(unmigrated.connection)
    as_immich(unmigrated.server, unmigrated.name, dump)
    assert "db migrate" in (await status(unmigrated.connection)).problems[0]
    await migrate(unmigrated.connection)
    await backfill(unmigrated.connection)
    assert (await status(unmigrated.connection)).problems == ()
    assert await found(unmigrated.url) == 1


async def test_a_failed_restore_leaves_everything_as_it_was(database: ImmichDatabase) -> None:
    await database.photo("发票")
    dump = database.server.run("pg_dump", "-d", database.name, "--clean", "--if-exists")
    with pytest.raises(AssertionError, match="division by zero"):
        as_immich(database.server, database.name, dump + b"SELECT 1 / 0;")
    assert (await status(database.connection)).problems == ()
    assert await found(database.url) == 1
