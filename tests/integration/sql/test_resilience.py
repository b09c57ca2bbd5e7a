"""A database that restarts, hangs, is not prepared, or loses its tables; the role that only searches; backups."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import asyncpg
import pytest

from mesh.core.errors import UnavailableError
from sql.database import Database
from sql.filters import Scope
from sql.migrate import migrate
from sql.refresh import OcrLine, RefreshRepository, WriteRefusedError
from sql.repository import SearchRepository
from sql.upkeep.status import status
from tests.integration.sql.conftest import (
    OWNER,
    ImmichDatabase,
    Server,
    immich_database,
    postgres_18_bin,
    running,
    settings,
)

SCOPE = Scope((OWNER,))
NOW = datetime(2026, 11, 28, tzinfo=UTC)
LINE = OcrLine("收据", (0.1, 0.2, 0.6, 0.2, 0.6, 0.3, 0.1, 0.3), 0.95, 0.99)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that these tests may stop."""
    with running(postgres_18_bin(), "pgserver") as server:
        yield server


@pytest.fixture
async def shaky(own_server: Server) -> AsyncIterator[ImmichDatabase]:
    async with immich_database(own_server, migrated=True) as database:
        await database.photo("发票")
        yield database


async def count(repository: SearchRepository) -> int:
    return len((await repository.search_text("发票", SCOPE)).hits)


async def test_after_a_restart_searches_work_again(own_server: Server) -> None:
    async with immich_database(own_server, migrated=True) as database:
        await database.photo("发票")
        async with SearchRepository(settings(database.url, retry_after_seconds=0)) as repository:
            assert await count(repository) == 1
            own_server.stop()
            with pytest.raises(UnavailableError, match="cannot be reached"):
                await count(repository)
            own_server.start()
            assert await count(repository) == 1


async def test_a_restart_between_two_searches_goes_unnoticed(own_server: Server) -> None:
    async with (
        immich_database(own_server, migrated=True) as database,
        SearchRepository(settings(database.url)) as repository,
    ):
        await database.photo("发票")
        assert await count(repository) == 1
        await database.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'immich-mesh'"
        )
        assert await count(repository) == 1


async def test_a_hanging_database_fails_fast_then_at_once_then_recovers(shaky: ImmichDatabase) -> None:
    clock = [1000.0]
    limits = settings(shaky.url, statement_timeout_ms=200, connect_timeout_seconds=0.3, retry_after_seconds=5)
    async with SearchRepository(limits, clock=lambda: clock[0]) as repository:
        assert await count(repository) == 1
        shaky.server.send(signal.SIGSTOP)
        try:
            with pytest.raises(UnavailableError, match="hangs"):
                await count(repository)
            with pytest.raises(UnavailableError, match="asked again in a moment"):
                await count(repository)
            clock[0] += 10
            with pytest.raises(UnavailableError):
                await count(repository)
        finally:
            shaky.server.send(signal.SIGCONT)
        clock[0] += 10
        assert await count(repository) == 1
    await migrate(shaky.connection)


async def test_a_slow_statement_is_ended(database: ImmichDatabase) -> None:
    async with Database(settings(database.url, statement_timeout_ms=50)) as connections:
        with pytest.raises(UnavailableError, match="longer than 50 ms"):
            await connections.read(lambda connection: connection.execute("SELECT pg_sleep(5)"))
        assert await connections.read(lambda connection: connection.fetchval("SELECT 1")) == 1


async def test_a_busy_pool_is_no_hang(database: ImmichDatabase) -> None:
    limits = settings(database.url, pool_size=1, connect_timeout_seconds=0.2, retry_after_seconds=60)
    async with Database(limits) as connections:
        acquired, done = asyncio.Event(), asyncio.Event()

        async def long(connection: asyncpg.Connection) -> None:
            acquired.set()
            await done.wait()

        busy = asyncio.create_task(connections.read(long))
        await acquired.wait()
        with pytest.raises(UnavailableError, match="all connections to Immich's database are in use"):
            await connections.read(lambda connection: connection.fetchval("SELECT 1"))
        done.set()
        await busy
        assert await connections.read(lambda connection: connection.fetchval("SELECT 1")) == 1


async def test_closing_during_a_search_ends_it_and_opens_no_new_pool(database: ImmichDatabase) -> None:
    connections = Database(settings(database.url))
    acquired = asyncio.Event()
    tries = []

    async def slow(connection: asyncpg.Connection) -> None:
        tries.append(connection)
        acquired.set()
        await connection.execute("SELECT pg_sleep(4)")

    search = asyncio.create_task(connections.read(slow))
    await acquired.wait()
    await connections.close()
    with pytest.raises(UnavailableError, match="were closed"):
        await search
    assert len(tries) == 1
    with pytest.raises(UnavailableError, match="were closed"):
        await connections.read(lambda connection: connection.fetchval("SELECT 1"))


async def test_writes_are_one_transaction(database: ImmichDatabase) -> None:
    async with Database(settings(database.url)) as connections:

        async def broken(connection: asyncpg.Connection) -> None:
            await connection.execute("DELETE FROM asset")
            raise ValueError("given up")

        photo = await database.photo("发票")
        with pytest.raises(ValueError, match="given up"):
            await connections.write(broken)
        assert await database.body(photo) == "发票"


async def test_nobody_there(tmp_path: object) -> None:
    async with SearchRepository(settings("postgresql://postgres@127.0.0.1:1/immich")) as repository:
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await count(repository)


async def test_an_unprepared_database_is_told_and_found_once_it_is_ready(unmigrated: ImmichDatabase) -> None:
    async with SearchRepository(settings(unmigrated.url)) as repository:
        with pytest.raises(UnavailableError, match="db migrate"):
            await count(repository)
        await migrate(unmigrated.connection)
        await unmigrated.photo("发票")
        assert await count(repository) == 1


@pytest.mark.parametrize("change", ["DROP TABLE asset CASCADE", "ALTER TABLE asset RENAME COLUMN visibility TO shown"])
async def test_a_vanished_table_or_column_is_told(
    database: ImmichDatabase, repository: SearchRepository, change: str
) -> None:
    await database.photo("发票")
    assert await count(repository) == 1
    await database.connection.execute(change)
    with pytest.raises(UnavailableError, match="not as the mesh needs it"):
        await count(repository)
    assert (await status(database.connection)).problems


@pytest.mark.parametrize("may_refresh", [False, True])
async def test_the_least_privileged_role(database: ImmichDatabase, may_refresh: bool) -> None:
    photo = await database.photo("发票")
    role = f"searcher_{database.name}"
    await database.connection.execute(f"CREATE ROLE {role} LOGIN")
    await database.connection.execute("SELECT mesh.grant_to($1, $2)", role, may_refresh)
    url = database.url.replace("postgres@", f"{role}@")
    async with SearchRepository(settings(url)) as repository:
        assert await count(repository) == 1
        assert len((await repository.search_hybrid("发票", [0.1] * 512, SCOPE)).hits) == 1
    connection = await asyncpg.connect(url)
    async with RefreshRepository(settings(url)) as refreshing:
        if may_refresh:
            await refreshing.replace_text(photo, [LINE], (1, 1), NOW)
            assert await database.body(photo) == "收据"
        else:
            with pytest.raises(WriteRefusedError):
                await refreshing.replace_text(photo, [LINE], (1, 1), NOW)
    forbidden = [
        "DELETE FROM asset",
        "UPDATE asset_ocr SET text = '收据'",
        "SELECT * FROM asset",
        "SELECT * FROM mesh.ocr_document",
        "DELETE FROM mesh.ocr_document",
        "SELECT mesh.refresh('{}')",
        "SELECT mesh.detach()",
    ]
    forbidden += ['SELECT * FROM "user"', "CREATE TABLE mesh.own ()", "UPDATE asset SET visibility = 'timeline'"]
    for statement in forbidden:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
    await database.connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_full_backup_restored_into_an_empty_server_searches(database: ImmichDatabase) -> None:
    photo = await database.photo("增值税電子普通發票")
    dump = database.server.run("pg_dumpall", "--clean", "--if-exists")
    with running(postgres_18_bin(), "pgserver") as empty:
        # As Immich's documentation restores; psql goes on after an error (the role we are connected as exists).
        empty.run("psql", "-d", "postgres", "-q", stdin=dump)
        connection = await asyncpg.connect(empty.database(database.name))
        found = await status(connection)
        assert found.problems == ()
        assert found.documents == 1
        async with SearchRepository(settings(empty.database(database.name))) as repository:
            assert [hit.asset_id for hit in (await repository.search_text("普通发票", SCOPE)).hits] == [photo]
            await connection.execute("UPDATE asset_ocr SET text = '收據'")
            assert [hit.asset_id for hit in (await repository.search_text("收据", SCOPE)).hits] == [photo]
        assert await migrate(connection) == ()
        await connection.close()
